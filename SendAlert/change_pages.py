"""Visiting the pages of an alert again to edit or recall its copies."""

from SendAlert.enqueue import DueMessage, due_times, enqueue
from shared.alerts.alert import Alert
from shared.messages.envelope import Step
from shared.sending.alert_steps import enqueue_step
from shared.sending.outdated_copies import change_of, is_outdated
from shared.wiring import Services


def change_page(alert: Alert, step: Step, services: Services) -> None:
    """Enqueue an edit or a recall of each copy that went to a page; then visit the next page.

    A send that is under way meanwhile finds by itself that it was late.
    """
    if step.version != alert.version:
        # A newer change has steps of its own.
        return
    page = services.audience_pages.find(alert.id, step.page)
    if page is None:
        enqueue_step(alert, Step(kind="close"), services)
        return
    deliveries = services.deliveries.page(alert.id, page.number)
    outdated = [each for each in deliveries if is_outdated(each, alert)]
    due = due_times(page, len(outdated), services)
    messages = [
        DueMessage(queue, {}, envelope, due_at)
        for (queue, envelope), due_at in zip(
            (change_of(each, alert) for each in outdated), due, strict=True
        )
    ]
    enqueue(messages, services)
    enqueue_step(alert, step.model_copy(update={"page": step.page + 1}), services)
