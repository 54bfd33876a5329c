from collections import Counter

import pytest

from tests.flows.running_app import APP_ID, TENANT_ID, new_user
from tests.support.connector import is_send, is_start

# As it stands in the documentation of the Bot Connector.
EXAMPLE = {
    "bot": {"id": "12345678", "name": "bot's name"},
    "isGroup": False,
    "members": [{"id": "1234abcd", "name": "recipient's name"}],
    "topicName": "News Alert",
}
CONVERSATION_PARAMETERS = {
    "isGroup",
    "bot",
    "members",
    "topicName",
    "tenantId",
    "activity",
    "channelData",
}


@pytest.fixture(autouse=True)
def nobody_knows_the_member_of_the_example(app, connector):
    connector.set_conversation_id("1234abcd", "abcd1234")
    app.host.request("DELETE", "/api/accounts/msteams/1234abcd")


def check_example(start, send):
    assert str(start) == "POST /teams/v3/conversations"
    assert {name: start.json.get(name) for name in EXAMPLE} == EXAMPLE
    assert set(start.json) <= CONVERSATION_PARAMETERS
    assert str(send) == "POST /teams/v3/conversations/abcd1234/activities"
    assert (send.json["type"], send.json["text"]) == ("message", "An article for you")
    assert start.headers["Authorization"] == "Bearer identity-token-1"
    assert send.headers["Authorization"] == "Bearer identity-token-1"


def test_the_documented_example_starts_a_conversation_into_which_activities_go(app, connector):
    started = app.post("/api/conversations", EXAMPLE)
    found = app.get(started.headers["Location"])
    sent = app.send("abcd1234", type="message", text="An article for you")

    check_example(*app.calls)
    assert started.status == 201
    assert started.json() == {
        "id": "abcd1234",
        "channelId": "msteams",
        "serviceUrl": f"{connector.url}/teams/",
    }
    assert (found.status, found.json()) == (200, started.json())
    assert sent.status == 201
    assert sent.json()["id"].startswith("activity-")


def test_the_documented_example_does_the_same_through_the_queues(app):
    app.enqueue("start-conversation", EXAMPLE)
    app.settle()
    found = app.get("/api/conversations/abcd1234")
    app.enqueue(
        "send-activity",
        {"conversationId": "abcd1234", "activity": {"text": "An article for you"}},
    )
    app.settle()

    assert found.status == 200
    check_example(*app.calls)


def test_a_recipient_whom_nobody_knows_is_tried_with_what_the_settings_give(app, connector):
    object_id = new_user().removeprefix("29:")

    app.enqueue(
        "send-activity",
        {
            "recipient": {"channelId": "msteams", "userId": object_id},
            "activity": {"text": "Your order has shipped"},
        },
    )
    app.settle()

    start, send = app.calls
    assert str(start) == "POST /teams/v3/conversations"
    assert start.json == {
        "isGroup": False,
        "bot": {"id": f"28:{APP_ID}"},
        "members": [{"id": object_id}],
        "tenantId": TENANT_ID,
        "channelData": {"tenant": {"id": TENANT_ID}},
    }
    assert str(send) == (f"POST /teams/v3/conversations/a%3Achat-with-{object_id}/activities")
    assert send.json["text"] == "Your order has shipped"


def test_messages_for_a_new_user_all_at_once_start_one_conversation(app, connector, user):
    texts = [f"message {number}" for number in range(30)]
    # A channel that takes any number of messages for one conversation at once.
    recipient = {"channelId": "slack", "userId": user}
    connector.block(when=is_start)

    app.enqueue(
        "send-activity",
        *({"recipient": recipient, "activity": {"text": text}} for text in texts),
    )
    connector.wait_for_waiting(1)
    connector.release()
    app.settle()

    assert sum(is_start(call) for call in app.calls) == 1
    assert Counter(call.json["text"] for call in app.calls if is_send(call)) == Counter(texts)
    assert app.storage.take_poison("send-activity") == []
    assert app.storage.take_poison("start-conversation") == []


def test_the_queue_caches_an_account_that_a_message_then_reaches(app, connector, user):
    app.enqueue(
        "cache-account",
        {
            "channelId": "telegram",
            "user": {"id": user, "name": "Alex"},
            "bot": {"id": "news-bot"},
            "serviceUrl": f"{connector.url}/telegram/",
            "conversation": {"id": f"t:{user}"},
        },
    )
    app.settle()
    app.enqueue(
        "send-activity",
        {
            "recipient": {"channelId": "telegram", "userId": user},
            "activity": {"text": "Hello"},
        },
    )
    app.settle()

    [send] = app.calls
    assert send.path.startswith("/telegram/v3/conversations/t%3A")
    assert send.json["from"] == {"id": "news-bot"}
