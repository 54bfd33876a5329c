"""Leases: of many who want to do the same thing at once, one does it.

Table ``leases``, a row for each lease that is held. PartitionKey: the hash of what is leased;
RowKey: ``lease``. When a process dies, the lease that it holds runs out by itself.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from shared.errors import StorageUnavailableError
from shared.storage.clients import Storage
from shared.storage.tables import Table, key_of, version_of

_logger = logging.getLogger(__name__)

_ROW_KEY = "lease"


@dataclass(frozen=True)
class Lease:
    """The right to do one thing, until it is released or runs out."""

    key: str
    version: str
    until: datetime


class Leases:
    """Hands out leases to all instances of the app."""

    def __init__(
        self, storage: Storage, *, clock: Callable[[], datetime] = partial(datetime.now, UTC)
    ) -> None:
        self._table = Table(storage, "leases")
        self._clock = clock

    def acquire(self, *what: str, seconds: float) -> Lease | None:
        """Return a lease on what the ids name, for so many seconds; None when it is taken."""
        now = self._clock()
        until = now + timedelta(seconds=seconds)
        key = key_of(*what)
        row = {"PartitionKey": key, "RowKey": _ROW_KEY, "until": until}
        version = self._table.insert(row)
        if version is None:
            version = self._take_over(row, now)
        return Lease(key, version, until) if version is not None else None

    def release(self, lease: Lease) -> None:
        """Give a lease back before it runs out, unless somebody else has taken it over.

        The work that needed it is done, so an error of storage is only logged.
        """
        try:
            self._table.delete(lease.key, _ROW_KEY, lease.version)
        except StorageUnavailableError as error:
            _logger.warning("A lease could not be given back and will run out: %s", error)

    def _take_over(self, row: dict[str, Any], now: datetime) -> str | None:
        held = self._table.get(row["PartitionKey"], _ROW_KEY)
        if held is None:
            return self._table.insert(row)
        return self._table.replace(row, version_of(held)) if held["until"] <= now else None
