"""What was sent is edited and recalled, over HTTP and by the queues: one call each."""

from urllib.parse import quote
from uuid import uuid4

import pytest

from tests.flows.running_app import SENDING

UPDATING, DELETING = "update-activity", "delete-activity"
ODD_IDS = ["1:7;x@y", "a%2Fb", "f:1 ü/?#&=+", "..7"]


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


def test_an_id_is_encoded_once(app, queue, conversation_id):
    method, body = ("PUT", b'{"text": "Corrected"}') if queue == UPDATING else ("DELETE", None)
    for odd_id in ODD_IDS:
        # An id that holds an escape itself can stand in the query only.
        in_query = f"{path_of(conversation_id, '-')}?activityId={quote(odd_id, safe='')}"
        in_path = in_query if "%" in odd_id else path_of(conversation_id, odd_id)
        app.begin()

        answers = [app.host.request(method, path, body) for path in (in_path, in_query)]
        by_queue = changed(app, queue, message(queue, conversation_id, odd_id))

        assert {answer.status for answer in answers} == {200 if queue == UPDATING else 204}
        assert by_queue["activityId"] == odd_id
        assert len(app.calls) == 3
        for call in app.calls:
            check_call(call, queue, conversation_id, odd_id)
            assert queue == DELETING or call.json["id"] == odd_id
        if queue == UPDATING:
            assert [answer.json() for answer in answers] == [{"id": odd_id}] * 2


def test_who_said_stop_still_has_it_edited_and_recalled(app, queue, user):
    conversation = {"id": f"a:{user}"}
    app.remember("msteams", user, preferences={"muted": True}, conversation=conversation)

    over_http = change(app, queue, f"a:{user}")
    by_queue = changed(app, queue, message(queue, f"a:{user}"))

    assert app.send(f"a:{user}", text="News").json()["code"] == "Suppressed"
    assert over_http.status < 300
    assert by_queue["status"] == "sent"
    assert len(app.calls) == 2


def test_what_is_gone_already(app, connector, queue, user, conversation_id):
    code = "ConversationNotFound"
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


def test_a_channel_that_cannot_do_it(app, connector, queue, conversation_id):
    connector.answer(405, {"message": "No such method."}, times=2)

    over_http = change(app, queue, conversation_id)
    by_queue = changed(app, queue, message(queue, conversation_id))

    code = "ActivityChangeNotSupported"
    [poison] = app.storage.take_poison(queue)
    assert (over_http.status, over_http.json()["code"]) == (422, code)
    assert (by_queue["status"], by_queue["code"]) == ("permanent-failure", code)
    assert (poison["failure"]["code"], poison["failure"]["attempts"]) == (code, 1)
    assert len(app.calls) == 2


def test_a_message_whose_time_is_over_is_not_done(app, queue, conversation_id):
    delivery = changed(
        app, queue, message(queue, conversation_id, expiresAt="2000-01-01T00:00:00Z")
    )

    assert (delivery["status"], delivery["attempts"]) == ("expired", 0)
    assert app.calls == []
