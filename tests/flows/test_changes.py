"""What was sent is edited and recalled, over HTTP and by the queues: one call each."""

from urllib.parse import quote
from uuid import uuid4


def changed(app, queue, sent, **body):
    """What became of a message that asks for a change of what was sent."""
    delivery_id = f"change {uuid4()}"
    app.enqueue(queue, {"id": delivery_id, **sent, **body})
    app.settle()
    return app.delivery(delivery_id)


def test_what_was_sent_is_edited_and_recalled_with_one_call_each(app, user, conversation_id):
    activity_id = app.send(conversation_id, text="It ships today.").json()["id"]
    path = f"/api/conversations/{conversation_id}/activities/{activity_id}"
    sent = {"conversationId": conversation_id, "activityId": activity_id}

    edited = app.put(path, {"text": "It ships tomorrow."})
    edited_by_queue = changed(app, "update-activity", sent, activity={"text": "It has shipped."})
    recalled = app.host.request("DELETE", path)
    recalled_by_queue = changed(app, "delete-activity", sent)

    send, *edits, recall, second_recall = app.calls
    assert (edited.status, edited.json()) == (200, {"id": activity_id})
    assert (recalled.status, recalled.body) == (204, b"")
    for by_queue in (edited_by_queue, recalled_by_queue):
        assert (by_queue["status"], by_queue["activityId"]) == ("sent", activity_id)
        assert by_queue["recipient"] == {"channelId": "msteams", "userId": user}
    target = f"/v3/conversations/{quote(conversation_id, safe='')}/activities/{activity_id}"
    for edit, text in zip(edits, ("It ships tomorrow.", "It has shipped."), strict=True):
        assert str(edit) == f"PUT {target}"
        assert edit.json == {**send.json, "text": text, "id": activity_id}
    for deletion in (recall, second_recall):
        assert str(deletion) == f"DELETE {target}"
        assert deletion.body == b""
    assert all(call.headers["Authorization"].startswith("Bearer ") for call in app.calls)
