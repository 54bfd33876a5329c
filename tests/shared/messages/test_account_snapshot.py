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


@pytest.mark.parametrize(
    "known", [WHOLE, Account("slack", "U1", conversation=OneToOne("D1"), key=KEY)]
)
def test_what_it_takes_to_reach_and_to_address_a_person_comes_along_and_no_more(known):
    told = replace(known, preferences={"interests": ["secret"]}, aad_object_id="object")

    taken_along = snapshot_of(told)

    assert taken_along is not None
    text = json.dumps(taken_along.to_json())
    assert "secret" not in text
    assert "object" not in text
    snapshot = AccountSnapshot.model_validate(json.loads(text))
    assert account_in_snapshot(snapshot, known.channel_id, known.user_id) == replace(
        known, conversation=OneToOne(known.conversation.id)
    )


@pytest.mark.parametrize("change", [{"conversation": None}, {"key": None}])
def test_without_a_conversation_or_a_key_nothing_comes_along(change):
    assert snapshot_of(replace(WHOLE, **change)) is None
