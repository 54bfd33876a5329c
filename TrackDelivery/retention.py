"""Removing old records, old failed messages, outcomes that nobody reads, and what a crash left.

Table ``retention``, a row for each table that is being cleaned. PartitionKey: its name; RowKey:
``retention``; property ``token``: where to go on. So the next run resumes one that was cut short
by its time limit or by a crash.
"""

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import cache

from shared.errors import UnknownAlertError
from shared.messages.queue_names import QUEUES
from shared.storage.queues import Queue
from shared.storage.tables import Row, Table, version_of
from shared.wiring import Services

_logger = logging.getLogger(__name__)

# The Functions host stops a function after five minutes (functionTimeout of host.json).
_MOST_SECONDS = 240.0
_PAGE_SIZE = 500
_THREADS = 8
_A_DAY = timedelta(days=1)
# Queue storage hides a message for so long at most.
_LONGEST_HIDDEN = timedelta(days=7)
_ROW_KEY = "retention"
_POISON_QUEUES = tuple(f"{queue}-poison" for queue in QUEUES)


def remove_old_rows(
    services: Services,
    *,
    now: datetime | None = None,
    most_seconds: float = _MOST_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Remove what is older than DeliveryRetentionDays, and after a day what has no more use.

    Ends after ``most_seconds``; the next run goes on from there.
    """
    now = now or datetime.now(UTC)
    deadline = clock() + most_seconds
    kept_for = timedelta(days=services.settings.delivery_retention_days)
    times = {
        "alerts": now - kept_for,
        "answers": now - kept_for,
        "deliveries": now - kept_for,
        "failures": now - kept_for,
        # A repeat is noted on its row once a day.
        "incidents": now - kept_for - _A_DAY,
        "pages": now - kept_for,
        "bodies": _bodies_before(now, kept_for, services),
        "idempotency": now - _A_DAY,
        "leases": now - _A_DAY,
    }
    for queue in filter(None, (*_POISON_QUEUES, services.settings.outcome_queue)):
        _clean_queue(queue, now - kept_for, services, deadline, clock)
    for name, before in times.items():
        if not _clean_table(name, before, services, deadline, clock):
            return


def _bodies_before(now: datetime, kept_for: timedelta, services: Services) -> datetime:
    """Return since when what was kept aside is kept: longer than whatever refers to it.

    That is a failure, an entry of a poison queue, or a message: hidden for days, or waiting, as
    long as the app was stopped.
    """
    waiting = [Queue(services.storage, queue).first_inserted_at() for queue in QUEUES]
    oldest = min((each for each in waiting if each is not None), default=now)
    return min(now - max(kept_for, _LONGEST_HIDDEN), oldest) - _A_DAY


def _clean_queue(
    name: str,
    before: datetime,
    services: Services,
    deadline: float,
    clock: Callable[[], float],
) -> None:
    """Remove what was put on a queue too long ago; the oldest comes first.

    Nothing is taken before it is too old, so whoever reads the queue is left alone.
    """
    queue = Queue(services.storage, name)
    while clock() < deadline:
        inserted_at = queue.first_inserted_at()
        if inserted_at is None or inserted_at >= before:
            return
        message = queue.take()
        # The one that was seen may have been taken by whoever reads the queue.
        if message is not None and message.inserted_on and message.inserted_on < before:
            queue.delete(message)


def _clean_table(
    name: str,
    before: datetime,
    services: Services,
    deadline: float,
    clock: Callable[[], float],
) -> bool:
    """Remove old rows, page by page; tell whether it was done in time."""
    table = Table(services.storage, name)
    progress = Table(services.storage, "retention")
    stored = progress.get(name, _ROW_KEY)
    token: str | None = stored["token"] if stored is not None else None
    removed = 0
    is_unfinished = cache(lambda alert_id: _is_unfinished(alert_id, services))
    with ThreadPoolExecutor(_THREADS) as threads:
        while clock() < deadline:
            rows, token = table.page(
                "Timestamp lt @before", {"before": before}, size=_PAGE_SIZE, token=token
            )
            old = [
                row
                for row in rows
                if not _is_kept(row) and not ("alertId" in row and is_unfinished(row["alertId"]))
            ]
            list(threads.map(lambda row: _remove(table, row), old))
            removed += len(old)
            if token is None:
                progress.delete(name, _ROW_KEY)
                _logger.info("Removed %d old rows of %s", removed, name)
                return True
            progress.put({"PartitionKey": name, "RowKey": _ROW_KEY, "token": token})
    _logger.info("Removed %d old rows of %s, more the next time", removed, name)
    return False


def _is_kept(row: Row) -> bool:
    """Tell whether a row is kept until a time, or is a claim that lasts until then."""
    until = row.get("until")
    return until is not None and until > datetime.now(UTC)


def _is_unfinished(alert_id: str, services: Services) -> bool:
    """Tell whether an alert has not ended, so that what was recorded of it is counted some day."""
    try:
        return services.alerts.find(alert_id).ended_at is None
    except UnknownAlertError:
        return False


def _remove(table: Table, row: Row) -> None:
    # Only as it was found: a delivery may have been retried a moment ago.
    table.delete(row["PartitionKey"], row["RowKey"], version_of(row))
