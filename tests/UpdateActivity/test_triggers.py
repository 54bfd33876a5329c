import pytest

from shared.accounts.conversations import Conversation
from shared.messages.queue_names import UPDATE_ACTIVITY
from tests.support.builders import answer_of, http_request, invocation, queue_message
from UpdateActivity.triggers import update_activity_from_queue, update_activity_http


@pytest.fixture(autouse=True)
def conversation(deployed, connector):
    deployed.conversations.put(Conversation("a:1/2", "telegram", connector.url))


def update(body, activity_id="7%2F8", **params):
    route = {"conversationId": "a:1%2F2", "activityId": activity_id}
    return update_activity_http(http_request("PUT", body, route=route, params=params))


def test_an_edited_activity_keeps_its_id(connector):
    assert answer_of(update({"text": "News"})) == (200, {"id": "7/8"})

    [request] = connector.requests
    assert str(request) == "PUT /v3/conversations/a%3A1%2F2/activities/7%2F8"
    assert request.json == {
        "type": "message",
        "text": "News",
        "id": "7/8",
        "conversation": {"id": "a:1/2"},
    }


def test_the_ids_and_the_channel_can_stand_in_the_query(connector):
    params = {"conversationId": "a:1/2", "activityId": "a%2Fb", "channelId": "telegram"}

    assert answer_of(update({"text": "News"}, "-", **params)) == (200, {"id": "a%2Fb"})
    assert update({"text": "News"}, channelId="line").status_code == 404
    assert update({"text": "News"}, channelId="no channel").status_code == 400

    [request] = connector.requests
    assert request.path == "/v3/conversations/a%3A1%2F2/activities/a%252Fb"


@pytest.mark.parametrize(
    ("body", "activity_id", "status", "field"),
    [
        (b"not json", "7", 400, "(body)"),
        ({"text": 5}, "7", 400, "text"),
        ({"text": "x" * 200_000}, "7", 413, "text"),
        ({"text": "News"}, "..", 400, "activityId"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_wrong_is_named_and_nothing_sent(connector, body, activity_id, status, field):
    got, problem = answer_of(update(body, activity_id))

    assert (got, problem["code"]) == (status, "InvalidRequest")
    assert [error["field"] for error in problem["errors"]] == [field]
    assert connector.requests == []


@pytest.mark.parametrize(
    ("status", "answer", "code"),
    [(404, 404, "SomeCode"), (405, 422, "ActivityChangeNotSupported")],
)
def test_what_the_connector_says_is_passed_on(connector, status, answer, code):
    connector.fail(status, "SomeCode", "You sent: News", {"MS-CV": "abc.1"})

    got, problem = answer_of(update({"text": "News"}))

    assert (got, problem["code"], problem["correlationId"]) == (answer, code, "abc.1")
    assert "You sent" not in problem["detail"]
    assert len(connector.requests) == 1


def test_a_message_from_the_queue_edits(connector, queue_reader):
    poison = queue_reader(f"{UPDATE_ACTIVITY}-poison")
    body = {"conversationId": "a:1/2", "activityId": "7", "activity": {"text": "News"}}

    update_activity_from_queue(queue_message(body), invocation())

    [request] = connector.requests
    assert str(request) == "PUT /v3/conversations/a%3A1%2F2/activities/7"
    assert request.json["text"] == "News"
    assert poison.count() == 0
