"""Messages for the members of a page of an alert, put on their queues so that each is in time."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from SendAlert.audience import Member
from shared.alerts.alert import Alert
from shared.alerts.audience_pages import AudiencePage
from shared.deliveries.rows import id_in_alert
from shared.messages.account_snapshot import snapshot_of
from shared.messages.envelope import SEND_ACTIVITY, Envelope
from shared.throttling.lane import Lane
from shared.wiring import Services

AHEAD = timedelta(seconds=15)
"""Messages of an alert are put on a queue so long before their calls are due, and no earlier.

But for those that a pause holds back while others are sent to.
"""

_THREADS = 8
_PAGE_LASTS = timedelta(seconds=7)
_MOST_MEMBERS = 250
# So far ahead others may have taken slots.
_SLACK = timedelta(seconds=2)


@dataclass(frozen=True)
class Shipment:
    """A message, the queue that it is for, and when its call is due."""

    queue: str
    body: dict[str, Any]
    envelope: Envelope
    due_at: datetime


def most_members(services: Services) -> int:
    """Return how many members a page has at most: their calls take half of the time ahead."""
    return max(1, min(_MOST_MEMBERS, int(_PAGE_LASTS / services.pacer.alert_interval)))


def schedule(calls: Mapping[Lane, int], services: Services) -> dict[Lane, datetime]:
    """Return when the first of so many calls is due in each lane.

    Raises HeldBackError when it is not time to put them on a queue yet.
    """
    lasts = max(calls.values(), default=0) * services.pacer.alert_interval
    return services.pacer.schedule(calls, within=max(AHEAD, lasts + _SLACK))


def end_of(due: Mapping[Lane, datetime], calls: Mapping[Lane, int], services: Services) -> datetime:
    """Return when the last of the calls is due, but for those that a pause holds back."""
    now = datetime.now(UTC)
    ends = (
        first + calls[lane] * services.pacer.alert_interval
        for lane, first in due.items()
        if first <= now + AHEAD
    )
    return max(ends, default=now)


def sends(
    members: Sequence[Member],
    due: Mapping[Lane, datetime],
    alert: Alert,
    page: AudiencePage,
    services: Services,
) -> list[Shipment]:
    """Return the messages for members of a page, one after the other in each lane."""
    taken: Counter[Lane] = Counter()
    shipments = []
    for member in members:
        lane = member.lane(services)
        due_at = due[lane] + taken[lane] * services.pacer.alert_interval
        taken[lane] += member.calls
        delivery_id = id_in_alert(alert.id, page.number, member.id)
        account = member.account
        body = {
            "id": delivery_id,
            "recipient": {"channelId": member.channel_id, "userId": member.user_id},
            "topic": alert.topic,
            "expiresAt": alert.expires_at.isoformat() if alert.expires_at else None,
        }
        envelope = Envelope(
            id=delivery_id,
            accepted_at=page.read_at,
            posting=delivery_id,
            alert=alert.id,
            # Whoever is out of reach is looked at once more by who sends.
            reference=snapshot_of(account) if account and not account.is_out_of_reach else None,
            traceparent=alert.traceparent,
        )
        known = {name: value for name, value in body.items() if value is not None}
        shipments.append(Shipment(SEND_ACTIVITY, known, envelope, due_at))
    return shipments


def due_again(page: AudiencePage, count: int, services: Services) -> list[datetime]:
    """Return when so many further calls to members of a page are due, spread over its lanes.

    Who is in which lane is not known any more, only how many were. Raises HeldBackError when it is
    not time to put them on a queue yet.
    """
    if count == 0:
        return []
    part = count / max(len(page.members), 1)
    calls = {Lane(*lane): math.ceil(known * part) for lane, known in page.lanes.items()}
    due = schedule(calls, services)
    first = min(due.values(), default=datetime.now(UTC))
    lasts = max(end_of(due, calls, services) - first, timedelta(0))
    return [first + lasts * number / count for number in range(count)]


def ship(shipments: Sequence[Shipment], services: Services) -> None:
    """Put the messages on their queues; each is seen there when its call is due."""

    def put(shipment: Shipment) -> None:
        services.queues.send(
            shipment.queue,
            shipment.body,
            shipment.envelope,
            delay_seconds=whole_seconds_until(shipment.due_at),
        )

    with ThreadPoolExecutor(_THREADS) as threads:
        for _ in threads.map(put, shipments):
            pass


def whole_seconds_until(time: datetime) -> int:
    """Return the delay of a message that is due then: whole seconds, and rather too few."""
    return max(0, math.floor((time - datetime.now(UTC)).total_seconds()))
