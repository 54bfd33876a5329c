import pytest

from DeleteActivity.triggers import delete_activity_from_queue, delete_activity_http
from shared.accounts.conversations import Conversation
from shared.messages.queue_names import DELETE_ACTIVITY
from tests.support.builders import answer_of, http_request, invocation, queue_message


@pytest.fixture(autouse=True)
def conversation(deployed, connector):
    deployed.conversations.put(Conversation("a:1/2", "telegram", connector.url))


def delete(activity_id="7%2F8", **params):
    route = {"conversationId": "a:1%2F2", "activityId": activity_id}
    return delete_activity_http(http_request("DELETE", route=route, params=params))


def test_a_deleted_activity_is_no_content(connector):
    answer = delete()

    [request] = connector.requests
    assert (answer.status_code, answer.get_body()) == (204, b"")
    assert str(request) == "DELETE /v3/conversations/a%3A1%2F2/activities/7%2F8"
    assert request.body == b""


def test_the_ids_and_the_channel_can_stand_in_the_query(connector):
    params = {"conversationId": "a:1/2", "activityId": "a%2Fb", "channelId": "telegram"}

    assert delete("-", **params).status_code == 204
    assert delete(channelId="line").status_code == 404
    assert delete(channelId="no channel").status_code == 400

    [request] = connector.requests
    assert request.path == "/v3/conversations/a%3A1%2F2/activities/a%252Fb"


@pytest.mark.parametrize("activity_id", ["", "."])
def test_an_id_that_is_none_is_named(connector, activity_id):
    status, problem = answer_of(delete(activity_id))

    assert (status, problem["code"]) == (400, "InvalidRequest")
    assert [error["field"] for error in problem["errors"]] == ["activityId"]
    assert connector.requests == []


@pytest.mark.parametrize(
    ("status", "answer", "code"),
    [(404, 404, "SomeCode"), (501, 422, "ActivityChangeNotSupported")],
)
def test_what_the_connector_says_is_passed_on(connector, status, answer, code):
    connector.fail(status, "SomeCode", headers={"MS-CV": "abc.1"})

    got, problem = answer_of(delete())

    assert (got, problem["code"], problem["correlationId"]) == (answer, code, "abc.1")
    assert len(connector.requests) == 1


def test_a_message_from_the_queue_deletes(connector, queue_reader):
    poison = queue_reader(f"{DELETE_ACTIVITY}-poison")

    delete_activity_from_queue(
        queue_message({"conversationId": "a:1/2", "activityId": "7"}), invocation()
    )

    assert list(map(str, connector.requests)) == ["DELETE /v3/conversations/a%3A1%2F2/activities/7"]
    assert poison.count() == 0
