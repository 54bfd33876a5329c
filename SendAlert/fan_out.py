"""The steps of an alert, each a message of its queue that leads to the next.

``read`` reads a page of the audience and enqueues a message to each member, just in time; ``close``
counts how the members have ended; ``change`` and ``retry`` visit the pages once more. A step may
be taken twice, as its worker may die and the queue may give it out twice. That does nothing twice:
pages and deliveries are found again under the same keys.

Pages are read by one chain of steps, in their order. That is fast; putting their messages on the
queue is not. Where many lanes are in a page, its calls are over sooner than its messages are put
there. So another step, ``put``, does that, and the chain goes on to the next page: any number of
workers put pages at the same time. The step has the times that the chain has scheduled, so the pace
is kept, and a slow page holds up no other.
"""

import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from SendAlert.audience import Batch, Member, read_batch
from SendAlert.change_pages import change_page
from SendAlert.enqueue import (
    LEAD_TIME,
    enqueue,
    last_due,
    messages_to,
    page_size,
    schedule,
)
from SendAlert.progress import close_pages
from SendAlert.retry_pages import retry_page
from shared.alerts.alert import Alert
from shared.alerts.audience_pages import AudiencePage
from shared.deliveries.delivery import Delivery, Destination, Status
from shared.deliveries.rows import id_in_alert
from shared.errors import HeldBackError, SuppressedError
from shared.messages.envelope import Step
from shared.messages.queue_names import SEND_ALERT
from shared.sending.alert_lifecycle import after_end
from shared.sending.alert_steps import enqueue_step, whole_seconds_until
from shared.sending.telemetry import Outcome, report
from shared.throttling.lane import Lane
from shared.wiring import Services

# It takes about this long to put a page on the queue. What is sent in less is put by others.
_PUTTING_TAKES = timedelta(seconds=2)
_CLOSED_WHILE_READING = 3
_CLOSED_AT_ONCE = 40
# A page that was read so many pages ago has most likely ended.
_LIKELY_ENDED = 6
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
    try:
        match step.kind:
            case "read":
                _read(alert, step, services)
            case "put":
                _put(alert, step, services)
            case "close":
                _close(alert, step, services)
            case "change":
                change_page(alert, step, services)
            case "retry":
                retry_page(alert, step, services)
    except HeldBackError as error:
        # It is too early for the messages that the step would enqueue.
        enqueue_step(alert, step, services, delay_seconds=error.retry_after_seconds or 1.0)


def _read(alert: Alert, step: Step, services: Services) -> None:
    now = datetime.now(UTC)
    if step.chain not in ("", alert.chain):
        # The alert was begun anew after this.
        return
    if step.page + 1 == alert.next_page:
        # The process that read this page may have died before it enqueued the next step.
        _enqueue_next(alert, step, services)
    elif step.page != alert.next_page:
        # Another copy of this step was taken before.
        return
    elif alert.is_read or alert.stopped_at is not None or alert.is_expired(now):
        alert = services.alerts.change(alert.id, lambda current: replace(current, is_read=True))
        enqueue_step(alert, Step(kind="close"), services)
    elif alert.send_at is not None and alert.send_at > now:
        delay_seconds = whole_seconds_until(alert.send_at)
        enqueue_step(alert, step, services, delay_seconds=max(delay_seconds, 1))
    else:
        _read_page(alert, step, services)


def _read_page(alert: Alert, step: Step, services: Services) -> None:
    """Read a page of the audience, record its members, and enqueue their messages."""
    recorded = services.audience_pages.find(alert.id, step.page)
    recipients = services.alerts.recipients(alert)
    batch = read_batch(
        alert, recipients, services, after=step.after, limit=page_size(services), page=recorded
    )
    calls = Counter[Lane]()
    for member in batch.members:
        if member.refusal(alert.topic) is None:
            calls[member.lane(services)] += member.calls
    due = schedule(calls, services)
    page = recorded or services.audience_pages.open(_page_of(batch, calls, alert, step))
    if page is None:
        # Somebody else has read it just now, perhaps up to another place: it is read again.
        _read_page(alert, step, services)
        return
    duration = max(calls.values(), default=0) * services.pacer.alert_interval
    put_by_another = timedelta(0) < duration < _PUTTING_TAKES and page.share < 1
    if put_by_another:
        times = [[lane.host, lane.tenant_id, first.isoformat()] for lane, first in due.items()]
        enqueue_step(alert, Step(kind="put", page=page.number, due=times), services)
    else:
        _put_page(batch.members, due, alert, page, services)
    # The next page most likely takes as long as this one, so reading it earlier would be too early.
    ready_at = last_due(due, calls, services) + duration - LEAD_TIME
    delay_seconds = whole_seconds_until(ready_at)
    read = _advance(alert, page, services)
    if read is not None:
        if not put_by_another:
            read = _close_likely_ended(read, page, services)
        _enqueue_next(read, step, services, delay_seconds=delay_seconds)


def _put(alert: Alert, step: Step, services: Services) -> None:
    """Put the messages of a page on the queue that was read by another step."""
    page = services.audience_pages.find(alert.id, step.page)
    if page is None or alert.stopped_at is not None:
        return
    batch = read_batch(
        alert,
        services.alerts.recipients(alert),
        services,
        after=page.after,
        limit=page_size(services),
        page=page,
    )
    due = {Lane(host, tenant): datetime.fromisoformat(first) for host, tenant, first in step.due}
    _put_page(batch.members, due, alert, page, services)
    _close_likely_ended(alert, page, services)


def _put_page(
    members: list[Member],
    due: Mapping[Lane, datetime],
    alert: Alert,
    page: AudiencePage,
    services: Services,
) -> None:
    refusals = {
        member.id: refusal
        for member in members
        if (refusal := member.refusal(alert.topic)) is not None
    }
    reachable = [member for member in members if member.id not in refusals]
    enqueue(messages_to(reachable, due, alert, page, services), services)
    _record_refused(members, refusals, alert, page, services)
    _record_gone(members, alert, page, services)


def _page_of(batch: Batch, calls: Mapping[Lane, int], alert: Alert, step: Step) -> AudiencePage:
    return AudiencePage(
        alert_id=alert.id,
        number=step.page,
        after=step.after,
        up_to=batch.up_to,
        share=batch.share,
        read_at=datetime.now(UTC),
        members=tuple(member.id for member in batch.members),
        lanes={(lane.host, lane.tenant_id): count for lane, count in calls.items()},
    )


def _advance(alert: Alert, page: AudiencePage, services: Services) -> Alert | None:
    """Note on the alert that a page was read, and return it.

    None where another worker has read the same page, and noted it first.
    """
    reader = uuid.uuid4().hex

    def read(current: Alert) -> Alert:
        if current.next_page != page.number:
            return current
        return replace(
            current,
            next_page=page.number + 1,
            reader=reader,
            found=current.found + len(page.members),
            read_share=page.share,
            is_read=page.share >= 1,
            started_at=current.started_at or page.read_at,
            # The one who stopped the alert meanwhile did not see this page.
            ended_at=None,
        )

    alert = services.alerts.change(alert.id, read)
    return alert if alert.reader == reader else None


def _close_likely_ended(alert: Alert, page: AudiencePage, services: Services) -> Alert:
    return close_pages(
        alert,
        services,
        limit=_CLOSED_WHILE_READING,
        first=max(page.number - _LIKELY_ENDED, 0),
        read_before=page.read_at - LEAD_TIME,
    )


def _enqueue_next(alert: Alert, step: Step, services: Services, *, delay_seconds: int = 0) -> None:
    """Enqueue the step that comes after reading a page: the next page, or the count of the ends."""
    page = services.audience_pages.find(alert.id, step.page)
    if alert.is_read or page is None:
        enqueue_step(alert, Step(kind="close"), services)
        return
    onward = step.model_copy(update={"page": step.page + 1, "after": page.up_to})
    enqueue_step(alert, onward, services, delay_seconds=delay_seconds)


def _record_refused(
    members: list[Member],
    refusals: Mapping[str, str],
    alert: Alert,
    page: AudiencePage,
    services: Services,
) -> None:
    """Record the members who want nothing of the alert, or cannot be reached."""
    deliveries = []
    for member in members:
        if member.id not in refusals:
            continue
        account = member.account
        destination = Destination(
            channel_id=member.channel_id,
            service_url="",
            conversation_id=account.conversation.id if account and account.conversation else None,
            user_id=member.user_id,
            key=account.key if account else None,
        )
        deliveries.append(_suppressed(member.id, refusals[member.id], alert, page, destination))
        report(
            Outcome.SUPPRESSED,
            queue=SEND_ALERT,
            deliveryId=deliveries[-1].id,
            channelId=member.channel_id,
            user_id=member.user_id,
            code=SuppressedError.code,
            alertId=alert.id,
            traceparent=alert.traceparent,
        )
    services.deliveries.record_all(deliveries)


def _record_gone(
    members: list[Member], alert: Alert, page: AudiencePage, services: Services
) -> None:
    """Record the members of the page who have left the audience since it was read first."""
    gone = set(page.members).difference(member.id for member in members)
    reason = "The person was forgotten, or has left the audience"
    services.deliveries.record_all(
        [_suppressed(member_id, reason, alert, page, None) for member_id in gone]
    )


def _suppressed(
    member_id: str,
    reason: str,
    alert: Alert,
    page: AudiencePage,
    destination: Destination | None,
) -> Delivery:
    delivery_id = id_in_alert(alert.id, page.number, member_id)
    return Delivery(
        id=delivery_id,
        status=Status.SUPPRESSED,
        created_at=page.read_at,
        updated_at=datetime.now(UTC),
        posting=delivery_id,
        destination=destination,
        code=SuppressedError.code,
        detail=reason,
        alert_id=alert.id,
    )


def _close(alert: Alert, step: Step, services: Services) -> None:
    """Count how the members of all pages have ended; check again until all of them have."""
    if not (alert.is_read or alert.stopped_at):
        # An alert that is still being read is closed after its last page.
        return
    closed_before = alert.closed_pages
    if alert.ended_at is None:
        alert = close_pages(alert, services, limit=_CLOSED_AT_ONCE, first=step.page)
        alert = services.alerts.change(alert.id, _ended)
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


def _ended(alert: Alert) -> Alert:
    if alert.closed_pages < alert.next_page or alert.ended_at is not None:
        return alert
    return replace(alert, is_read=True, ended_at=datetime.now(UTC))
