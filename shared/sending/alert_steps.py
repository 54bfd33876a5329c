"""What is next to be done about an alert: steps, each a message of the queue ``send-alert``."""

import math
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from shared.alerts.alert import Alert
from shared.deliveries.rows import place_in_alert
from shared.messages.envelope import AlertAnswer, Envelope, Step
from shared.messages.queue_names import SEND_ALERT
from shared.wiring import Services

OVERTAKEN_SECONDS: Final = 30.0
"""In so many seconds whoever goes on from a page most likely leaves the next one behind too."""

# It takes less to note on an alert that a page of it is counted anew.
_REOPENED_WITHIN_SECONDS = 5.0


def enqueue_step(alert: Alert, step: Step, services: Services, *, delay_seconds: float = 0) -> None:
    """Enqueue a step of an alert, to be taken after the delay."""
    envelope = _envelope(alert).model_copy(update={"step": step})
    services.queues.send(SEND_ALERT, {}, envelope, delay_seconds=delay_seconds)


def enqueue_close(
    alert: Alert, services: Services, *, checks: int = 0, delay_seconds: float = 0
) -> None:
    """Enqueue the count of how the members of an alert have ended."""
    version = max(alert.change_version, 1)
    step = Step(kind="close", chain=alert.chain, version=version, checks=checks)
    enqueue_step(alert, step, services, delay_seconds=delay_seconds)


def enqueue_answer(
    alert: Alert, answer: AlertAnswer, services: Services, *, delay_seconds: float
) -> None:
    """Enqueue an answer to an alert, to be followed after the delay."""
    envelope = _envelope(alert).model_copy(update={"answer": answer})
    services.queues.send(SEND_ALERT, {}, envelope, delay_seconds=delay_seconds)


def _envelope(alert: Alert) -> Envelope:
    return Envelope(
        id=alert.id,
        accepted_at=datetime.now(UTC),
        posting=uuid.uuid4().hex,
        alert=alert.id,
        traceparent=alert.traceparent,
    )


def reopen_page(alert_id: str, number: int, services: Services, *, counts: bool = False) -> None:
    """Have a page counted anew, of which some members have not ended, or otherwise than before.

    A page that is open is written too: whoever counts it right now, by what was before, does not
    close it. With ``counts``, a count of the ends is enqueued if the page had been closed, or the
    alert had ended.
    """
    was_closed = services.audience_pages.reopen(alert_id, number)
    alert = services.alerts.find(alert_id)
    if not was_closed and alert.closed_pages <= number and alert.ended_at is None:
        return
    if counts:
        # First, as nobody could tell afterwards that it is missing.
        enqueue_step(alert, Step(kind="close"), services, delay_seconds=_REOPENED_WITHIN_SECONDS)

    def reopened(current: Alert) -> Alert:
        # Written even where nothing else changes: whoever adds up counts right now starts again.
        again = replace(current, ended_at=None, reopenings=current.reopenings + 1)
        if current.closed_pages <= number:
            return again
        return replace(again, closed_pages=0, counts={})

    services.alerts.change(alert_id, reopened)


def recount(delivery_id: str, services: Services) -> None:
    """Have an alert's delivery counted anew that ended otherwise than it had before."""
    place = place_in_alert(delivery_id)
    if place is not None:
        reopen_page(*place, services, counts=True)


def whole_seconds_until(time: datetime) -> int:
    """Return the delay of a message that is due then: whole seconds, rounded down."""
    return max(0, math.floor((time - datetime.now(UTC)).total_seconds()))
