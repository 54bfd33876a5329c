import pytest

from SendActivity.triggers import send_activity_from_queue, send_activity_http
from shared.accounts.conversations import Conversation
from shared.messages.queue_names import SEND_ACTIVITY
from tests.support.builders import answer_of, http_request, invocation, queue_message


@pytest.fixture(autouse=True)
def conversation(deployed, connector):
    conversation = Conversation("a:1/2", "telegram", connector.url)
    deployed.conversations.put(conversation)
    return conversation


def send(body, conversation_id="a:1%2F2", headers=None, **params):
    route = {"conversationId": conversation_id}
    request = http_request("POST", body, route=route, params=params, headers=headers)
    return send_activity_http(request)


def test_a_sent_activity_is_created(connector):
    assert answer_of(send({"text": "News"})) == (201, {"id": "activity-1"})
    assert connector.requests[0].json == {
        "type": "message",
        "text": "News",
        "conversation": {"id": "a:1/2"},
    }


def test_an_activity_that_got_no_id_is_accepted(connector):
    connector.answer(202)

    assert answer_of(send({"text": "News"})) == (202, {})


def test_what_comes_twice_with_one_key_is_sent_once(connector):
    first, again = (send({"text": "News"}, headers={"Idempotency-Key": "key-1"}) for _ in range(2))

    assert answer_of(first) == answer_of(again) == (201, {"id": "activity-1"})
    assert len(connector.requests) == 1


def test_the_channel_may_be_named(connector):
    assert send({"text": "News"}, channelId="telegram").status_code == 201
    assert send({"text": "News"}, channelId="line").status_code == 404
    assert send({"text": "News"}, channelId="no channel").status_code == 400
    assert len(connector.requests) == 1


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"not json", 400, "(body)"),
        ({"text": 5}, 400, "text"),
        ({"text": "x" * 200_000}, 413, "text"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_wrong_is_named_and_nothing_sent(connector, body, status, field):
    got, problem = answer_of(send(body))

    assert (got, problem["code"]) == (status, "InvalidRequest")
    assert [error["field"] for error in problem["errors"]] == [field]
    assert connector.requests == []


def test_an_unknown_conversation_is_told_apart_from_one_that_is_gone(connector):
    connector.fail(404, "ConversationNotFound", headers={"MS-CV": "abc.1"})

    here = answer_of(send({"text": "News"}, "a:2"))[1]
    there = answer_of(send({"text": "News"}))[1]

    assert (here["status"], here["code"]) == (404, "UnknownConversation")
    assert (there["status"], there["code"]) == (404, "ConversationNotFound")
    assert there["correlationId"] == "abc.1"


@pytest.mark.parametrize(
    ("status", "headers", "answer", "code", "retry_after"),
    [
        (400, {}, 400, "SomeCode", None),
        (401, {}, 500, "BotCredentialError", None),
        (429, {}, 429, "SomeCode", "10"),
        (503, {"Retry-After": "7"}, 502, "SomeCode", "7"),
        (302, {"Location": "https://evil.example/"}, 502, "ConnectorRedirected", None),
    ],
)
def test_what_the_connector_says_is_passed_on(
    connector, status, headers, answer, code, retry_after
):
    connector.fail(status, "SomeCode", "You sent: News", headers)

    response = send({"text": "News"})

    got, problem = answer_of(response)
    assert (got, problem["code"]) == (answer, code)
    assert response.headers.get("Retry-After") == retry_after
    assert "You sent" not in problem["detail"]
    assert len(connector.requests) == 1


def test_a_message_from_the_queue_is_sent(connector, queue_reader):
    poison = queue_reader(f"{SEND_ACTIVITY}-poison")

    send_activity_from_queue(
        queue_message({"conversationId": "a:1/2", "activity": {"text": "News"}}), invocation()
    )

    assert connector.requests[0].json["text"] == "News"
    assert poison.count() == 0
