"""What is next to be done about an alert: steps, each a message of the queue ``send-alert``."""

import math
import uuid
from dataclasses import replace
from datetime import UTC, datetime

from shared.alerts.alert import Alert
from shared.alerts.audience_pages import AudiencePage
from shared.deliveries.rows import place_in_alert
from shared.messages.envelope import Envelope, Step
from shared.messages.queue_names import SEND_ALERT
from shared.wiring import Services


def enqueue_step(alert: Alert, step: Step, services: Services, *, delay_seconds: float = 0) -> None:
    """Enqueue a step of an alert, to be taken after the delay."""
    envelope = Envelope(
        id=alert.id,
        accepted_at=datetime.now(UTC),
        posting=uuid.uuid4().hex,
        alert=alert.id,
        step=step,
        traceparent=alert.traceparent,
    )
    services.queues.send(SEND_ALERT, {}, envelope, delay_seconds=delay_seconds)


def reopen_page(page: AudiencePage, services: Services) -> Alert:
    """Have a page counted anew, of which some members have not ended any more."""
    services.audience_pages.reopen(page)

    def reopened(current: Alert) -> Alert:
        # Written even where nothing else changes: whoever adds up counts right now starts again.
        again = replace(current, ended_at=None, reopenings=current.reopenings + 1)
        if current.closed_pages <= page.number:
            return again
        return replace(again, closed_pages=0, counts={})

    return services.alerts.change(page.alert_id, reopened)


def recount(delivery_id: str, services: Services) -> None:
    """Have an alert's delivery counted anew that ended otherwise than it had before."""
    place = place_in_alert(delivery_id)
    page = services.audience_pages.find(*place) if place is not None else None
    if page is None:
        return
    alert = services.alerts.find(page.alert_id)
    # A page that is still open is counted later anyway.
    if page.counts is not None or alert.closed_pages > page.number or alert.ended_at is not None:
        enqueue_step(reopen_page(page, services), Step(kind="close"), services)


def whole_seconds_until(time: datetime) -> int:
    """Return the delay of a message that is due then: whole seconds, rounded down."""
    return max(0, math.floor((time - datetime.now(UTC)).total_seconds()))
