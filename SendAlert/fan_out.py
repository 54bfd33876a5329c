"""What is done about an alert, step by step: each is a message of the queue that leads to the next.

``read`` reads a page of the audience and has its members be sent to, just in time; ``close`` counts
how they have ended; ``change`` and ``retry`` go through the pages once more. A step that is taken
twice, because whoever took it died or the queue gave it out twice, does nothing twice: pages and
deliveries are found under the same keys again.
"""

import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from SendAlert.audience import Member, read_audience
from SendAlert.enqueue import (
    AHEAD,
    Shipment,
    due_again,
    end_of,
    most_members,
    schedule,
    sends,
    ship,
    whole_seconds_until,
)
from SendAlert.progress import change_id, close_pages, is_to_change
from shared.alerts.alert import Alert
from shared.alerts.audience_pages import AudiencePage
from shared.deliveries.delivery import Delivery, Destination, Status
from shared.deliveries.rows import id_in_alert
from shared.errors import ForgottenRecipientError, HeldBackError, SuppressedError
from shared.messages.envelope import (
    DELETE_ACTIVITY,
    SEND_ALERT,
    UPDATE_ACTIVITY,
    AlertChange,
    Envelope,
    Step,
)
from shared.sending.alert_follow_up import go_on, reopen
from shared.sending.redrive import put_back
from shared.sending.telemetry import Outcome, report
from shared.throttling.lane import Lane
from shared.wiring import Services

_CLOSED_WHILE_READING = 3
_CLOSED_AT_ONCE = 40
# The page that was read so many pages ago has most likely ended.
_LIKELY_ENDED = 6
_FIRST_LOOK_SECONDS = 1.0
_LONGEST_LOOK_SECONDS = 60.0
# A call, with all that is around it, takes as much longer than its timeout at most.
_AROUND_A_CALL_SECONDS = 20.0


def begin(alert: Alert, services: Services) -> None:
    """Have the first step of an alert be taken when its time comes."""
    delay_seconds = whole_seconds_until(alert.send_at) if alert.send_at else 0
    go_on(alert, Step(kind="read"), services, delay_seconds=delay_seconds)


def take_step(alert_id: str, step: Step, services: Services) -> None:
    """Take a step of an alert, and have the next one be taken.

    Raises UnknownAlertError when there is no such alert any more.
    """
    alert = services.alerts.find(alert_id)
    try:
        match step.kind:
            case "read":
                _read(alert, step, services)
            case "close":
                _close(alert, step, services)
            case "change":
                _change(alert, step, services)
            case "retry":
                _retry(alert, step, services)
    except HeldBackError as error:
        # It is not time yet for what the step would put on a queue.
        go_on(alert, step, services, delay_seconds=error.retry_after_seconds or 1.0)


def _read(alert: Alert, step: Step, services: Services) -> None:
    now = datetime.now(UTC)
    if step.page + 1 == alert.next_page:
        # Whoever read this page may have died before saying what comes next.
        _after_reading(alert, step.page, services)
    elif step.page != alert.next_page:
        # Another copy of this step was taken before.
        return
    elif alert.is_read or alert.stopped_at is not None or alert.is_expired(now):
        alert = services.alerts.change(alert.id, lambda current: replace(current, is_read=True))
        go_on(alert, Step(kind="close"), services)
    elif alert.send_at is not None and alert.send_at > now:
        delay_seconds = whole_seconds_until(alert.send_at)
        go_on(alert, step, services, delay_seconds=max(delay_seconds, 1))
    else:
        _read_page(alert, step, services)


def _read_page(alert: Alert, step: Step, services: Services) -> None:
    """Read a page, note its members, and have them be sent to."""
    known = services.audience_pages.find(alert.id, step.page)
    stretch = read_audience(
        alert,
        services.alerts.recipients(alert),
        services,
        after=step.after,
        most=most_members(services),
        again=known,
    )
    refusals = {each.id: each.refusal(alert.topic) for each in stretch.members}
    welcome = [each for each in stretch.members if refusals[each.id] is None]
    calls = Counter[Lane]()
    for member in welcome:
        calls[member.lane(services)] += member.calls
    due = schedule(calls, services)
    page = known or services.audience_pages.open(
        AudiencePage(
            alert_id=alert.id,
            number=step.page,
            after=step.after,
            up_to=stretch.up_to,
            share=stretch.share,
            read_at=datetime.now(UTC),
            members=tuple(each.id for each in stretch.members),
            lanes={(lane.host, lane.tenant_id): count for lane, count in calls.items()},
        )
    )
    if page is None:
        # Somebody else has read it just now, perhaps up to another place: it is read again.
        _read_page(alert, step, services)
        return
    ship(sends(welcome, due, alert, page, services), services)
    refused = [each for each in stretch.members if refusals[each.id] is not None]
    _record_refused(refused, refusals, alert, page, services)
    _record_gone(set(page.members).difference(refusals), alert, page, services)
    lasts = max(calls.values(), default=0) * services.pacer.alert_interval
    # Most likely the next page takes as long as this one, and would be read in vain before.
    ready_at = end_of(due, calls, services) + lasts - AHEAD
    _advance(alert, page, services, delay_seconds=whole_seconds_until(ready_at))


def _advance(alert: Alert, page: AudiencePage, services: Services, *, delay_seconds: int) -> None:
    """Note that a page was read, and have the next one be read after the delay.

    Whoever has read the same page meanwhile leaves that to the one who noted it first.
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
            # Whoever stopped it meanwhile did not see this page.
            ended_at=None,
        )

    alert = services.alerts.change(alert.id, read)
    if alert.reader != reader:
        return
    alert = close_pages(
        alert,
        services,
        most=_CLOSED_WHILE_READING,
        first=max(page.number - _LIKELY_ENDED, 0),
        read_before=page.read_at - AHEAD,
    )
    _after_reading(alert, page.number, services, delay_seconds=delay_seconds)


def _after_reading(
    alert: Alert, number: int, services: Services, *, delay_seconds: int = 0
) -> None:
    """Have the next page be read after the delay, or the last ones be waited for."""
    page = services.audience_pages.find(alert.id, number)
    if alert.is_read or page is None:
        go_on(alert, Step(kind="close"), services)
        return
    step = Step(kind="read", page=number + 1, after=page.up_to)
    go_on(alert, step, services, delay_seconds=delay_seconds)


def _record_refused(
    refused: Iterable[Member],
    refusals: dict[str, str | None],
    alert: Alert,
    page: AudiencePage,
    services: Services,
) -> None:
    """Record those who want nothing of it, or cannot be reached."""
    deliveries = []
    for member in refused:
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


def _record_gone(gone: set[str], alert: Alert, page: AudiencePage, services: Services) -> None:
    """Record those who were in the page when it was read at first, and are not any more.

    Where their message is on the queue already, what becomes of it counts.
    """
    for member_id in gone:
        reason = "The person was forgotten, or has left the audience"
        services.deliveries.record(_suppressed(member_id, reason, alert, page, None))


def _suppressed(
    member_id: str,
    reason: str | None,
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
    """Count how the members of all pages have ended, and look again until all of them have."""
    if alert.ended_at is not None or not (alert.is_read or alert.stopped_at):
        # Whoever reads its last page has them counted.
        return
    closed_before = alert.closed_pages
    alert = close_pages(alert, services, most=_CLOSED_AT_ONCE, first=step.page)
    alert = services.alerts.change(alert.id, _ended)
    if alert.ended_at is not None:
        services.alerts.drop(alert.recipients_key)
        return
    looks = step.looks if alert.closed_pages == closed_before else 0
    delay_seconds = min(_FIRST_LOOK_SECONDS * 2 ** min(looks, 8), _LONGEST_LOOK_SECONDS)
    # The next look begins where this one may have ended.
    first = (step.page + _CLOSED_AT_ONCE) % max(alert.next_page, 1)
    again = step.model_copy(update={"looks": looks + 1, "page": first})
    go_on(alert, again, services, delay_seconds=delay_seconds)


def _ended(alert: Alert) -> Alert:
    if alert.closed_pages < alert.next_page or alert.ended_at is not None:
        return alert
    return replace(alert, is_read=True, ended_at=datetime.now(UTC))


def _change(alert: Alert, step: Step, services: Services) -> None:
    """Have what was delivered of a page be edited or recalled; all pages in turn.

    A send that was under way when the alert was changed may have said what it said before. So the
    pages with such are gone through once more, when it has ended and is found.
    """
    if step.version != alert.version:
        # A newer change goes its own way.
        return
    page = services.audience_pages.find(alert.id, step.page)
    if page is None:
        _after_changing(alert, step, services)
        return
    deliveries = services.deliveries.page(alert.id, page.number)
    changed = [each for each in deliveries if is_to_change(each, alert)]
    due = due_again(page, len(changed), services)
    queue = DELETE_ACTIVITY if alert.recalled_at is not None else UPDATE_ACTIVITY
    ship(
        [
            Shipment(queue, {}, _flow_of_change(each, alert), due_at)
            for each, due_at in zip(changed, due, strict=True)
        ],
        services,
    )
    is_open = page.counts is None and step.open_from is None
    onward = {"page": step.page + 1, "open_from": step.page if is_open else step.open_from}
    go_on(alert, step.model_copy(update=onward), services)


def _after_changing(alert: Alert, step: Step, services: Services) -> None:
    """Have the pages be gone through once more whose members were still being sent to."""
    if step.is_last or (step.open_from is None and alert.is_read):
        go_on(alert, Step(kind="close"), services)
        return
    first = step.page if step.open_from is None else step.open_from
    again = step.model_copy(update={"page": first, "is_last": True})
    seconds = services.settings.connector_timeout_seconds + _AROUND_A_CALL_SECONDS
    go_on(alert, again, services, delay_seconds=seconds)


def _flow_of_change(delivery: Delivery, alert: Alert) -> Envelope:
    delivery_id = change_id(delivery, alert.version)
    return Envelope(
        id=delivery_id,
        accepted_at=datetime.now(UTC),
        posting=delivery_id,
        alert=alert.id,
        change=AlertChange(delivery_id=delivery.id, version=alert.version),
        traceparent=alert.traceparent,
    )


def _retry(alert: Alert, step: Step, services: Services) -> None:
    """Have what failed of a page be put back, changes too; all pages in turn."""
    page = services.audience_pages.find(alert.id, step.page)
    if page is None:
        go_on(alert, Step(kind="close"), services)
        return
    failed = []
    for delivery in services.deliveries.page(alert.id, page.number):
        if delivery.status.is_failure and alert.stopped_at is None:
            failed.append(delivery)
        elif is_to_change(delivery, alert):
            changing = services.deliveries.get(change_id(delivery, alert.version))
            if changing is not None and changing.status.is_failure:
                failed.append(changing)
    due = due_again(page, len(failed), services)
    failed = services.deliveries.with_recipients(failed)
    for delivery, due_at in zip(failed, due, strict=True):
        try:
            put_back(delivery, services, delay_seconds=whole_seconds_until(due_at))
        except ForgottenRecipientError:
            # There is nobody any more to send it to.
            continue
    if failed:
        reopen(page, services)
    go_on(alert, step.model_copy(update={"page": step.page + 1}), services)
