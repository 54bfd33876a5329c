from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.accounts.account import Account, OneToOne
from shared.storage.personal_keys import PersonalKey
from shared.wire_models import ChannelAccount
from tests.shared.accounts.telling import CHANNEL_ID

THEN = datetime(2026, 1, 31, 10, tzinfo=UTC)
LATER = THEN + timedelta(minutes=1)


def alex(**fields):
    return Account("msteams", "29:alex", **fields)


def test_of_two_accounts_that_become_one_the_last_word_about_alerts_holds():
    cases: list[tuple[tuple[dict[str, Any], Any], tuple[dict[str, Any], Any], bool]] = [
        (({"muted": True}, THEN), ({"interests": ["Rain"]}, LATER), True),
        (({"muted": True}, LATER), ({"interests": ["Rain"]}, THEN), True),
        (({"muted": True}, THEN), ({"muted": False}, LATER), False),
        (({"muted": False}, LATER), ({"muted": True}, THEN), False),
        (({"muted": False}, THEN), ({"muted": True}, LATER), True),
        (({"interests": ["Rain"]}, LATER), ({"muted": True}, THEN), True),
        (({"muted": True}, None), ({}, None), True),
        (({"muted": True}, None), ({"interests": ["Rain"]}, THEN), True),
    ]
    for under_object_id, under_user_id, expected in cases:
        one, other = (
            Account(
                CHANNEL_ID,
                "29:alex",
                preferences=preferences,
                preferences_at=at,
                muted_at=at if "muted" in preferences else None,
            )
            for preferences, at in (under_user_id, under_object_id)
        )
        for joined in (one.joined_with(other), other.joined_with(one)):
            assert joined.preferences == {
                **other.preferences,
                **one.preferences,
                "muted": expected,
            }
            assert joined.preferences_at == max(
                (each.preferences_at for each in (one, other) if each.preferences_at), default=None
            )


def test_of_two_accounts_that_become_one_each_gives_what_the_other_lacks():
    known: dict[str, Any] = {
        "name": "Alex",
        "tenant_id": "t",
        "bot": ChannelAccount(id="28:bot"),
        "service_url": "https://x/",
        "locale": "de",
        "time_zone": "Europe/Vienna",
        "installed": False,
        "blocked": False,
        "conversation": OneToOne("a:1"),
        "former_conversation_ids": ("a:0", "a:1"),
        "key": PersonalKey("key", b"k" * 32),
        "former_key_ids": ("former",),
    }
    whole, little = Account(CHANNEL_ID, "29:alex", **known), Account(CHANNEL_ID, "29:alex")
    other = replace(
        whole, name="Al", installed=True, conversation=OneToOne("a:2"), key=PersonalKey("2", b"")
    )

    assert little.joined_with(whole) == whole
    assert whole.joined_with(little) == whole
    joined = whole.joined_with(other)
    assert (joined.name, joined.installed, joined.conversation) == ("Alex", False, OneToOne("a:1"))
    assert joined.conversation_ids == {"a:0", "a:1", "a:2"}
    assert joined.key == whole.key
    assert set(joined.former_key_ids) == {"former", "2"}


def test_a_former_conversation_still_leads_to_the_person():
    first = alex().with_conversation(OneToOne("a:1"))
    same = first.with_conversation(OneToOne("a:1", "personal"))
    second = same.with_conversation(OneToOne("a:2"))

    assert same.conversation == OneToOne("a:1", "personal")
    assert same.conversation_ids == {"a:1"}
    assert second.conversation == OneToOne("a:2")
    assert second.conversation_ids == {"a:1", "a:2"}
    assert second.has_left("a:1")
    assert not second.has_left("a:2")
    assert not second.with_conversation(OneToOne("a:1")).has_left("a:1")
    assert not second.has_left("a:3")


def test_of_former_conversations_the_latest_are_kept():
    account = alex()
    for number in range(25):
        account = account.with_conversation(OneToOne(str(number)))
    account = account.having_left("10").without_conversation()

    assert account.conversation is None
    assert account.former_conversation_ids == (
        *map(str, [5, 6, 7, 8, 9]),
        *map(str, range(11, 24)),
        "10",
        "24",
    )
    assert account.without_conversation() == account
