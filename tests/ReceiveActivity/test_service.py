"""What is kept of those who talk with the bot, on real storage."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from shared.accounts.account import Account, OneToOne
from shared.errors import ForbiddenActivityError
from shared.sending.recipient import find_conversation
from shared.wire_models import ChannelAccount
from shared.wiring import Services
from tests.ReceiveActivity.keeping import (
    IN_COPILOT,
    SERVICE_URL,
    account_of,
    is_known,
    receive,
)
from tests.support.builders import unique

NOW = datetime(2026, 1, 1, tzinfo=UTC)
INSTALLED = {"type": "installationUpdate", "action": "add"}
REMOVED = {"type": "installationUpdate", "action": "remove"}
BOT_REMOVED = {"type": "conversationUpdate", "membersRemoved": [{"id": "28:bot"}]}


pytestmark = pytest.mark.usefixtures("queue")


@pytest.fixture
def object_id() -> str:
    return str(uuid4())


# Facts


def test_a_message_tells_who_writes_and_where(services: Services, user: str):
    receive(services, user, localTimezone="Europe/Vienna")

    account = account_of(services, user)
    assert account.name == "Alex Wilber"
    assert account.locale == "de-AT"
    assert account.time_zone == "Europe/Vienna"
    assert account.service_url == SERVICE_URL
    assert account.bot is not None
    assert account.bot.to_json() == {"id": "28:bot", "name": "Notify Bot"}
    assert account.conversation == OneToOne(f"a:{user}", "personal")
    assert account.installed is True
    assert services.conversations.find(f"a:{user}").user_id == user


def test_an_activity_that_says_less_takes_nothing_away(services: Services, user: str):
    receive(services, user)

    receive(services, user, day=2, locale=None, recipient={"id": "28:bot", "name": None, "x": 1})
    receive(services, user, day=3, **{"from": {"id": user}}, type="typing")

    account = account_of(services, user)
    assert (account.name, account.locale) == ("Alex Wilber", "de-AT")
    assert account.bot is not None
    assert account.bot.to_json() == {"id": "28:bot"}


def test_older_activities_do_not_overwrite_newer_facts(services: Services, user: str):
    receive(services, user, day=2, locale="sv-SE")

    receive(services, user, day=1, locale="de-AT")
    receive(services, user, day=1, **REMOVED)

    account = account_of(services, user)
    assert (account.locale, account.installed) == ("sv-SE", True)
    assert is_known(services, f"a:{user}")


def test_another_address_is_kept_for_the_conversation_too(services: Services, user: str):
    started = OneToOne(f"a:{user}", activity_id="first")
    before = Account("msteams", user, service_url="http://127.0.0.1:9/emea", conversation=started)
    services.accounts.change_or_make("msteams", user, lambda _: before)

    receive(services, user, recipient={"id": "bot"})

    kept, conversation = account_of(services, user), services.conversations.find(f"a:{user}")
    assert kept.service_url == conversation.service_url == SERVICE_URL
    assert kept.bot == conversation.bot == ChannelAccount(id="bot")
    # What it was started with stays.
    assert kept.conversation is not None
    assert kept.conversation.activity_id == conversation.activity_id == "first"
    receive(services, user, day=2, conversation={"id": f"b:{user}"})
    assert account_of(services, user).has_left(f"a:{user}")
    assert is_known(services, f"b:{user}")


def test_an_untrusted_service_url_stores_nothing(services: Services, user: str):
    with pytest.raises(ForbiddenActivityError):
        receive(services, user, url="https://evil.example/")

    assert services.accounts.get("msteams", user) is None


def test_other_types_of_activities_store_nothing(services: Services, user: str):
    group: dict[str, Any] = {"id": unique("19:group"), "isGroup": True}
    for type_ in ("typing", "event", "messageReaction", "somethingNew"):
        receive(services, user, type=type_, conversation=group, text="stop")

    assert services.accounts.get("msteams", user) is None
    assert not is_known(services, group["id"])


# Coming and going


def test_who_uninstalls_is_still_known_and_found_by_the_conversation(services: Services, user: str):
    receive(services, user, text="stop")

    receive(services, user, day=2, **REMOVED)

    account = account_of(services, user)
    assert (account.installed, account.conversation) == (False, None)
    assert account.locale == "de-AT"
    assert find_conversation(f"a:{user}", None, services).account == account

    receive(services, user, day=3, **INSTALLED)

    account = account_of(services, user)
    assert account.installed is True
    assert account.conversation is not None
    # The person's own stop still holds.
    assert account.preferences == {"muted": True}


def test_who_is_heard_of_is_within_reach_and_who_uninstalls_needs_no_probe(
    services: Services, user: str
):
    services.accounts.change_or_make(
        "msteams",
        user,
        lambda _: Account("msteams", user, blocked=True, probe_at=NOW, installed=False),
    )
    for activity in ({"type": "message"}, REMOVED):
        receive(services, user, **activity)
        account = account_of(services, user)
        assert (account.blocked, account.probe_at) == (False, None)


def test_an_upgrade_is_nothing_that_the_person_did(services: Services, user: str):
    services.accounts.change_or_make(
        "msteams", user, lambda _: Account("msteams", user, blocked=True, installed=False)
    )

    receive(services, user, type="installationUpdate", action="upgrade", channelData=None)

    account = account_of(services, user)
    assert (account.installed, account.blocked) == (True, True)
    assert account.conversation == OneToOne(f"a:{user}", "personal")


def test_uninstalling_by_somebody_unknown_or_erased_makes_no_account(services: Services, user: str):
    receive(services, user, **REMOVED)
    assert services.accounts.get("msteams", user) is None

    receive(services, user, day=2)
    receive(services, user, day=3, type="deleteUserData")
    receive(services, user, day=4, **REMOVED)
    assert services.accounts.get("msteams", user) is None


# What was said elsewhere than in the person's own conversation, of another tenant and region.
ELSEWHERE: dict[str, dict[str, Any]] = {
    # https://github.com/microsoft/Agents/issues/179
    "a shared channel": {
        "conversation": {"id": "19:s@thread.tacv2;messageid=2", "conversationType": "channel"},
    },
    # https://github.com/microsoft/BotFramework-Services/issues/344
    "a meeting": {
        **INSTALLED,
        "conversation": {"id": "19:meeting_m@thread.v2"},
    },
    # https://github.com/microsoft/Agents/issues/77
    "Copilot": IN_COPILOT,
}


@pytest.mark.parametrize("place", ELSEWHERE)
def test_what_is_said_elsewhere_moves_nobodys_address(services: Services, user: str, place: str):
    told = {"channelData": {"tenant": {"id": "other"}}, **ELSEWHERE[place]}
    conversation_id = told["conversation"]["id"]
    receive(services, user, url="http://127.0.0.1:9/emea/")
    before = account_of(services, user)

    receive(services, user, day=2, url="http://127.0.0.1:9/amer/", **told)
    assert account_of(services, user) == before
    assert is_known(services, conversation_id) is (place != "Copilot")
    if place != "Copilot":
        group = services.conversations.find(conversation_id)
        assert (group.is_group, group.user_id) == (True, None)

    # Of somebody unknown it is better than nothing, until they write themselves.
    stranger = unique("29:stranger")
    receive(services, stranger, day=2, **told)
    filled_in = account_of(services, stranger)
    assert (filled_in.tenant_id, filled_in.conversation) == ("other", None)
    receive(services, stranger, day=1)
    assert account_of(services, stranger).conversation_id == f"a:{stranger}"


def test_the_conversation_of_direct_line_is_nobody(services: Services, user: str):
    # https://github.com/microsoft/BotFramework-WebChat/issues/1728
    room = unique("room")
    told = {"channelId": "directline", "conversation": {"id": room}, "channelData": None}

    receive(services, room, type="conversationUpdate", membersAdded=[{"id": "28:bot"}], **told)
    receive(services, user, **told)

    assert services.accounts.get("directline", room) is None
    assert services.accounts.get("directline", user) is not None


def test_who_is_added_by_somebody_else_does_not_read_their_language(services: Services, user: str):
    megan = unique("29:megan")

    added = {"type": "conversationUpdate", "membersAdded": [{"id": megan}]}
    receive(services, user, **added, conversation={"id": unique("19:g"), "isGroup": True})

    assert account_of(services, megan).locale is None


def test_what_a_thread_was_started_with_is_not_forgotten(services: Services, user: str):
    thread: dict[str, Any] = {"id": unique("19:thread"), "conversationType": "channel"}
    receive(services, user, conversation=thread)
    started = replace(services.conversations.find(thread["id"]), activity_id="first")
    services.conversations.put(started)

    receive(services, user, day=2, conversation=thread)

    assert services.conversations.find(thread["id"]).activity_id == "first"


def test_the_bot_leaving_a_group_forgets_the_group(services: Services, user: str):
    group: dict[str, Any] = {"id": unique("19:group"), "conversationType": "groupChat"}
    receive(services, user, day=2, conversation=group)

    # Old news changes nothing.
    receive(services, user, day=1, conversation=group, url="http://127.0.0.1:9/old")
    receive(services, user, day=1, conversation=group, **BOT_REMOVED)
    assert services.conversations.find(group["id"]).service_url == SERVICE_URL
    receive(services, user, day=2, conversation=group, **BOT_REMOVED)

    assert not is_known(services, group["id"])


# Erasure


def test_delete_user_data_erases_the_person_under_both_ids(
    services: Services, user: str, object_id: str
):
    person = {"id": user, "aadObjectId": object_id}
    receive(services, user, **{"from": person})
    receive(services, user, type="deleteUserData", **{"from": person})

    assert services.accounts.get("msteams", user) is None
    assert services.accounts.get("msteams", object_id) is None
    assert not is_known(services, f"a:{user}")
    # What was made before both ids were known is erased too.
    services.accounts.change_or_make("msteams", object_id, lambda _: Account("msteams", object_id))
    receive(services, user, type="deleteUserData", **{"from": person})
    assert services.accounts.get("msteams", object_id) is None
