"""The steps of an alert, each a message of its queue that leads to the next.

``read`` reads a page of the audience and enqueues a message to each member, just in time; ``close``
counts how the members have ended; ``change`` and ``retry`` visit the pages once more. A step may
be taken twice, as its worker may die and the queue may give it out twice. That does nothing twice:
pages and deliveries are found again under the same keys.
"""

from SendAlert.change_pages import change_page
from SendAlert.progress import close_pages
from SendAlert.read_pages import put_page, read_page
from SendAlert.retry_pages import retry_page
from shared.alerts.alert import Alert
from shared.errors import HeldBackError
from shared.messages.envelope import Step
from shared.sending.alert_lifecycle import after_end
from shared.sending.alert_steps import enqueue_step
from shared.wiring import Services

_CLOSED_AT_ONCE = 40
_FIRST_CHECK_SECONDS = 1.0
_LONGEST_CHECK_SECONDS = 60.0
# Some minutes. A process that stood still, and its clock with it, may have looked for a change too
# early, and has left its copy to be found.
_CHECKS_BEFORE_ANOTHER_ROUND = 8


def take_step(alert_id: str, step: Step, services: Services) -> None:
    """Take a step of an alert, and enqueue the next one.

    Raises UnknownAlertError when there is no such alert any more.
    """
    alert = services.alerts.keep_longer(services.alerts.find(alert_id))
    if step.chain not in ("", alert.chain):
        # The alert was begun anew after this.
        return
    try:
        match step.kind:
            case "read":
                read_page(alert, step, services)
            case "put":
                put_page(alert, step.page, services)
            case "close":
                _close(alert, step, services)
            case "change":
                change_page(alert, step, services)
            case "retry":
                retry_page(alert, step, services)
    except HeldBackError as error:
        # It is too early for the messages that the step would enqueue.
        enqueue_step(alert, step, services, delay_seconds=error.retry_after_seconds or 1.0)


def _close(alert: Alert, step: Step, services: Services) -> None:
    """Count how the members of all pages have ended; check again until all of them have."""
    if not (alert.is_read or alert.stopped_at):
        # An alert that is still being read is closed after its last page.
        return
    if 0 < step.version < alert.change_version:
        # So is one that a change goes round, after the last page of that.
        return
    closed_before = alert.closed_pages
    if alert.ended_at is None:
        alert = close_pages(alert, services, limit=_CLOSED_AT_ONCE, first=step.page)
    if alert.ended_at is not None:
        # Whoever ended it before may have died right then.
        after_end(alert, services)
        return
    checks = step.checks if alert.closed_pages == closed_before else 0
    if checks == _CHECKS_BEFORE_ANOTHER_ROUND and alert.version > 1:
        round_again = Step(kind="change", version=alert.version, checks=checks + 1)
        enqueue_step(alert, round_again, services)
        return
    delay_seconds = min(_FIRST_CHECK_SECONDS * 2 ** min(checks, 8), _LONGEST_CHECK_SECONDS)
    # The next check begins where this one may have ended.
    first = (step.page + _CLOSED_AT_ONCE) % max(alert.next_page, 1)
    again = step.model_copy(update={"checks": checks + 1, "page": first})
    enqueue_step(alert, again, services, delay_seconds=delay_seconds)
