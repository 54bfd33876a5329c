"""Copies of an alert that are out of date: each is edited, or deleted, by a message of its own.

An edit or a recall visits the pages of the alert, and finds the copies that were sent by then. A
send that ends later, on an older version, finds out by itself: it is recorded first, and then it
looks at the alert, as it was a second ago at most. The pages are visited only when the change is
older than that. So what was recorded too early to know of the change is found on its page, no copy
is missed, and none costs a read of its own. As the message has the same id, none is changed twice.
"""

from datetime import UTC, datetime
from typing import Final

from shared.alerts.alert import Alert
from shared.alerts.store import REMEMBERED_FOR
from shared.deliveries.delivery import Delivery, DeliveryState, Status
from shared.messages.envelope import AlertChange, Envelope
from shared.messages.queue_names import DELETE_ACTIVITY, UPDATE_ACTIVITY
from shared.wiring import Services

KNOWN_AFTER_SECONDS: Final = 2 * REMEMBERED_FOR.total_seconds()
"""So long after an alert was changed, every send that ends finds out by itself."""


def is_outdated(delivery: DeliveryState, alert: Alert, *, answers: int = 0) -> bool:
    """Tell whether the copy that a person has of an alert is out of date, and can be changed.

    It is to show so many answers of their own at least. A copy cannot be changed when the channel
    gave no id for it.
    """
    return (
        delivery.status is Status.SENT
        and delivery.activity_id is not None
        and not delivery.recalled
        and ((delivery.alert_version or 0) < alert.version or (delivery.answers or 0) < answers)
    )


def change_id(delivery: DeliveryState, version: int) -> str:
    """Return the id of the delivery that brings a person's copy to a version of the alert."""
    return f"{delivery.id}!{version}"


def change_of(delivery: DeliveryState, alert: Alert) -> tuple[str, Envelope]:
    """Return the message that brings a copy to the alert as it is, and the queue that it is for."""
    queue = UPDATE_ACTIVITY if alert.recalled_at is None else DELETE_ACTIVITY
    change = AlertChange(delivery_id=delivery.id, version=alert.version)
    return queue, _message(change_id(delivery, alert.version), change, alert)


def change_answered_copy(delivery_id: str, answers: int, alert: Alert, services: Services) -> None:
    """Have the copy of somebody edited who has answered so many times, so that it shows that."""
    change = AlertChange(delivery_id=delivery_id, version=alert.version, answers=answers)
    message = _message(f"{delivery_id}!answer-{answers}", change, alert)
    services.queues.send(UPDATE_ACTIVITY, {}, message)


def _message(own_id: str, change: AlertChange, alert: Alert) -> Envelope:
    return Envelope(
        id=own_id,
        accepted_at=datetime.now(UTC),
        posting=own_id,
        alert=alert.id,
        change=change,
        traceparent=alert.traceparent,
    )


def change_late_copy(delivery: Delivery, services: Services) -> None:
    """Have a copy edited or deleted whose alert was changed before its send had ended.

    The send has to be recorded by then. Raises UnknownAlertError when the alert is gone.
    """
    alert = services.alerts.current(delivery.alert_id or "")
    if is_outdated(delivery, alert):
        queue, envelope = change_of(delivery, alert)
        services.queues.send(queue, {}, envelope)
