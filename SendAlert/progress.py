"""How far an alert is: its deliveries, counted page by page."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from shared.alerts.alert import Alert
from shared.alerts.audience_pages import AudiencePage, PageCounts
from shared.alerts.question import AnswerMode
from shared.deliveries.delivery import DeliveryState, Status
from shared.deliveries.rows import id_in_alert, member_of
from shared.sending.alert_lifecycle import QUIET_AFTER
from shared.sending.outdated_copies import change_id, is_outdated
from shared.wiring import Services

CURRENT = "current"
RECALLED = "recalled"
"""Of the sent copies, those that show the alert as it is now, and those that were deleted."""

_ON_THEIR_WAY = (Status.ACCEPTED, Status.SENDING, Status.RETRYING)


@dataclass(frozen=True)
class Progress:
    """How far an alert is; ``total`` is an estimate while its audience is being read.

    ``answers`` is how many people have given each option; None where it asks nothing.
    """

    alert: Alert
    counts: Mapping[str, int]
    total: int
    at: datetime
    answers: Mapping[str, int] | None = None

    @property
    def ended(self) -> int:
        """How many deliveries have ended, whether well or badly."""
        return sum(self.counts.get(each, 0) for each in Status if each not in _ON_THEIR_WAY)

    @property
    def under_way(self) -> int:
        """How many calls are being made right now."""
        return self.counts.get(Status.SENDING, 0)

    @property
    def share(self) -> float:
        """Which part of it all has ended, from 0 to 1."""
        if self.alert.ended_at is not None:
            return 1.0
        done, total = self.ended, self.total
        if self.alert.version > 1 and done >= total:
            # All deliveries have ended; what is left are the edits or recalls of their copies.
            done, total = self.counts.get(CURRENT, 0), self.counts.get(Status.SENT, 0)
            if self.alert.recalled_at is not None:
                done = self.counts.get(RECALLED, 0)
        # An alert that has not ended is never shown as done.
        return min(done / total, 0.999) if total else 0.0

    @property
    def rate_per_second(self) -> float | None:
        """How many deliveries ended per second on average; None while that is not known.

        It is not known either of an alert that was changed, or of which something was put back: its
        deliveries did not all end in one go.
        """
        alert = self.alert
        is_one_go = alert.version == 1 and alert.reopenings == 0
        if alert.started_at is None or not self.ended or not is_one_go:
            return None
        seconds = ((alert.ended_at or self.at) - alert.started_at).total_seconds()
        return self.ended / seconds if seconds > 0 else None

    @property
    def estimated_end(self) -> datetime | None:
        """When the alert will end at this rate; None when that is not known."""
        rate = self.rate_per_second
        if self.alert.ended_at is not None or self.alert.stopped_at is not None or not rate:
            return None
        return self.at + timedelta(seconds=max(self.total - self.ended, 0) / rate)


def progress_of(alert: Alert, services: Services) -> Progress:
    """Return how far an alert is; pages that are closed are not counted again."""
    counts = Counter(alert.counts)
    found = alert.found
    for page in services.audience_pages.counted_since(alert.id, alert.closed_pages):
        counted = _recorded_counts(page, alert) or _counts_so_far(page, alert, services)
        counts.update(counted)
        if alert.is_left(page.number):
            # The alert does not know of it yet, so all of them are among the unread.
            found += sum(counted[each] for each in Status)
    status, unread = alert.unread
    unread = max(unread + alert.found - found, 0)
    counts[status] += unread
    total = found + unread
    is_whole = alert.is_read or alert.stopped_at is not None or alert.recipient_count is not None
    if not is_whole and alert.read_share > 0:
        total = max(round(alert.found / alert.read_share), found)
    return Progress(alert, counts, total, datetime.now(UTC), _answers(alert, services))


def _answers(alert: Alert, services: Services) -> Mapping[str, int] | None:
    if alert.question is None:
        return None
    if alert.question.mode is AnswerMode.EACH:
        given = services.answers.counts(alert.id)
    else:
        given = {alert.first_answer.option: 1} if alert.first_answer else {}
    return {option.id: given.get(option.id, 0) for option in alert.question.options}


def deliveries_of(page: AudiencePage, alert: Alert, services: Services) -> list[DeliveryState]:
    """Return how far the deliveries to all members of a page are, also those without a record.

    If the alert was stopped, the deliveries that have not begun are cancelled.
    """
    recorded = services.deliveries.page(alert.id, page.number)
    known = {member_of(each.id) for each in recorded}
    waiting = [
        DeliveryState(id_in_alert(alert.id, page.number, member), Status.ACCEPTED)
        for member in page.members
        if member not in known
    ]
    deliveries = [*recorded, *waiting]
    if alert.stopped_at is None:
        return deliveries
    return [
        replace(each, status=Status.CANCELLED)
        if each.status in (Status.ACCEPTED, Status.RETRYING)
        else each
        for each in deliveries
    ]


def close_pages(
    alert: Alert,
    services: Services,
    *,
    limit: int,
    first: int = 0,
    read_before: datetime | None = None,
) -> Alert:
    """Close the pages whose members have all ended; return the alert with their counts.

    It has ended when all of its pages are closed.

    At most ``limit`` pages are looked at: from the page ``first`` on, then the ones before it, so
    that a page that is open for long holds up no others. Pages that were not ``read_before`` a
    time are left out, as they cannot have ended yet.
    """
    pages = services.audience_pages.counted_since(alert.id, alert.closed_pages)
    still_open = [
        page
        for page in pages
        if page.counted_version != alert.version
        and (read_before is None or page.read_at < read_before)
    ]
    still_open.sort(key=lambda page: (page.number < first, page.number))
    closed = {page.number: _close(page, alert, services) for page in still_open[:limit]}
    counted = Counter(alert.counts)
    closed_pages = alert.closed_pages
    for page in pages:
        counts = closed.get(page.number)
        if page.counted_version == alert.version:
            counts = Counter(page.counts)
        if counts is None or page.number >= alert.first_unread_page:
            break
        counted.update(counts)
        closed_pages = page.number + 1
    else:
        # Some numbers have no page: their ranges were not read to the end.
        closed_pages = alert.first_unread_page

    def with_counts(current: Alert) -> Alert:
        # Some pages may have been reopened meanwhile, or others have been closed.
        if _counted_by(current) != _counted_by(alert):
            return current
        return _ended(replace(current, closed_pages=closed_pages, counts=dict(counted)))

    return services.alerts.change(alert.id, with_counts, known=alert)


def _ended(alert: Alert) -> Alert:
    """Return an alert as ended, if all pages that it will ever have are closed."""
    is_whole = alert.is_read or alert.stopped_at is not None
    if not is_whole or alert.closed_pages < alert.next_page or alert.ended_at is not None:
        return alert
    return replace(alert, is_read=True, ended_at=datetime.now(UTC))


def _counted_by(alert: Alert) -> tuple[int, int, int]:
    return alert.version, alert.reopenings, alert.closed_pages


def _close(each: PageCounts, alert: Alert, services: Services) -> Counter[str] | None:
    """Close a page if its members have all ended, and return their counts."""
    page = services.audience_pages.find(alert.id, each.number)
    counts = _final_counts(page, alert, services) if page is not None else None
    if page is None or counts is None:
        return None
    return counts if services.audience_pages.close(page, counts, alert.version) else None


def _final_counts(page: AudiencePage, alert: Alert, services: Services) -> Counter[str] | None:
    """Return how the members of a page have ended; None while not all of them have."""
    now = datetime.now(UTC)
    if alert.stopped_at is not None and now - alert.stopped_at < QUIET_AFTER:
        return None
    deliveries = deliveries_of(page, alert, services)
    changes = [change_id(each, alert.version) for each in deliveries if is_outdated(each, alert)]
    if changes:
        if not all(_has_ended(each, services) for each in changes):
            return None
        # What they did was noted before they ended, but perhaps after the deliveries were read.
        deliveries = deliveries_of(page, alert, services)
    is_open = any(each.status in _ON_THEIR_WAY for each in deliveries)
    return None if is_open else _counted(deliveries, alert)


def _counted(deliveries: Iterable[DeliveryState], alert: Alert) -> Counter[str]:
    counts: Counter[str] = Counter()
    for delivery in deliveries:
        counts[delivery.status] += 1
        if delivery.status is Status.SENT and delivery.recalled:
            counts[RECALLED] += 1
        elif delivery.status is Status.SENT and (delivery.alert_version or 0) >= alert.version:
            counts[CURRENT] += 1
    return counts


def _has_ended(delivery_id: str, services: Services) -> bool:
    delivery = services.deliveries.get(delivery_id)
    return delivery is not None and delivery.status.is_final


def _counts_so_far(each: PageCounts, alert: Alert, services: Services) -> Counter[str]:
    page = services.audience_pages.find(alert.id, each.number)
    return _counted(deliveries_of(page, alert, services) if page is not None else (), alert)


def _recorded_counts(page: PageCounts, alert: Alert) -> Counter[str] | None:
    """Return the counts of a closed page; copies of an older version are not current."""
    if page.counts is None:
        return None
    counts = Counter(page.counts)
    if page.counted_version != alert.version:
        counts[CURRENT] = 0
    return counts
