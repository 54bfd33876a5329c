"""Visiting the pages of an alert again: to edit or recall its copies, or put back what failed."""

from datetime import UTC, datetime

from SendAlert.enqueue import DueMessage, due_times, enqueue
from SendAlert.progress import change_id, needs_change
from shared.alerts.alert import Alert
from shared.deliveries.delivery import Delivery
from shared.errors import ForgottenRecipientError
from shared.messages.envelope import AlertChange, Envelope, Step
from shared.messages.queue_names import DELETE_ACTIVITY, UPDATE_ACTIVITY
from shared.sending.alert_steps import enqueue_step, reopen_page, whole_seconds_until
from shared.sending.redrive import put_back
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


def retry_page(alert: Alert, step: Step, services: Services) -> None:
    """Put back what failed for members of a page, edits and recalls too; then visit the next."""
    page = services.audience_pages.find(alert.id, step.page)
    if page is None:
        enqueue_step(alert, Step(kind="close"), services)
        return
    failed = _failed(alert, page.number, services)
    due = due_times(page, len(failed), services)
    for delivery, due_at in zip(services.deliveries.with_recipients(failed), due, strict=True):
        try:
            put_back(delivery, services, delay_seconds=whole_seconds_until(due_at))
        except ForgottenRecipientError:
            # There is nobody any more to send it to.
            continue
    if failed:
        reopen_page(page, services)
    enqueue_step(alert, step.model_copy(update={"page": step.page + 1}), services)


def _failed(alert: Alert, number: int, services: Services) -> list[Delivery]:
    failed = []
    for delivery in services.deliveries.page(alert.id, number):
        if delivery.status.is_failure and alert.stopped_at is None:
            failed.append(delivery)
        elif needs_change(delivery, alert):
            change = services.deliveries.get(change_id(delivery, alert.version))
            if change is not None and change.status.is_failure:
                failed.append(change)
    return failed
