"""Going round the pages of an alert again to edit or recall its copies."""

from dataclasses import replace

from SendAlert.enqueue import DueMessage, due_times, enqueue
from shared.alerts.alert import Alert
from shared.messages.envelope import Step
from shared.sending.alert_steps import enqueue_close, enqueue_step
from shared.sending.outdated_copies import change_of, is_outdated
from shared.wiring import Services


def change_page(alert: Alert, step: Step, services: Services) -> None:
    """Enqueue an edit or a recall of each copy that went to a page; then visit the next page.

    It brings the alert as it is by then. A newer change takes over where this one is, and goes
    round once from there: so each copy is reached however often the alert is changed. A send that
    is under way meanwhile finds by itself that it was late.
    """
    if step.version < alert.change_version:
        return
    if step.version > alert.change_version:
        begins_at = {"page": alert.change_page, "first_page": alert.change_page}
        step = step.model_copy(update=begins_at)
    page = services.audience_pages.find(alert.id, step.page)
    if page is not None:
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
    # After the last page comes the first one, unless the round began there.
    is_page = step.page < alert.next_page
    following = step.page + 1 if is_page else 0
    came_to = following if following < alert.next_page else 0

    def changed(current: Alert) -> Alert:
        version = max(step.version, current.change_version)
        return replace(current, change_page=came_to, change_version=version)

    alert = services.alerts.change(alert.id, changed, known=alert)
    was_last = not is_page and step.page < step.first_page
    if following == step.first_page or was_last:
        enqueue_close(alert, services, checks=step.checks)
    else:
        enqueue_step(alert, step.model_copy(update={"page": following}), services)
