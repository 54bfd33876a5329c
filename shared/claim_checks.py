"""What is too large for a queue message, kept aside under a key that the message carries instead.

Table ``bodies``. PartitionKey: a random key, RowKey: the number of the part; a property of a row
takes 64 KiB.
"""

import uuid

from shared.storage import Storage, Table

_PART_BYTES = 60 * 1024


class ClaimChecks:
    """Keeps texts until they are fetched and dropped."""

    def __init__(self, storage: Storage) -> None:
        """Take the storage."""
        self._table = Table(storage, "bodies")

    def keep(self, text: str) -> str:
        """Keep a text; return the key that it is fetched by."""
        key = uuid.uuid4().hex
        content = text.encode()
        for number, start in enumerate(range(0, len(content), _PART_BYTES)):
            part = content[start : start + _PART_BYTES]
            self._table.put({"PartitionKey": key, "RowKey": f"{number:04}", "part": part})
        return key

    def fetch(self, key: str) -> str | None:
        """Return the text that was kept under a key; None when there is none, or no more."""
        rows = sorted(self._table.partition(key), key=lambda row: str(row["RowKey"]))
        return b"".join(bytes(row["part"]) for row in rows).decode() if rows else None

    def drop(self, key: str) -> None:
        """Forget the text that was kept under a key."""
        for row in self._table.partition(key):
            self._table.delete(row["PartitionKey"], row["RowKey"])
