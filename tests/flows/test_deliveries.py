"""What became of a message can be asked, and what failed can be put back."""

from datetime import UTC, datetime
from urllib.parse import quote

from tests.flows.running_app import SENDING


def test_what_failed_is_told_with_the_reason_and_retried_whole_and_once(
    app, connector, user, conversation_id
):
    since = datetime.now(UTC)
    recipient = {"channelId": "msteams", "userId": user}
    delivery_id = f"order {user}"
    message = {"id": delivery_id, "recipient": recipient, "activity": {"text": "News"}}
    connector.fail(400, "BadArgument", headers={"MS-CV": "correlated.0"})
    app.enqueue(SENDING, message)
    app.settle()
    failed = app.delivery(delivery_id)
    [poison] = app.storage.take_poison(SENDING)
    assert (failed["status"], failed["code"]) == ("permanent-failure", "BadArgument")
    assert (failed["correlationId"], failed["attempts"]) == ("correlated.0", 1)
    assert (poison["message"], poison["failure"]["detail"]) == (message, failed["detail"])
    listed = app.get(f"/api/deliveries?since={quote(since.isoformat())}")
    assert listed.json() == {"deliveries": [failed]}
    app.begin()

    retry = f"/api/deliveries/{quote(delivery_id, safe='')}/retry"
    retried = app.post(retry, {})
    app.settle()
    again = app.post(retry, {})
    app.settle()

    assert (retried.status, retried.json()["status"]) == (202, "accepted")
    assert app.get(retried.headers["Location"]).json()["status"] == "sent"
    assert (again.status, again.json()["code"]) == (409, "DeliveryNotRetriable")
    assert [call.json["text"] for call in app.calls] == ["News"]
