"""Removing old records, old failed messages, and what a crash left behind.

Table ``retention``, a row for each table that is being cleaned. PartitionKey: its name; RowKey:
``retention``; property ``token``: where to go on. So the next run resumes one that was cut short
by its time limit or by a crash.
"""

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

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
_ROW_KEY = "retention"


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
    # A message is on its way for a day at most, however short records are kept.
    ages = {
        "deliveries": kept_for,
        "failures": kept_for,
        "bodies": max(kept_for, 2 * _A_DAY),
        "idempotency": _A_DAY,
        "leases": _A_DAY,
        "alerts": kept_for,
        "pages": kept_for,
    }
    for queue in QUEUES:
        _clean_queue(f"{queue}-poison", now - kept_for, services, deadline, clock)
    for name, age in ages.items():
        if not _clean_table(name, now - age, services, deadline, clock):
            return


def _clean_queue(
    poison_queue: str,
    before: datetime,
    services: Services,
    deadline: float,
    clock: Callable[[], float],
) -> None:
    """Remove what was put on a poison queue too long ago; the oldest comes first."""
    queue = Queue(services.storage, poison_queue)
    while clock() < deadline:
        inserted_at = queue.first_inserted_at()
        if inserted_at is None or inserted_at >= before:
            return
        message = queue.take()
        # The one that was seen may have been taken by an operator who puts messages back.
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
    with ThreadPoolExecutor(_THREADS) as threads:
        while clock() < deadline:
            rows, token = table.page(
                "Timestamp lt @before", {"before": before}, size=_PAGE_SIZE, token=token
            )
            old = [row for row in rows if not _is_claimed(row)]
            list(threads.map(lambda row: _remove(table, row), old))
            removed += len(old)
            if token is None:
                progress.delete(name, _ROW_KEY)
                _logger.info("Removed %d old rows of %s", removed, name)
                return True
            progress.put({"PartitionKey": name, "RowKey": _ROW_KEY, "token": token})
    _logger.info("Removed %d old rows of %s, more the next time", removed, name)
    return False


def _is_claimed(row: Row) -> bool:
    """Tell whether a row is a claim on something that is being done right now."""
    until = row.get("until")
    return until is not None and until > datetime.now(UTC)


def _remove(table: Table, row: Row) -> None:
    # Only as it was found: a delivery may have been retried a moment ago.
    table.delete(row["PartitionKey"], row["RowKey"], version_of(row))
