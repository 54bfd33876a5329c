"""What was sent is edited and recalled, over HTTP and by the queues: one call each."""

from urllib.parse import quote
from uuid import uuid4

import pytest

from tests.flows.running_app import SENDING, new_user

UPDATING, DELETING = "update-activity", "delete-activity"
ODD_IDS = ["1:7;x@y", "a/b", "a%2Fb", "f:1 ü?#&=+", "..7"]


@pytest.fixture(params=[UPDATING, DELETING])
def queue(request):
    return request.param


def path_of(conversation_id, activity_id):
    return (
        f"/api/conversations/{quote(conversation_id, safe='')}"
        f"/activities/{quote(activity_id, safe='')}"
    )


def update(app, conversation_id, activity_id, **activity):
    return app.put(path_of(conversation_id, activity_id), activity)


def delete(app, conversation_id, activity_id):
    return app.host.request("DELETE", path_of(conversation_id, activity_id))


def change(app, queue, conversation_id, activity_id="7"):
    """Ask for a change over HTTP."""
    if queue == UPDATING:
        return update(app, conversation_id, activity_id, text="Corrected")
    return delete(app, conversation_id, activity_id)


def message(queue, conversation_id, activity_id="7", **more):
    edit = {"activity": {"text": "Corrected"}} if queue == UPDATING else {}
    named = {"conversationId": conversation_id, "activityId": activity_id}
    return {"id": f"change {uuid4()}", **named, **edit, **more}


def changed(app, queue, body):
    """What became of a message that asks for a change."""
    app.enqueue(queue, body)
    app.settle()
    return app.delivery(body["id"])


def check_call(call, queue, conversation_id, activity_id):
    method = "PUT" if queue == UPDATING else "DELETE"
    target = f"{quote(conversation_id, safe='')}/activities/{quote(activity_id, safe='')}"
    assert str(call) == f"{method} /v3/conversations/{target}"
    assert call.headers["Authorization"].startswith("Bearer ")


def test_what_was_sent_is_edited_and_recalled_with_one_call_each(app, user, conversation_id):
    sent = app.send(conversation_id, text="It ships today.").json()["id"]
    edited = update(app, conversation_id, sent, text="It ships tomorrow.")
    by_queue = message(UPDATING, conversation_id, sent, activity={"text": "It has shipped."})
    edited_by_queue = changed(app, UPDATING, by_queue)
    deleted = delete(app, conversation_id, sent)

    send, *edits, deletion = app.calls
    assert (edited.status, edited.json()) == (200, {"id": sent})
    assert (edited_by_queue["status"], edited_by_queue["activityId"]) == ("sent", sent)
    assert edited_by_queue["recipient"] == {"channelId": "msteams", "userId": user}
    assert (deleted.status, deleted.body) == (204, b"")
    for edit, text in zip(edits, ("It ships tomorrow.", "It has shipped."), strict=True):
        check_call(edit, UPDATING, conversation_id, sent)
        assert edit.json == {**send.json, "text": text, "id": sent}
    check_call(deletion, DELETING, conversation_id, sent)
    assert deletion.body == b""
    assert deletion.headers["Content-Type"] is None


def test_what_a_queue_sent_is_recalled_by_the_queue(app, user, conversation_id):
    recipient = {"channelId": "msteams", "userId": user}
    app.enqueue(SENDING, {"id": user, "recipient": recipient, "activity": {"text": "News"}})
    app.settle()
    sent = app.delivery(user)["activityId"]

    recalled = changed(app, DELETING, message(DELETING, conversation_id, sent))

    assert (recalled["status"], recalled["attempts"]) == ("sent", 1)
    assert len(app.calls) == 2
    check_call(app.calls[1], DELETING, conversation_id, sent)


@pytest.mark.parametrize("odd_id", ODD_IDS)
def test_an_id_is_encoded_once(app, queue, conversation_id, odd_id):
    # An id that holds an escape itself can stand in the query only.
    path = path_of(conversation_id, "-" if "%" in odd_id else odd_id)
    query = f"?activityId={quote(odd_id, safe='')}"
    method, body = ("PUT", b'{"text": "Corrected"}') if queue == UPDATING else ("DELETE", None)

    in_path = app.host.request(method, path + (query if "%" in odd_id else ""), body)
    in_query = app.host.request(method, path_of(conversation_id, "-") + query, body)
    by_queue = changed(app, queue, message(queue, conversation_id, odd_id))

    assert {in_path.status, in_query.status} == {200 if queue == UPDATING else 204}
    assert by_queue["activityId"] == odd_id
    assert len(app.calls) == 3
    for call in app.calls:
        check_call(call, queue, conversation_id, odd_id)
        assert queue == DELETING or call.json["id"] == odd_id
    if queue == UPDATING:
        assert in_path.json() == in_query.json() == {"id": odd_id}


def test_who_said_stop_still_has_it_edited_and_recalled(app, queue, user):
    conversation = {"id": f"a:{user}"}
    app.remember("msteams", user, preferences={"muted": True}, conversation=conversation)

    over_http = change(app, queue, f"a:{user}")
    by_queue = changed(app, queue, message(queue, f"a:{user}"))

    assert app.send(f"a:{user}", text="News").json()["code"] == "Suppressed"
    assert over_http.status < 300
    assert by_queue["status"] == "sent"
    assert len(app.calls) == 2


@pytest.mark.parametrize("code", ["ConversationNotFound", "ActivityNotFoundInConversation"])
def test_what_is_gone_already(app, connector, queue, user, conversation_id, code):
    connector.fail(404, code, times=2)

    over_http = change(app, queue, conversation_id)
    body = message(queue, conversation_id)
    by_queue = changed(app, queue, body)

    poison = app.storage.take_poison(queue)
    assert (over_http.status, over_http.json()["code"]) == (404, code)
    if queue == UPDATING:
        assert (by_queue["status"], by_queue["code"]) == ("permanent-failure", code)
        assert [each["failure"]["code"] for each in poison] == [code]
    else:
        assert (by_queue["status"], poison) == ("sent", [])
    assert (by_queue["attempts"], "recreated" in by_queue) == (1, False)
    assert app.account("msteams", user)["conversation"]["id"] == conversation_id
    assert len(app.calls) == 2


@pytest.mark.parametrize("status", [405, 501])
def test_a_channel_that_cannot_do_it(app, connector, queue, conversation_id, status):
    connector.answer(status, {"message": "No such method."}, times=2)

    over_http = change(app, queue, conversation_id)
    by_queue = changed(app, queue, message(queue, conversation_id))

    code = "ActivityChangeNotSupported"
    [poison] = app.storage.take_poison(queue)
    assert (over_http.status, over_http.json()["code"]) == (422, code)
    assert (by_queue["status"], by_queue["code"]) == ("permanent-failure", code)
    assert (poison["failure"]["code"], poison["failure"]["attempts"]) == (code, 1)
    assert len(app.calls) == 2


def test_too_many_calls(app, connector, queue, conversation_id):
    connector.fail(429, "TooManyRequests", headers={"Retry-After": "7"})
    over_http = change(app, queue, conversation_id)
    connector.fail(429, "TooManyRequests", headers={"Retry-After": "0"})
    by_queue = changed(app, queue, message(queue, conversation_id))

    assert (over_http.status, over_http.headers["Retry-After"]) == (429, "7")
    assert (by_queue["status"], by_queue["attempts"]) == ("sent", 1)
    assert len(app.calls) == 3


def test_a_token_that_is_refused(app, connector, queue, conversation_id):
    connector.fail(401, "Unauthorized")

    refused = change(app, queue, conversation_id)
    again = change(app, queue, conversation_id)

    assert (refused.status, refused.json()["code"]) == (500, "BotCredentialError")
    assert again.status < 300
    first, second = (call.headers["Authorization"] for call in app.calls)
    assert first != second


def test_a_conversation_that_nobody_knows(app, queue):
    over_http = change(app, queue, new_user())
    by_queue = changed(app, queue, message(queue, new_user()))

    assert (over_http.status, over_http.json()["code"]) == (404, "UnknownConversation")
    assert (by_queue["status"], by_queue["code"]) == ("permanent-failure", "UnknownConversation")
    assert len(app.storage.take_poison(queue)) == 1
    assert app.calls == []


def test_a_message_that_is_given_out_twice_is_done_once(app, queue, conversation_id):
    body = message(queue, conversation_id)

    first, second = (changed(app, queue, body) for _ in range(2))

    assert first == second
    assert first["status"] == "sent"
    assert len(app.calls) == 1
    assert app.storage.take_poison(queue) == []


@pytest.mark.parametrize(
    ("wrong", "field"),
    [({"topic": "Orders"}, "topic"), ({"activityId": ""}, "activityId")],
)
def test_a_message_that_is_wrong_is_poison(app, queue, conversation_id, wrong, field):
    body = message(queue, conversation_id, **wrong)

    delivery = changed(app, queue, body)

    [poison] = app.storage.take_poison(queue)
    assert (delivery["status"], delivery["code"]) == ("permanent-failure", "InvalidRequest")
    assert poison["message"] == body
    assert poison["failure"]["detail"].startswith(f"{field}: ")
    assert app.calls == []


def test_a_message_whose_time_is_over_is_not_done(app, queue, conversation_id):
    delivery = changed(
        app, queue, message(queue, conversation_id, expiresAt="2000-01-01T00:00:00Z")
    )

    assert (delivery["status"], delivery["attempts"]) == ("expired", 0)
    assert app.calls == []
