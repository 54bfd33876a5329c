"""What is kept of those who talk with the bot, on real storage."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from CacheAccount.service import cache_account
from local.azurite import Azurite
from ReceiveActivity.service import receive_activity
from shared.accounts.account import Account, OneToOne
from shared.errors import ForbiddenActivityError, UnknownConversationError
from shared.messages.envelope import SEND_ACTIVITY
from shared.wiring import Services
from tests.ReceiveActivity.activities import inbound, read
from tests.support.builders import QueueReader, settings, unique

SERVICE_URL = "http://127.0.0.1:9/amer"


@pytest.fixture
def services(azurite: Azurite) -> Services:
    return Services.of(settings(AzureWebJobsStorage=azurite.connection_string))


@pytest.fixture(autouse=True)
def queue(azurite: Azurite) -> Iterator[QueueReader]:
    """The queue of confirmations, which all tests share: empty before, and left empty."""
    queue = QueueReader(azurite.connection_string, SEND_ACTIVITY)
    queue.clear()
    yield queue
    queue.clear()
    queue.close()


@pytest.fixture
def user() -> str:
    return unique("29:user")


def receive(services: Services, user_id: str, **changes: Any) -> None:
    receive_activity(read(inbound(SERVICE_URL, user_id, **changes)), services)


def account_of(services: Services, user_id: str) -> Account:
    stored = services.accounts.get("msteams", user_id)
    assert stored is not None
    return stored.account


def test_a_message_tells_who_writes_and_where(services: Services, user: str):
    receive(services, user, localTimezone="Europe/Vienna")

    account = account_of(services, user)
    assert account.name == "Alex Wilber"
    assert account.locale == "de-AT"
    assert account.time_zone == "Europe/Vienna"
    assert account.service_url == SERVICE_URL
    assert account.bot is not None
    assert account.bot.to_json() == {"id": "28:bot", "name": "Notify Bot"}
    assert account.conversation is not None
    assert account.conversation.id == f"a:{user}"
    assert account.installed is True
    assert services.conversations.find(f"a:{user}").user_id == user


def test_the_same_activity_twice_changes_nothing_and_is_answered_once(
    services: Services, user: str, queue: QueueReader
):
    receive(services, user, text="stop")
    first = services.accounts.get("msteams", user)

    receive(services, user, text="stop")

    assert services.accounts.get("msteams", user) == first
    assert queue.count() == 1


def test_older_activities_do_not_overwrite_newer_facts(services: Services, user: str):
    receive(services, user, timestamp="2026-01-02T10:00:00Z", locale="sv-SE")

    receive(services, user, timestamp="2026-01-01T10:00:00Z", locale="de-AT")

    assert account_of(services, user).locale == "sv-SE"


def test_a_stop_that_arrives_late_still_holds(services: Services, user: str):
    receive(services, user, timestamp="2026-01-02T10:00:00Z", text="hello")

    receive(services, user, timestamp="2026-01-01T10:00:00Z", text="stop")

    assert account_of(services, user).preferences == {"muted": True}


@pytest.mark.parametrize(
    ("late", "expected"),
    [
        ("stop", {"interests": ["Rain"], "muted": True}),
        ("mute Snow", {"interests": ["Rain"], "mutedTopics": ["Snow"]}),
        ("follow Snow", {"interests": ["Rain"]}),
    ],
)
def test_of_two_messages_that_arrive_swapped_the_wish_for_less_is_not_lost(
    services: Services, user: str, late: str, expected: dict[str, Any]
):
    receive(services, user, timestamp="2026-01-02T10:00:00Z", text="follow Rain")

    receive(services, user, timestamp="2026-01-01T10:00:00Z", text=late)

    assert account_of(services, user).preferences == expected


def test_a_stop_is_not_lost_to_preferences_that_were_told_elsewhere_meanwhile(
    services: Services, user: str
):
    receive(services, user, timestamp="2026-01-01T09:00:00Z")
    told = {
        "channelId": "msteams",
        "userId": user,
        "preferences": {"interests": ["Rain"]},
        "observedAt": "2026-01-02T10:00:00Z",
    }
    cache_account(told, services)

    receive(services, user, timestamp="2026-01-01T10:00:00Z", text="stop")

    assert account_of(services, user).preferences == {"interests": ["Rain"], "muted": True}


def test_a_stop_that_arrives_after_a_newer_start_does_not_hold(services: Services, user: str):
    receive(services, user, timestamp="2026-01-02T10:00:00Z", text="start")

    receive(services, user, timestamp="2026-01-01T10:00:00Z", text="stop")

    assert account_of(services, user).preferences == {"muted": False}


def test_the_latest_service_url_is_kept_for_the_conversation_too(services: Services, user: str):
    receive(services, user)

    moved = inbound("http://127.0.0.1:9/emea", user, timestamp="2026-01-03T10:00:00Z")
    receive_activity(read(moved), services)

    assert account_of(services, user).service_url == "http://127.0.0.1:9/emea"
    assert services.conversations.find(f"a:{user}").service_url == "http://127.0.0.1:9/emea"


def test_an_untrusted_service_url_stores_nothing(services: Services, user: str):
    forged = inbound("https://evil.example/", user)

    with pytest.raises(ForbiddenActivityError):
        receive_activity(read(forged), services)

    assert services.accounts.get("msteams", user) is None


def test_uninstalling_forgets_the_conversation_but_not_the_person(services: Services, user: str):
    receive(services, user)

    receive(
        services,
        user,
        type="installationUpdate",
        action="remove",
        timestamp="2026-01-02T10:00:00Z",
    )

    account = account_of(services, user)
    assert account.installed is False
    assert account.conversation is None
    assert account.locale == "de-AT"
    with pytest.raises(UnknownConversationError):
        services.conversations.find(f"a:{user}")


def test_uninstalling_by_somebody_unknown_makes_no_account(services: Services, user: str):
    receive(services, user, type="installationUpdate", action="remove")

    assert services.accounts.get("msteams", user) is None


def test_an_install_lifts_uninstalled_but_not_the_persons_own_stop(services: Services, user: str):
    receive(services, user, text="stop")
    receive(
        services, user, type="installationUpdate", action="remove", timestamp="2026-01-02T10:00:00Z"
    )

    receive(
        services, user, type="installationUpdate", action="add", timestamp="2026-01-03T10:00:00Z"
    )

    account = account_of(services, user)
    assert account.installed is True
    assert account.preferences == {"muted": True}


def test_a_message_in_a_team_keeps_the_one_to_one_conversation(services: Services, user: str):
    receive(services, user)
    channel = unique("19:channel")

    receive(
        services,
        user,
        timestamp="2026-01-02T10:00:00Z",
        conversation={"id": channel, "conversationType": "channel", "isGroup": True},
    )

    one_to_one = account_of(services, user).conversation
    assert one_to_one is not None
    assert one_to_one.id == f"a:{user}"
    assert services.conversations.find(channel).is_group
    assert services.conversations.find(channel).user_id is None


def test_the_bot_leaving_a_group_forgets_the_group(services: Services, user: str):
    group: dict[str, Any] = {"id": unique("19:group"), "conversationType": "groupChat"}
    receive(services, user, conversation=group)

    receive(
        services,
        user,
        type="conversationUpdate",
        conversation=group,
        membersRemoved=[{"id": "28:bot"}],
    )

    with pytest.raises(UnknownConversationError):
        services.conversations.find(group["id"])


def test_delete_user_data_erases_the_person(services: Services, user: str):
    receive(services, user)

    receive(services, user, type="deleteUserData")

    assert services.accounts.get("msteams", user) is None
    with pytest.raises(UnknownConversationError):
        services.conversations.find(f"a:{user}")


def test_a_command_is_confirmed_where_it_was_written(
    services: Services, user: str, queue: QueueReader
):
    receive(services, user, text="follow Lighthouses")

    (message,) = queue.take()
    assert message["conversationId"] == f"a:{user}"
    assert message["activity"]["text"] == "Sie folgen Lighthouses."
    assert message["_flow"]["isReply"] is True
    assert account_of(services, user).preferences == {"interests": ["Lighthouses"]}


def test_both_ids_of_a_person_find_one_account(services: Services, user: str):
    object_id = unique("object")

    receive(services, user, **{"from": {"id": user, "aadObjectId": object_id}})

    assert account_of(services, object_id) == account_of(services, user)


def test_an_account_made_under_the_object_id_is_joined_to_the_persons(
    services: Services, user: str
):
    object_id = unique("object")
    services.accounts.change(
        "msteams",
        object_id,
        lambda _: Account("msteams", object_id, preferences={"muted": True}),
    )

    receive(services, user, **{"from": {"id": user, "aadObjectId": object_id}})

    for user_id in (user, object_id):
        account = account_of(services, user_id)
        assert account.user_id == user
        assert account.preferences == {"muted": True}


def test_erasing_by_one_id_erases_the_other(services: Services, user: str):
    object_id = unique("object")
    person = {"id": user, "aadObjectId": object_id}
    receive(services, user, **{"from": person})

    receive(services, user, type="deleteUserData", **{"from": person})

    assert services.accounts.get("msteams", object_id) is None
    assert services.accounts.get("msteams", user) is None


def test_who_said_stop_is_still_left_alone_after_being_forgotten(services: Services, user: str):
    receive(services, user, text="stop")
    receive(services, user, type="deleteUserData", timestamp="2026-01-02T10:00:00Z")

    assert services.erased_opt_outs.include("msteams", user)
    receive(services, user, timestamp="2026-01-03T10:00:00Z")
    assert account_of(services, user).preferences == {"muted": True}


def test_who_wants_alerts_again_is_not_taken_for_one_who_said_stop_when_forgotten_again(
    services: Services, user: str
):
    receive(services, user, text="stop")
    receive(services, user, type="deleteUserData", timestamp="2026-01-02T10:00:00Z")

    receive(services, user, text="start", timestamp="2026-01-03T10:00:00Z")
    receive(services, user, type="deleteUserData", timestamp="2026-01-04T10:00:00Z")

    assert not services.erased_opt_outs.include("msteams", user)


def test_an_object_id_finds_the_account_in_whatever_case(services: Services, user: str):
    object_id = str(uuid4())

    receive(services, user, **{"from": {"id": user, "aadObjectId": object_id}})

    assert account_of(services, object_id.upper()) == account_of(services, user)


def test_delete_user_data_erases_what_was_made_under_the_object_id_too(
    services: Services, user: str
):
    object_id = str(uuid4())
    services.accounts.change(
        "msteams", object_id, lambda _: Account("msteams", object_id, name="Alex Wilber")
    )

    person = {"id": user, "aadObjectId": object_id}
    receive(services, user, type="deleteUserData", **{"from": person})

    assert services.accounts.get("msteams", object_id) is None


def test_a_stop_that_outlived_an_account_is_not_lost_when_the_ids_are_joined(
    services: Services, user: str
):
    object_id = str(uuid4())
    receive(services, object_id, text="stop")
    receive(services, object_id, type="deleteUserData", timestamp="2026-01-02T10:00:00Z")
    receive(services, user, timestamp="2026-01-03T10:00:00Z")

    receive(
        services,
        user,
        timestamp="2026-01-04T10:00:00Z",
        **{"from": {"id": user, "aadObjectId": object_id}},
    )

    assert account_of(services, user).preferences == {"muted": True}


def test_what_a_conversation_was_started_with_stays_when_its_user_writes(
    services: Services, user: str
):
    started = OneToOne(f"a:{user}", activity_id="first")
    services.accounts.change(
        "msteams", user, lambda _: Account("msteams", user).with_conversation(started)
    )

    receive(services, user)

    kept = account_of(services, user).conversation
    assert kept is not None
    assert kept.activity_id == "first"
    assert services.conversations.find(f"a:{user}").activity_id == "first"


def test_old_news_of_a_group_does_not_bring_its_old_service_url_back(services: Services, user: str):
    group: dict[str, Any] = {"id": unique("19:group"), "isGroup": True}
    receive(services, user, conversation=group, timestamp="2026-01-02T10:00:00Z")

    late = inbound("http://127.0.0.1:9/old", user, conversation=group)
    receive_activity(read(late), services)
    receive(
        services,
        user,
        type="conversationUpdate",
        conversation=group,
        membersRemoved=[{"id": "28:bot"}],
    )

    assert services.conversations.find(group["id"]).service_url == SERVICE_URL


def test_a_bot_without_a_name_is_kept_without_one(services: Services, user: str):
    receive(services, user, recipient={"id": "28:bot", "name": None})

    bot = account_of(services, user).bot
    assert bot is not None
    assert bot.to_json() == {"id": "28:bot"}


def test_a_command_that_came_too_late_to_hold_is_not_confirmed(
    services: Services, user: str, queue: QueueReader
):
    receive(services, user, timestamp="2026-01-02T10:00:00Z", text="start")
    queue.clear()

    receive(services, user, timestamp="2026-01-01T10:00:00Z", text="stop")

    assert queue.count() == 0


@pytest.mark.parametrize("type_", ["typing", "event", "messageReaction", "somethingNew"])
def test_other_types_of_activities_store_nothing(services: Services, user: str, type_: str):
    group: dict[str, Any] = {"id": unique("19:group"), "isGroup": True}

    receive(services, user, type=type_, conversation=group)

    assert services.accounts.get("msteams", user) is None
    with pytest.raises(UnknownConversationError):
        services.conversations.find(group["id"])
