"""The steps of an alert: each is a message of the queue ``send-alert``, and leads to the next."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime

from shared.alerts.alert import Alert
from shared.alerts.audience_pages import AudiencePage
from shared.deliveries.rows import place_in_alert
from shared.messages.envelope import SEND_ALERT, Envelope, Step
from shared.wiring import Services


def go_on(alert: Alert, step: Step, services: Services, *, delay_seconds: float = 0) -> None:
    """Have a step of an alert be taken, after the delay."""
    envelope = Envelope(
        id=alert.id,
        accepted_at=datetime.now(UTC),
        posting=uuid.uuid4().hex,
        alert=alert.id,
        step=step,
        traceparent=alert.traceparent,
    )
    services.queues.send(SEND_ALERT, {}, envelope, delay_seconds=delay_seconds)


def reopen(page: AudiencePage, services: Services) -> Alert:
    """Have the members of a page be counted anew, as not all of them have ended any more."""
    services.audience_pages.reopen(page)

    def reopened(current: Alert) -> Alert:
        # Even where nothing else changes: whoever is adding up the counts right now begins anew.
        again = replace(current, ended_at=None, reopenings=current.reopenings + 1)
        if current.closed_pages <= page.number:
            return again
        return replace(again, closed_pages=0, counts={})

    return services.alerts.change(page.alert_id, reopened)


def recount(delivery_id: str, services: Services) -> None:
    """Have a delivery of an alert be counted anew that ended otherwise than it had before."""
    place = place_in_alert(delivery_id)
    page = services.audience_pages.find(*place) if place is not None else None
    if page is None:
        return
    alert = services.alerts.find(page.alert_id)
    # Where not all of the page had ended, it is counted anyway.
    if page.counts is not None or alert.closed_pages > page.number or alert.ended_at is not None:
        go_on(reopen(page, services), Step(kind="close"), services)
