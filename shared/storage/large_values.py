"""Values that are too large for a queue message: kept aside, under a key that it carries instead.

Table ``bodies``. PartitionKey: a random key, RowKey: the number of the part; a property of a row
takes 64 KiB.
"""

import logging
import uuid
from datetime import datetime

from shared.errors import StorageUnavailableError
from shared.storage.clients import Storage
from shared.storage.tables import Row, Table

_logger = logging.getLogger(__name__)

_PART_BYTES = 60 * 1024


def _row_key(number: int) -> str:
    return f"{number:04}"


class LargeValues:
    """Keeps texts until they are fetched and dropped."""

    def __init__(self, storage: Storage) -> None:
        self._table = Table(storage, "bodies")

    def keep(self, text: str, *, until: datetime | None = None) -> str:
        """Keep a text; return the key that it is fetched by.

        It is kept as long as records are, and at least ``until`` that time.
        """
        key = uuid.uuid4().hex
        content = text.encode()
        parts = [
            content[start : start + _PART_BYTES] for start in range(0, len(content), _PART_BYTES)
        ]
        for number, part in enumerate(parts):
            row = {"PartitionKey": key, "RowKey": _row_key(number), "part": part}
            kept = {"until": until} if until else {}
            self._table.put({**row, **kept, "parts": len(parts)})
        return key

    def fetch(self, key: str) -> str | None:
        """Return the text that was kept under a key; None when there is none."""
        first = self._table.get(key, _row_key(0))
        if first is None:
            return None
        # Most have one part, and a query takes longer.
        rows = self._rows(key) if first["parts"] > 1 else [first]
        if not rows or len(rows) < rows[0]["parts"]:
            return None
        return b"".join(bytes(row["part"]) for row in rows[: rows[0]["parts"]]).decode()

    def keep_longer(self, key: str, *, until: datetime) -> None:
        """Keep the text that was kept under a key at least until a time."""
        for row in self._rows(key):
            self._table.put({**row, "until": until})

    def drop(self, key: str, *, leaves_trace: bool = False) -> None:
        """Delete the text that was kept under a key.

        With ``leaves_trace`` an empty text stays in its place for a while: so what comes for it
        once more can tell that it was used. The work that needed it is done, so an error of storage
        is only logged.
        """
        try:
            rows = self._rows(key)
            if rows and leaves_trace:
                trace = {"PartitionKey": key, "RowKey": rows[0]["RowKey"], "part": b"", "parts": 1}
                self._table.put(trace)
                rows = rows[1:]
            for row in rows:
                self._table.delete(key, row["RowKey"])
        except StorageUnavailableError as error:
            _logger.warning("A large value could not be deleted: %s", error)

    def _rows(self, key: str) -> list[Row]:
        return sorted(self._table.partition(key), key=lambda row: str(row["RowKey"]))
