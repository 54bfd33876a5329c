"""What people write to the bot, kept and confirmed, on real storage."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from CacheAccount.service import cache_account
from local.azurite import Azurite
from shared.deliveries.delivery import Delivery, Destination, Status
from shared.messages.queue_names import UPDATE_ACTIVITY
from shared.wiring import Services
from tests.ReceiveActivity.activities import BOT
from tests.ReceiveActivity.keeping import IN_COPILOT, account_of, receive
from tests.support.builders import QueueReader, settings, unique

pytestmark = pytest.mark.usefixtures("queue")


def test_a_command_is_confirmed_once_where_it_was_written(
    services: Services, user: str, queue: QueueReader
):
    receive(services, user, text="follow Lighthouses")
    first = services.accounts.get("msteams", user)

    receive(services, user, text="follow Lighthouses")

    assert services.accounts.get("msteams", user) == first
    (message,) = queue.take()
    assert message["conversationId"] == f"a:{user}"
    assert message["activity"]["text"] == "Sie folgen Lighthouses."
    assert message["_flow"]["isReply"] is True
    assert account_of(services, user).preferences == {"interests": ["Lighthouses"]}


def test_of_two_messages_that_arrive_swapped_the_command_for_less_is_not_lost(
    services: Services, user: str, queue: QueueReader
):
    for number, (newer, late, expected, confirmed) in enumerate(
        [
            ("hello", "stop", {"muted": True}, 2),
            ("follow Rain", "stop", {"interests": ["Rain"], "muted": True}, 2),
            ("follow Rain", "mute Snow", {"interests": ["Rain"], "mutedTopics": ["Snow"]}, 2),
            ("follow Rain", "follow Snow", {"interests": ["Rain"]}, 1),
            ("start", "stop", {"muted": False}, 1),
        ]
    ):
        user_id = f"{user}-{number}"
        receive(services, user_id, day=2, text=newer)
        receive(services, user_id, day=1, text=late)

        assert account_of(services, user_id).preferences == expected, late
        assert len(queue.take()) == confirmed, late
        queue.clear()


def test_what_a_message_says_once_it_was_edited_is_read_and_confirmed(
    services: Services, user: str, queue: QueueReader
):
    receive(services, user, text="follow Rain")
    receive(services, user, type="messageUpdate", text="stop")

    assert account_of(services, user).preferences == {"interests": ["Rain"], "muted": True}
    ids = [message["_flow"]["id"] for message in queue.take()]
    assert len(set(ids)) == 2


def test_a_stop_in_copilot_is_confirmed_where_the_bot_can_write(
    services: Services, user: str, queue: QueueReader
):
    stranger = unique("29:stranger")
    receive(services, user)
    queue.clear()

    for each in (user, stranger):
        receive(services, each, day=2, text="stop", **IN_COPILOT)
        assert account_of(services, each).preferences == {"muted": True}

    assert [message["conversationId"] for message in queue.take()] == [f"a:{user}"]


def test_a_stop_is_not_lost_to_preferences_that_were_told_elsewhere_meanwhile(
    services: Services, user: str
):
    receive(services, user)
    told = {"preferences": {"interests": ["Rain"]}, "observedAt": "2026-01-03T10:00:00Z"}
    cache_account({"channelId": "msteams", "userId": user, **told}, services)

    receive(services, user, day=2, text="stop")

    assert account_of(services, user).preferences == {"interests": ["Rain"], "muted": True}


def test_an_older_save_undoes_nothing_that_was_written_since(
    azurite: Azurite, user: str, queue: QueueReader
):
    topics = settings(AzureWebJobsStorage=azurite.connection_string, Topics="Ferries")
    services = Services.of(topics)
    chat: dict[str, Any] = {"channelId": "webchat", "channelData": None}
    receive(services, user, day=1, **chat, text="follow Rain")
    receive(services, user, day=2, **chat, text="stop")
    queue.clear()
    receive(services, user, day=3, **chat, text="interests")
    [asked] = queue.take()
    choices, _, actions = asked["activity"]["attachments"][0]["content"]["body"]
    ferries = choices["choices"][0]["value"]
    for day, text in ((5, "unfollow Ferries"), (6, "stop")):
        receive(services, user, day=day, **chat, text=text)

    # Rain is unticked, Ferries ticked, and alerts are to come again.
    saved = {**actions["actions"][0]["data"], "topics": ferries, "stopped": "false"}
    receive(services, user, day=4, **chat, text=None, value=saved)

    stored = services.accounts.get("webchat", user)
    assert stored is not None
    assert stored.account.preferences == {"muted": True}


def test_no_topic_is_dropped_for_another_and_who_has_no_room_for_one_more_is_told_so(
    services: Services, user: str, queue: QueueReader
):
    topics = [f"{number:025}" for number in range(575)]
    receive(services, user)
    for each in ("interests", "mutedTopics"):
        told = {"preferences": {each: topics}, "observedAt": "2026-01-02T10:00:00Z"}
        cache_account({"channelId": "msteams", "userId": user, **told}, services)
    long, longer = "x" * 200, "y" * 200
    texts = [
        # The first one arrives late.
        f"mute {long}",
        f"follow {topics[0]}",
        "follow Rain",
        f"mute {longer}",
        f"mute {longer[1:]}",
        f"mute {long}",
        "mute Snow",
        "stop",
    ]
    queue.clear()

    for day, text in enumerate(texts, 1):
        receive(services, user, day=day, text=text)

    assert account_of(services, user).preferences == {
        "interests": topics,
        "mutedTopics": [*topics[1:], long, longer, "Snow"],
        "muted": True,
    }
    starts = [message["activity"]["text"][:22] for message in queue.take()]
    assert starts == [
        "Sie bekommen keine Mel",
        "Sie folgen 00000000000",
        "Für Rain ist kein Plat",
        "Sie bekommen keine Mel",
        "Für yyyyyyyyyyyyyyyyyy",
        "Sie bekommen keine Mel",
        "Sie bekommen keine Mel",
        "Sie bekommen keine Mel",
    ]


def test_what_is_ticked_is_saved_and_told_by_a_text_where_no_card_is_shown_anew(
    azurite: Azurite, user: str, queue: QueueReader, queue_reader: Callable[[str], QueueReader]
):
    edits = queue_reader(UPDATE_ACTIVITY)
    edits.clear()
    topics = settings(AzureWebJobsStorage=azurite.connection_string, Topics="Ferries, Lighthouses")
    services = Services.of(topics)
    chat: dict[str, Any] = {"channelId": "webchat", "channelData": None, "locale": "en"}
    receive(services, user, **chat, text="interests")
    [asked] = queue.take()
    to, now = Destination("webchat", "", None, asked["conversationId"]), datetime.now(UTC)
    card = Delivery(asked["_flow"]["id"], Status.SENT, now, now, destination=to, activity_id="1")
    services.deliveries.record(card)
    choices, _, actions = asked["activity"]["attachments"][0]["content"]["body"]
    ticked = {"topics": choices["choices"][0]["value"], "stopped": "false"}
    saved = {**actions["actions"][0]["data"], **ticked}

    receive(services, user, day=2, **chat, text=None, value=saved)

    [told] = queue.take()
    assert edits.count() == 0
    assert told["activity"]["text"] == (
        "Saved.\nYou follow: Ferries.\nThere is news on: Ferries, Lighthouses."
    )


def test_where_others_could_click_topics_are_listed_for_who_mentions_the_bot(
    services: Services, user: str, queue: QueueReader
):
    group = {"id": unique("19:group"), "conversationType": "groupChat"}
    asked: dict[str, Any] = {"text": "interests", "conversation": group, "locale": "en"}
    mention = {"type": "mention", "text": "<at>Notify Bot</at>", "mentioned": BOT}

    receive(services, user, **asked, id="1")
    receive(services, user, **asked, id="2", entities=[mention])

    [said] = queue.take()
    assert said["activity"]["text"].startswith("You follow no topic yet.")
    assert "attachments" not in said["activity"]
