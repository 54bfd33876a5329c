"""Going round the pages of an alert again to edit or recall its copies."""

from dataclasses import replace

from SendAlert.enqueue import DueMessage, due_times, enqueue
from shared.alerts.alert import Alert
from shared.messages.envelope import Step
from shared.sending.alert_steps import OVERTAKEN_SECONDS, enqueue_close, enqueue_step
from shared.sending.outdated_copies import change_of, is_outdated
from shared.wiring import Services


def change_page(alert: Alert, step: Step, services: Services) -> None:
    """Enqueue an edit or a recall of each copy that went to a page; then visit the next page.

    It brings the alert as it is by then. A newer change takes over where this one is, and goes
    round once from there: so each copy is reached however often the alert is changed. A send that
    is under way meanwhile finds by itself that it was late.

    A page that was visited before is left to whoever goes on from there, as in ``read_page``.
    """
    if step.version < alert.change_version:
        return
    is_first = step.version > alert.change_version or step.page == step.first_page == 0
    if is_first:
        begins_at = alert.change_page if alert.change_page < alert.next_page else 0
        step = step.model_copy(update={"page": begins_at, "first_page": begins_at})
    # After the last page comes the first one.
    following = step.page + 1 if step.page < alert.next_page else 0
    delay_seconds = 0.0
    if is_first or step.page == alert.change_page:
        _change(alert, step.page, services)

        def changed(current: Alert) -> Alert:
            version = max(step.version, current.change_version)
            return replace(current, change_page=following, change_version=version)

        alert = services.alerts.change(alert.id, changed, known=alert)
    elif following == alert.change_page:
        delay_seconds = OVERTAKEN_SECONDS
    else:
        return
    if following == step.first_page:
        enqueue_close(alert, services, checks=step.checks, delay_seconds=delay_seconds)
    else:
        onward = step.model_copy(update={"page": following})
        enqueue_step(alert, onward, services, delay_seconds=delay_seconds)


def _change(alert: Alert, number: int, services: Services) -> None:
    page = services.audience_pages.find(alert.id, number)
    if page is None:
        return
    deliveries = services.deliveries.page(alert.id, number)
    outdated = [each for each in deliveries if is_outdated(each, alert)]
    due = due_times(page, len(outdated), services)
    messages = [
        DueMessage(queue, {}, envelope, due_at)
        for (queue, envelope), due_at in zip(
            (change_of(each, alert) for each in outdated), due, strict=True
        )
    ]
    enqueue(messages, services)
