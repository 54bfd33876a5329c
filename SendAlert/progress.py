"""How far an alert is: its deliveries, counted page by page."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from shared.alerts.alert import Alert
from shared.alerts.audience_pages import AudiencePage, PageCounts
from shared.deliveries.delivery import Delivery, Status
from shared.deliveries.rows import id_in_alert, member_of
from shared.wiring import Services

CURRENT = "current"
RECALLED = "recalled"
"""Of those that were sent: how many show the alert as it is now, or nothing of it any more."""

_ON_THEIR_WAY = (Status.ACCEPTED, Status.SENDING, Status.RETRYING)
QUIET_AFTER = timedelta(seconds=5)
"""Who was about to send when an alert was stopped has come to an end by then."""


@dataclass(frozen=True)
class Progress:
    """How far an alert is; ``total`` is an estimate for as long as its audience is being read."""

    alert: Alert
    counts: Mapping[str, int]
    total: int
    at: datetime

    @property
    def ended(self) -> int:
        """How many deliveries have ended, in whatever way."""
        return sum(self.counts.get(each, 0) for each in Status if each not in _ON_THEIR_WAY)

    @property
    def under_way(self) -> int:
        """How many calls are being made right now."""
        return self.counts.get(Status.SENDING, 0)

    @property
    def share(self) -> float:
        """What part of it all has ended, from 0 to 1."""
        if self.alert.ended_at is not None:
            return 1.0
        done, total = self.ended, self.total
        if self.alert.version > 1 and done >= total:
            # All have ended; what is left is to bring them what was changed since.
            done, total = self.counts.get(CURRENT, 0), self.counts.get(Status.SENT, 0)
            if self.alert.recalled_at is not None:
                done = self.counts.get(RECALLED, 0)
        # What has no end yet is never told to have one.
        return min(done / total, 0.999) if total else 0.0

    @property
    def rate_per_second(self) -> float | None:
        """How many deliveries ended each second, on the average.

        None too for an alert that was changed, or of which something was put back: its deliveries
        did not all end in one go.
        """
        alert = self.alert
        is_one_go = alert.version == 1 and alert.reopenings == 0
        if alert.started_at is None or not self.ended or not is_one_go:
            return None
        seconds = ((alert.ended_at or self.at) - alert.started_at).total_seconds()
        return self.ended / seconds if seconds > 0 else None

    @property
    def estimated_end(self) -> datetime | None:
        """When it will have ended, going on as before; None when that cannot be told."""
        rate = self.rate_per_second
        if self.alert.ended_at is not None or self.alert.stopped_at is not None or not rate:
            return None
        return self.at + timedelta(seconds=max(self.total - self.ended, 0) / rate)


def progress_of(alert: Alert, services: Services) -> Progress:
    """Return how far an alert is; what is closed is not counted again."""
    counts = Counter(alert.counts)
    for page in services.audience_pages.counted_since(alert.id, alert.closed_pages):
        counts.update(_known(page, alert) or _count(page, alert, services))
    total = alert.found
    if alert.recipient_count is not None and alert.read_share < 1:
        total = max(alert.recipient_count, alert.found)
        if alert.stopped_at is not None:
            # Of those whom nobody has got to it is known that nobody will.
            counts[Status.CANCELLED] += total - alert.found
        elif alert.is_read:
            counts[Status.EXPIRED] += total - alert.found
        else:
            counts[Status.ACCEPTED] += total - alert.found
    elif not alert.is_read and alert.stopped_at is None and alert.read_share > 0:
        total = max(round(alert.found / alert.read_share), alert.found)
    return Progress(alert, counts, total, datetime.now(UTC))


def deliveries_of(page: AudiencePage, alert: Alert, services: Services) -> list[Delivery]:
    """Return the deliveries to all members of a page, those too of which nothing is recorded yet.

    Of an alert that was stopped, what has not begun never will.
    """
    recorded = services.deliveries.page(alert.id, page.number)
    known = {member_of(each.id) for each in recorded}
    waiting = [
        Delivery(
            id=id_in_alert(alert.id, page.number, member),
            status=Status.ACCEPTED,
            created_at=page.read_at,
            updated_at=page.read_at,
            alert_id=alert.id,
        )
        for member in page.members
        if member not in known
    ]
    found = [*recorded, *waiting]
    if alert.stopped_at is None:
        return found
    return [
        replace(each, status=Status.CANCELLED, code=None, detail=None)
        if each.status in (Status.ACCEPTED, Status.RETRYING)
        else each
        for each in found
    ]


def close_pages(
    alert: Alert,
    services: Services,
    *,
    most: int,
    first: int = 0,
    read_before: datetime | None = None,
) -> Alert:
    """Close the pages whose members have all ended, looking at so many; return the alert then.

    The look begins at the page ``first`` and goes on with those before it, so that what waits for
    long holds up no others. ``read_before`` leaves out those of which that cannot be yet.
    """
    pages = services.audience_pages.counted_since(alert.id, alert.closed_pages)
    still_open = [
        each
        for each in pages
        if each.counted_version != alert.version
        and (read_before is None or each.read_at < read_before)
    ]
    still_open.sort(key=lambda each: (each.number < first, each.number))
    closed = {}
    for each in still_open[:most]:
        page = services.audience_pages.find(alert.id, each.number)
        if page is None:
            continue
        counts = _final_counts(page, alert, services)
        if counts is not None and services.audience_pages.close(page, counts, alert.version):
            closed[page.number] = counts
    counted = Counter(alert.counts)
    number = alert.closed_pages
    for each in pages:
        counts = closed.get(each.number)
        if counts is None and each.counted_version == alert.version:
            counts = Counter(each.counts)
        if counts is None:
            break
        counted.update(counts)
        number = each.number + 1
    if number == alert.closed_pages:
        return alert

    def with_counts(current: Alert) -> Alert:
        # Whoever changed it meanwhile may have reopened some.
        if current.updated_at != alert.updated_at:
            return current
        return replace(current, closed_pages=number, counts=dict(counted))

    return services.alerts.change(alert.id, with_counts)


def change_id(delivery: Delivery, version: int) -> str:
    """Return the id of the delivery of a change, which brings a person a version of the alert."""
    return f"{delivery.id}!{version}"


def is_to_change(delivery: Delivery, alert: Alert) -> bool:
    """Tell whether a person sees something else of an alert than they shall by now.

    What the channel gave no id for cannot be changed.
    """
    return (
        delivery.status is Status.SENT
        and delivery.activity_id is not None
        and not delivery.recalled
        and (delivery.alert_version or 0) < alert.version
    )


def _final_counts(page: AudiencePage, alert: Alert, services: Services) -> Counter[str] | None:
    """Return how the members of a page have ended; None while not all of them have."""
    now = datetime.now(UTC)
    if alert.stopped_at is not None and now - alert.stopped_at < QUIET_AFTER:
        return None
    deliveries = deliveries_of(page, alert, services)
    is_open = any(
        each.status in _ON_THEIR_WAY
        or (is_to_change(each, alert) and not _has_ended(change_id(each, alert.version), services))
        for each in deliveries
    )
    return None if is_open else _counted(deliveries, alert)


def _counted(deliveries: Iterable[Delivery], alert: Alert) -> Counter[str]:
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


def _count(each: PageCounts, alert: Alert, services: Services) -> Counter[str]:
    page = services.audience_pages.find(alert.id, each.number)
    return _counted(deliveries_of(page, alert, services) if page is not None else (), alert)


def _known(page: PageCounts, alert: Alert) -> Counter[str] | None:
    """Return the counts of a page, if it was counted; what is being changed since then is not."""
    if page.counts is None:
        return None
    counts = Counter(page.counts)
    if page.counted_version != alert.version:
        counts[CURRENT] = 0
    return counts
