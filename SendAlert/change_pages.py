"""Visiting the pages of an alert again to edit or recall its copies."""

from datetime import UTC, datetime

from SendAlert.enqueue import DueMessage, due_times, enqueue
from SendAlert.progress import change_id, needs_change
from shared.alerts.alert import Alert
from shared.deliveries.delivery import Delivery
from shared.messages.envelope import AlertChange, Envelope, Step
from shared.messages.queue_names import DELETE_ACTIVITY, UPDATE_ACTIVITY
from shared.sending.alert_steps import enqueue_step
from shared.wiring import Services

# A call, with everything around it, takes at most this much longer than its timeout.
_AROUND_A_CALL_SECONDS = 20.0


def change_page(alert: Alert, step: Step, services: Services) -> None:
    """Enqueue an edit or a recall of each copy that went to a page; then visit the next page.

    A send that was under way when the alert was changed may have sent the version before. Pages
    with such sends are visited a second time, when these have ended.
    """
    if step.version != alert.version:
        # A newer change has steps of its own.
        return
    page = services.audience_pages.find(alert.id, step.page)
    if page is None:
        _after_last_page(alert, step, services)
        return
    deliveries = services.deliveries.page(alert.id, page.number)
    outdated = [each for each in deliveries if needs_change(each, alert)]
    due = due_times(page, len(outdated), services)
    queue = DELETE_ACTIVITY if alert.recalled_at is not None else UPDATE_ACTIVITY
    messages = [
        DueMessage(queue, {}, _envelope_of_change(each, alert), due_at)
        for each, due_at in zip(outdated, due, strict=True)
    ]
    enqueue(messages, services)
    first_open_page = step.first_open_page
    if first_open_page is None and page.counts is None:
        first_open_page = step.page
    onward = {"page": step.page + 1, "first_open_page": first_open_page}
    enqueue_step(alert, step.model_copy(update=onward), services)


def _after_last_page(alert: Alert, step: Step, services: Services) -> None:
    """Visit the pages once more whose members were still being sent to, or count the ends."""
    if step.is_last or (step.first_open_page is None and alert.is_read):
        enqueue_step(alert, Step(kind="close"), services)
        return
    first = step.page if step.first_open_page is None else step.first_open_page
    again = step.model_copy(update={"page": first, "is_last": True})
    seconds = services.settings.connector_timeout_seconds + _AROUND_A_CALL_SECONDS
    enqueue_step(alert, again, services, delay_seconds=seconds)


def _envelope_of_change(delivery: Delivery, alert: Alert) -> Envelope:
    delivery_id = change_id(delivery, alert.version)
    return Envelope(
        id=delivery_id,
        accepted_at=datetime.now(UTC),
        posting=delivery_id,
        alert=alert.id,
        change=AlertChange(delivery_id=delivery.id, version=alert.version),
        traceparent=alert.traceparent,
    )
