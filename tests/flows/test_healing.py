"""A conversation that the Connector knows no more: the person is reached all the same."""

import math

import pytest

from tests.flows.running_app import SENDING, new_user
from tests.support.connector import is_send, is_start


@pytest.fixture
def stale_id(app, connector, user, conversation_id):
    """The id of a conversation that the app believes in, and the Connector does not."""
    connector.fail(
        404,
        "ConversationNotFound",
        times=math.inf,
        when=lambda call: call.path.endswith(f"/{quoted(conversation_id)}/activities"),
    )
    return conversation_id


def quoted(conversation_id):
    return conversation_id.replace(":", "%3A")


def targets_of(calls):
    return [call.path.split("/v3/conversations")[1] for call in calls]


def test_a_stale_conversation_is_started_again_and_the_message_sent(app, connector, user, stale_id):
    delivery_id = f"healed-{user}"
    before = app.account("msteams", user)

    recipient = {"channelId": "msteams", "userId": user}
    app.enqueue(SENDING, {"id": delivery_id, "recipient": recipient, "activity": {"text": "News"}})
    app.settle()

    new_id = connector.conversation_id(user)
    delivery = app.delivery(delivery_id)
    assert targets_of(app.calls) == [
        f"/{quoted(stale_id)}/activities",
        "",
        f"/{quoted(new_id)}/activities",
    ]
    assert app.calls[1].json["members"] == [{"id": user}]
    assert app.calls[2].json["text"] == "News"
    assert (delivery["status"], delivery["recreated"], delivery["attempts"]) == ("sent", True, 3)
    assert (delivery["conversationId"], "ambiguous" in delivery) == (new_id, False)
    after = app.account("msteams", user)
    assert after["conversation"]["id"] == new_id
    assert after["tenantId"] == before["tenantId"]
    assert app.storage.take_poison(SENDING) == []


def test_the_old_id_goes_on_reaching_the_person(app, connector, user, stale_id):
    app.enqueue(SENDING, {"conversationId": stale_id, "activity": {"text": "First"}})
    app.settle()
    app.begin()

    app.enqueue(SENDING, {"conversationId": stale_id, "activity": {"text": "Second"}})
    app.settle()
    over_http = app.send(stale_id, text="Third")

    new_path = f"/{quoted(connector.conversation_id(user))}/activities"
    assert targets_of(app.calls) == [new_path, new_path]
    assert [call.json["text"] for call in app.calls] == ["Second", "Third"]
    assert over_http.status == 201


def test_what_is_healed_once_fails_the_second_time(app, connector, user, stale_id):
    connector.fail(
        404,
        "ConversationNotFound",
        times=math.inf,
        when=lambda call: is_send(call) and user.split(":")[1] in call.path,
    )
    message = {"id": f"twice-{user}", "conversationId": stale_id, "activity": {"text": "News"}}

    app.enqueue(SENDING, message)
    app.settle()

    [poison] = app.storage.take_poison(SENDING)
    delivery = app.delivery(f"twice-{user}")
    assert [is_start(call) for call in app.calls] == [False, True, False]
    assert (delivery["status"], delivery["code"]) == ("permanent-failure", "ConversationNotFound")
    assert delivery["recreated"] is True
    assert poison["message"] == message
    assert poison["failure"]["attempts"] == 3
    assert app.account("msteams", user)["userId"] == user


def test_a_group_that_is_gone_is_not_started_again(app, connector):
    group = {"channelId": "telegram", "isGroup": True, "members": [{"id": new_user()}]}
    group_id = app.start(**group).json()["id"]
    connector.fail(404, "ConversationNotFound")
    app.begin()

    app.enqueue(SENDING, {"id": group_id, "conversationId": group_id, "activity": {"text": "News"}})
    app.settle()

    [poison] = app.storage.take_poison(SENDING)
    assert len(app.calls) == 1
    assert poison["failure"]["code"] == "ConversationNotFound"
    assert app.delivery(group_id)["status"] == "permanent-failure"


def test_over_http_the_caller_is_told(app, user, stale_id):
    answer = app.send(stale_id, text="News")

    assert (answer.status, answer.json()["code"]) == (404, "ConversationNotFound")
    assert len(app.calls) == 1
