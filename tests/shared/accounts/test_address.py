"""Who is a person, and which conversations are a person's own."""

from typing import Any

import pytest

from shared.accounts.account import Account
from shared.accounts.address import Address, filled_in, is_person, is_personal, moved
from shared.wire_models import ChannelAccount, ConversationAccount

NOTIFY = ChannelAccount(id="28:notify")


def conversation(**told: Any) -> ConversationAccount:
    return ConversationAccount.model_validate({"id": "a:1", **told})


def test_a_conversation_is_a_persons_own_unless_it_says_otherwise():
    cases: list[tuple[dict[str, Any], bool]] = [
        ({}, True),
        ({"conversationType": "personal"}, True),
        ({"conversationType": "Personal", "isGroup": False}, True),
        ({"conversationType": ""}, True),
        ({"isGroup": True}, False),
        ({"conversationType": "personal", "isGroup": True}, False),
        ({"conversationType": "channel"}, False),
        ({"conversationType": "groupChat", "isGroup": False}, False),
        ({"id": "19:x@thread.v2", "conversationType": "personal"}, True),
        ({"id": "19:x@thread.v2"}, False),
        ({"id": "19:meeting_x@thread.v2"}, False),
        ({"id": "19:meeting_x@thread.v2", "conversationType": "personal"}, False),
    ]
    for told, expected in cases:
        assert is_personal(conversation(**told)) is expected, told
    assert not is_personal(conversation(), product="COPILOT")


@pytest.mark.parametrize(
    ("channel_id", "told", "met_in", "expected"),
    [
        ("msteams", {"id": "29:alex"}, {}, True),
        ("msteams", {"id": "29:alex", "role": "user", "userRole": "guest"}, {}, True),
        ("msteams", {"id": "29:alex", "properties": "odd"}, {}, True),
        ("msteams", {"id": "29:alex", "userRole": "anonymous"}, {}, False),
        ("msteams", {"id": "29:alex", "role": "Anonymous"}, {}, False),
        ("msteams", {"id": "29:alex", "properties": {"userRole": "anonymous"}}, {}, False),
        ("msteams", {"id": "29:alex", "role": "bot"}, {}, False),
        ("msteams", {"id": "29:alex", "role": "skill"}, {}, False),
        ("msteams", {"id": "29:alex", "role": "agenticUser"}, {}, False),
        ("msteams", {"id": "28:another"}, {}, False),
        ("msteams", {"id": "19:x@thread.tacv2"}, {}, False),
        ("telegram", {"id": "28:another"}, {}, True),
        ("msteams", {"id": "notify"}, {}, False),
        ("slack", {"id": "U11:T22"}, {"id": "B33:T22:D44"}, True),
        ("slack", {"id": "B99:T22"}, {"id": "B33:T22:D44"}, False),
        ("directline", {"id": "dl_1"}, {"id": "Ab12"}, True),
        ("directline", {"id": "Ab12"}, {"id": "Ab12"}, False),
        ("webchat", {"id": "Ab12"}, {"id": "Ab12"}, False),
        ("telegram", {"id": "4711"}, {"id": "4711", "isGroup": False}, True),
        ("telegram", {"id": "-100"}, {"id": "-100", "isGroup": True}, False),
        ("sms", {"id": "+15550100"}, {"id": "+15550100"}, True),
        ("line", {"id": "C1"}, {"id": "C1", "isGroup": True}, False),
    ],
)
def test_a_person_is_somebody_that_a_bot_can_write_to(channel_id, told, met_in, expected):
    place = conversation(**met_in) if met_in else None

    assert is_person(told, channel_id, place, bot_id="28:notify") is expected


def test_a_personal_conversation_moves_an_address_and_others_fill_it_in():
    alex = Account("msteams", "29:alex", service_url="https://one/", tenant_id="one", bot=NOTIFY)
    other = Address("https://two/", "two", ChannelAccount(id="notify"))

    assert filled_in(alex, other) == alex
    there = moved(alex, other)
    assert (there.service_url, there.tenant_id, there.bot) == ("https://two/", "two", other.bot)
    assert filled_in(Account("msteams", "29:alex"), other) == moved(
        Account("msteams", "29:alex"), other
    )
    # Not every activity names the tenant.
    assert moved(alex, Address("https://two/", None, NOTIFY)).tenant_id == "one"
