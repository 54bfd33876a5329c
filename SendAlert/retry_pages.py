"""Visiting the pages of an alert again to put back what failed, edits and recalls too."""

from SendAlert.enqueue import due_times
from SendAlert.read_pages import begin_anew
from shared.alerts.alert import Alert
from shared.alerts.audience_pages import AudiencePage
from shared.deliveries.delivery import Delivery
from shared.errors import ForgottenRecipientError
from shared.messages.envelope import Step
from shared.sending.alert_steps import enqueue_step, reopen_page, whole_seconds_until
from shared.sending.outdated_copies import change_id, is_outdated
from shared.sending.redrive import put_back
from shared.wiring import Services


def retry_page(alert: Alert, step: Step, services: Services) -> None:
    """Put back what failed for members of a page, edits and recalls too; then visit the next.

    After the last page, what is left of the audience is read on, and the ends are counted.
    """
    if step.page >= alert.next_page:
        # The steps that would do that may have failed.
        begin_anew(alert, services)
        return
    page = services.audience_pages.find(alert.id, step.page)
    if page is not None:
        _retry(page, alert, services)
    enqueue_step(alert, step.model_copy(update={"page": step.page + 1}), services)


def _retry(page: AudiencePage, alert: Alert, services: Services) -> None:
    failed = _failed(alert, page.number, services)
    due = due_times(page, len(failed), services)
    for delivery, due_at in zip(failed, due, strict=True):
        try:
            put_back(delivery, services, delay_seconds=whole_seconds_until(due_at))
        except ForgottenRecipientError:
            # There is nobody any more to send it to.
            continue
    if failed:
        reopen_page(alert.id, page.number, services)


def _failed(alert: Alert, number: int, services: Services) -> list[Delivery]:
    ids = []
    for each in services.deliveries.page(alert.id, number):
        if each.status.is_failure and alert.stopped_at is None:
            ids.append(each.id)
        elif is_outdated(each, alert):
            ids.append(change_id(each, alert.version))
    found = map(services.deliveries.get, ids)
    return [each for each in found if each is not None and each.status.is_failure]
