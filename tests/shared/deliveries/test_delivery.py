from dataclasses import replace
from datetime import timedelta

from shared.deliveries.delivery import Delivery, Status
from tests.shared.deliveries.recording import NOW, of_alert


def test_an_answer_tells_what_is_known_and_nothing_of_our_own(alex):
    little = Delivery("order-7", Status.ACCEPTED, NOW, NOW, posting="first")
    assert little.to_json() == {
        "id": "order-7",
        "status": "accepted",
        "attempts": 0,
        "createdAt": NOW.isoformat(),
        "updatedAt": NOW.isoformat(),
    }
    later = NOW + timedelta(seconds=1)
    whole = replace(
        of_alert("r1", destination=alex, attempts=2, code="Odd", detail="d", correlation_id="c"),
        updated_at=later,
        activity_id="7",
        recreated=True,
        ambiguous=True,
        until=NOW,
        failed_on="2026-03-01",
        alert_version=3,
        recalled=True,
    )
    assert whole.to_json() == {
        "id": "alert-7:0:r1",
        "status": "sending",
        "channelId": "msteams",
        "recipient": {"channelId": "msteams", "userId": alex.user_id},
        "conversationId": alex.conversation_id,
        "attempts": 2,
        "code": "Odd",
        "detail": "d",
        "correlationId": "c",
        "activityId": "7",
        "recreated": True,
        "ambiguous": True,
        "alertId": "alert-7",
        "alertVersion": 3,
        "recalled": True,
        "createdAt": NOW.isoformat(),
        "updatedAt": later.isoformat(),
    }
