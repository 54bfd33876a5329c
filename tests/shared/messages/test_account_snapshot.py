"""What an alert takes along of an account."""

import json
from dataclasses import replace

import pytest

from shared.accounts.account import Account, OneToOne
from shared.messages.account_snapshot import account_in_snapshot, snapshot_of
from shared.messages.envelope import AccountSnapshot
from shared.storage.encryption import new_key
from shared.storage.personal_keys import PersonalKey
from shared.wire_models import ChannelAccount

KEY = PersonalKey("a" * 32, new_key())
WHOLE = Account(
    "msteams",
    "29:alex",
    name="Alex 😀",
    tenant_id="tenant",
    bot=ChannelAccount.model_validate({"id": "28:bot", "name": "Grüße", "role": "bot"}),
    service_url="https://smba.trafficmanager.net/teams/",
    locale="de-CH",
    conversation=OneToOne("a:1", "personal", "7"),
    key=KEY,
)


def taken_along(account):
    reference = snapshot_of(account)
    assert reference is not None
    return reference


def carried(account):
    """What comes out of a message that took an account along."""
    reference = taken_along(account)
    return AccountSnapshot.model_validate(json.loads(json.dumps(reference.to_json())))


def test_what_it_takes_to_reach_and_to_address_a_person_comes_along():
    account = account_in_snapshot(carried(WHOLE), "msteams", "29:alex")

    assert account == replace(WHOLE, conversation=OneToOne("a:1"))
    assert account.conversation == OneToOne("a:1")


def test_of_whom_little_is_known_little_comes_along():
    little = Account("slack", "U1", conversation=OneToOne("D1"), key=KEY)

    assert account_in_snapshot(carried(little), "slack", "U1") == little
    assert taken_along(little).to_json().keys() >= {"conversationId", "keyId", "key"}


@pytest.mark.parametrize(
    "change",
    [{"conversation": None}, {"key": None}],
)
def test_without_a_conversation_or_a_key_nothing_comes_along(change):
    assert snapshot_of(replace(WHOLE, **change)) is None


def test_what_else_is_known_stays_behind():
    told = replace(WHOLE, preferences={"interests": ["secret"]}, aad_object_id="object")

    text = json.dumps(taken_along(told).to_json())

    assert "secret" not in text
    assert "object" not in text
