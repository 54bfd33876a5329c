"""Reading the audience of an alert page by page, each in one step, and enqueuing its messages.

At first one chain of steps reads. Where many lanes are in its first page, the calls of a page are
over sooner than its messages are put on the queue. So the rest of the audience is parted into
ranges, and a chain of steps reads each: as many chains as keep these lanes busy. A page that is
next has its number already, so the pages of all chains have numbers of their own.
"""

import math
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from SendAlert.audience import Batch, Member, parts, read_batch, share_at
from SendAlert.enqueue import (
    LEAD_TIME,
    enqueue,
    last_due,
    messages_to,
    page_size,
    schedule,
)
from SendAlert.left_out import record_left_out
from SendAlert.progress import close_pages
from shared.alerts.alert import Alert, Range
from shared.alerts.audience_pages import AudiencePage
from shared.messages.envelope import Step
from shared.sending.alert_steps import (
    OVERTAKEN_SECONDS,
    enqueue_close,
    enqueue_step,
    whole_seconds_until,
)
from shared.throttling.lane import Lane
from shared.wiring import Services

# It takes less to read a page and to put it on the queue, also where many others do that too.
_READING_TAKES = timedelta(seconds=3)
# Together they put a thousand messages a second on the queue. That is what one queue takes.
_MOST_CHAINS = 8
_CLOSED_WHILE_READING = 3
# A page that was read so many pages ago has most likely ended.
_LIKELY_ENDED = 6


def read_page(alert: Alert, step: Step, services: Services) -> None:
    """Read the next page of a range, record its members, and enqueue their messages.

    A page that was read before is not read again, but what comes after it is enqueued: the process
    that read it may have died before it did that. If it has not, the queue has given out a step
    twice, and reading goes on without this one, which comes too late from then on.
    """
    now = datetime.now(UTC)
    place = next((each for each in _ranges_left(alert, services) if each.page == step.page), None)
    if place is None:
        _enqueue_next(alert, step.page, services, delay_seconds=OVERTAKEN_SECONDS)
    elif alert.is_read or alert.stopped_at is not None or alert.is_expired(now):
        _read_no_further(alert, place, services)
    elif alert.send_at is not None and alert.send_at > now:
        delay_seconds = whole_seconds_until(alert.send_at)
        enqueue_step(alert, step, services, delay_seconds=max(delay_seconds, 1))
    else:
        _read_page(alert, place, services)


def begin_anew(alert: Alert, services: Services) -> None:
    """Read on what is left of an audience, or count the ends; earlier steps do nothing any more."""
    chain = uuid.uuid4().hex
    alert = services.alerts.change(
        alert.id, lambda current: replace(current, chain=chain), known=alert
    )
    _enqueue_next(alert, None, services)


def put_page(alert: Alert, number: int, services: Services) -> None:
    """Enqueue the messages of a page that the version before has read, and left to this step."""
    page = services.audience_pages.find(alert.id, number)
    if page is not None and alert.stopped_at is None:
        _read_page(alert, Range(number, page.after, "", number - 1), services)


def _ranges_left(alert: Alert, services: Services) -> tuple[Range, ...]:
    if alert.ranges:
        return alert.ranges
    # Nothing was read yet, or the version before has read all pages with one chain.
    last = alert.next_page - 1
    page = services.audience_pages.find(alert.id, last) if last >= 0 else None
    return (Range(alert.next_page, page.up_to if page else "", "", last),)


def _read_page(alert: Alert, place: Range, services: Services) -> None:
    recorded = services.audience_pages.find(alert.id, place.page)
    batch = read_batch(
        alert,
        services.alerts.recipients(alert),
        services,
        after=place.after,
        limit=page_size(services),
        up_to=place.up_to,
        page=recorded,
    )
    calls = Counter[Lane]()
    for member in batch.members:
        if member.refusal(alert.topic) is None:
            calls[member.lane(services)] += member.calls
    due = schedule(calls, services)
    page = recorded or services.audience_pages.open(_page_of(batch, calls, alert, place))
    if page is None:
        # Somebody else has read it just now, perhaps up to another place: it is read again.
        _read_page(alert, place, services)
        return
    _put_page(batch.members, due, alert, page, services)
    duration = max(calls.values(), default=0) * services.pacer.alert_interval
    read, is_first = _note_read(alert, place, page, duration, services)
    if not is_first:
        _enqueue_next(read, page.number, services, delay_seconds=OVERTAKEN_SECONDS)
        return
    # Each chain most likely reads as long a page next, so reading it earlier would be too early.
    ready_at = last_due(due, calls, services) + duration * max(len(read.ranges), 1) - LEAD_TIME
    if page.number >= _LIKELY_ENDED:
        read = _close_likely_ended(read, page, services)
    _enqueue_next(read, page.number, services, delay_seconds=whole_seconds_until(ready_at))


def _page_of(batch: Batch, calls: Mapping[Lane, int], alert: Alert, place: Range) -> AudiencePage:
    return AudiencePage(
        alert_id=alert.id,
        number=place.page,
        after=place.after,
        up_to=batch.up_to,
        share=batch.share,
        read_at=datetime.now(UTC),
        members=tuple(member.id for member in batch.members),
        lanes={(lane.host, lane.tenant_id): count for lane, count in calls.items()},
    )


def _note_read(
    alert: Alert, place: Range, page: AudiencePage, duration: timedelta, services: Services
) -> tuple[Alert, bool]:
    """Note on the alert that a page was read, whose calls take so long.

    Returns the alert, and whether nobody else has read the page and noted it first. They seem to
    have where storage lost its answer, and another chain wrote on top.
    """
    is_first = True

    def read(current: Alert) -> Alert:
        nonlocal is_first
        ranges = _ranges_left(current, services)
        is_first = place.page in (each.page for each in ranges)
        if not is_first:
            return current
        next_page = max(current.next_page, page.number + 1)
        onward = _onward(current, place, page, duration, next_page)
        left = (*(each for each in ranges if each.page != place.page), *onward)
        noted = replace(
            current,
            ranges=left,
            next_page=next_page + len(onward),
            found=current.found + len(page.members),
            read_share=current.read_share + page.share - share_at(place.after, alert),
            is_read=not left,
            started_at=current.started_at or page.read_at,
        )
        if current.stopped_at is None:
            return noted
        # Who stopped it, and who counts its pages right now, does not know of this one.
        reopenings = current.reopenings + 1
        return replace(noted, ended_at=None, closed_pages=0, counts={}, reopenings=reopenings)

    # Read anew, as other chains have most likely changed the row.
    alert = services.alerts.change(alert.id, read)
    return alert, is_first


def _onward(
    alert: Alert, place: Range, page: AudiencePage, duration: timedelta, number: int
) -> tuple[Range, ...]:
    """Return what is left of a range after a page, in as many ranges as the page's lanes can use.

    Their next pages are numbered from ``number`` on.
    """
    share = page.share - share_at(place.after, alert)
    left = (share_at(place.up_to, alert) if place.up_to else 1.0) - page.share
    if left <= 0:
        return ()
    count = 1
    if not alert.ranges:
        count = min(
            math.ceil(_READING_TAKES / duration) if duration else _MOST_CHAINS,
            math.ceil(left / share) if share else _MOST_CHAINS,
            _MOST_CHAINS,
        )
    return tuple(
        Range(number + part, after, up_to, page.number)
        for part, (after, up_to) in enumerate(parts(alert, page.up_to, place.up_to, count))
    )


def _read_no_further(alert: Alert, place: Range, services: Services) -> None:
    """Give up what is left of a range, as its alert is over; but finish a page that was begun.

    Whoever has recorded such a page died before it was noted.
    """
    page = services.audience_pages.find(alert.id, place.page)
    if page is None:
        read = _give_up(alert, place, services)
    elif alert.is_read or alert.stopped_at is not None:
        # Its members get nothing more. One chain is enough to give up what comes after it.
        read, _ = _note_read(alert, place, page, _READING_TAKES, services)
    else:
        # All of its messages are put on the queue, where they expire.
        _read_page(alert, place, services)
        return
    _enqueue_next(read, place.page, services)


def _give_up(alert: Alert, place: Range, services: Services) -> Alert:
    """Note that the rest of a range is not read any more."""

    def given_up(current: Alert) -> Alert:
        left = tuple(each for each in current.ranges if each.page != place.page)
        return replace(current, ranges=left, is_read=current.is_read or not left)

    return services.alerts.change(alert.id, given_up, known=alert)


def _enqueue_next(
    alert: Alert, number: int | None, services: Services, *, delay_seconds: float = 0
) -> None:
    """Enqueue the steps that come after reading a page, or all; at the end, the count of ends."""
    if alert.is_read and not alert.ranges:
        enqueue_close(alert, services)
        return
    for each in _ranges_left(alert, services):
        if number in (None, each.previous):
            onward = Step(kind="read", page=each.page, chain=alert.chain)
            enqueue_step(alert, onward, services, delay_seconds=delay_seconds)


def _close_likely_ended(alert: Alert, page: AudiencePage, services: Services) -> Alert:
    return close_pages(
        alert,
        services,
        limit=_CLOSED_WHILE_READING,
        first=page.number - _LIKELY_ENDED,
        read_before=page.read_at - LEAD_TIME,
    )


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
    record_left_out(members, refusals, alert, page, services)
