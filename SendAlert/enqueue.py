"""Messages to the members of an alert's page, put on their queues just in time for their calls."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from SendAlert.audience import Member
from shared import json_text
from shared.alerts.alert import Alert
from shared.alerts.audience_pages import AudiencePage
from shared.deliveries.rows import id_in_alert
from shared.messages.account_snapshot import snapshot_of
from shared.messages.envelope import Envelope
from shared.messages.queue_names import SEND_ACTIVITY
from shared.sending.alert_steps import whole_seconds_until
from shared.throttling.lane import Lane
from shared.wiring import Services

LEAD_TIME = timedelta(seconds=15)
"""How long before its call is due a message of an alert is put on a queue, at the earliest.

Messages to a paused lane are put there earlier, together with those to the other lanes.
"""

_THREADS = 8
_PAGE_DURATION = timedelta(seconds=7)
_LARGEST_PAGE = 250
# Other messages may have taken the slots of the next moments.
_SLACK = timedelta(seconds=2)


@dataclass(frozen=True)
class DueMessage:
    """A message, the queue that it is for, and when its call is due."""

    queue: str
    body: dict[str, Any]
    envelope: Envelope
    due_at: datetime


def page_size(services: Services) -> int:
    """Return how many members a page has at most: their calls take half of the lead time."""
    return max(1, min(_LARGEST_PAGE, int(_PAGE_DURATION / services.pacer.alert_interval)))


def schedule(calls: Mapping[Lane, int], services: Services) -> dict[Lane, datetime]:
    """Return when the first of the calls is due in each lane.

    Raises HeldBackError when it is too early to enqueue their messages.
    """
    duration = max(calls.values(), default=0) * services.pacer.alert_interval
    return services.pacer.schedule(calls, within=max(LEAD_TIME, duration + _SLACK))


def last_due(
    due: Mapping[Lane, datetime], calls: Mapping[Lane, int], services: Services
) -> datetime:
    """Return when the last of the calls is due; those of a paused lane don't count."""
    now = datetime.now(UTC)
    ends = (
        first + calls[lane] * services.pacer.alert_interval
        for lane, first in due.items()
        if first <= now + LEAD_TIME
    )
    return max(ends, default=now)


def messages_to(
    members: Sequence[Member],
    due: Mapping[Lane, datetime],
    alert: Alert,
    page: AudiencePage,
    services: Services,
) -> list[DueMessage]:
    """Return the messages to members of a page, due one after the other in each lane."""
    taken: Counter[Lane] = Counter()
    messages = []
    for member in members:
        lane = member.lane(services)
        # Who has moved to another lane since the times were scheduled is due at once.
        first = due.get(lane, page.read_at)
        due_at = first + taken[lane] * services.pacer.alert_interval
        taken[lane] += member.calls
        messages.append(_message_to(member, due_at, alert, page))
    return messages


def _message_to(member: Member, due_at: datetime, alert: Alert, page: AudiencePage) -> DueMessage:
    delivery_id = id_in_alert(alert.id, page.number, member.id)
    body = {
        "id": delivery_id,
        "recipient": {"channelId": member.channel_id, "userId": member.user_id},
        "topic": alert.topic,
        "expiresAt": alert.expires_at.isoformat() if alert.expires_at else None,
    }
    account = member.account
    envelope = Envelope(
        id=delivery_id,
        accepted_at=page.read_at,
        posting=delivery_id,
        alert=alert.id,
        # The account of somebody who is out of reach is looked up once more before the call.
        snapshot=snapshot_of(account) if account and not account.is_out_of_reach else None,
        traceparent=alert.traceparent,
    )
    return DueMessage(SEND_ACTIVITY, json_text.without_none(body), envelope, due_at)


def due_times(page: AudiencePage, count: int, services: Services) -> list[datetime]:
    """Return when so many further calls to members of a page are due.

    They are spread over the page's lanes: only how many members were in each is still known, not
    who. Raises HeldBackError when it is too early to enqueue their messages.
    """
    if count == 0:
        return []
    part = count / max(len(page.members), 1)
    calls = {Lane(*lane): math.ceil(known * part) for lane, known in page.lanes.items()}
    due = schedule(calls, services)
    first = min(due.values(), default=datetime.now(UTC))
    duration = max(last_due(due, calls, services) - first, timedelta(0))
    return [first + duration * number / count for number in range(count)]


def enqueue(messages: Sequence[DueMessage], services: Services) -> None:
    """Put messages on their queues; each can be taken from there when its call is due."""

    def put(message: DueMessage) -> None:
        services.queues.send(
            message.queue,
            message.body,
            message.envelope,
            delay_seconds=whole_seconds_until(message.due_at),
        )

    with ThreadPoolExecutor(_THREADS) as threads:
        for _ in threads.map(put, messages):
            pass
