"""The keys that encrypt personal data: one for each person, deleted when the person is erased.

Table ``keys``. PartitionKey: a random id, RowKey: ``key``. The person's account holds the key too,
so encrypting takes no round trip. What outlives the account, such as the record of a delivery,
holds only the id of the key and what is encrypted with it.
"""

import uuid
from dataclasses import dataclass, field

from shared.storage.clients import Storage
from shared.storage.encryption import new_key
from shared.storage.tables import Table

_ROW_KEY = "key"


@dataclass(frozen=True)
class PersonalKey:
    """A person's key, and the random id that it is found by."""

    id: str
    value: bytes = field(repr=False)


class PersonalKeys:
    """Makes, finds and destroys keys."""

    def __init__(self, storage: Storage) -> None:
        self._table = Table(storage, "keys")

    def make(self) -> PersonalKey:
        """Make a key, store it and return it."""
        key = PersonalKey(uuid.uuid4().hex, new_key())
        self._table.put({"PartitionKey": key.id, "RowKey": _ROW_KEY, "value": key.value})
        return key

    def find(self, key_id: str) -> PersonalKey | None:
        """Return a key; None when it was destroyed."""
        row = self._table.get(key_id, _ROW_KEY)
        return PersonalKey(key_id, bytes(row["value"])) if row is not None else None

    def destroy(self, key_id: str) -> None:
        """Destroy a key, so that what is encrypted with it can never be read again."""
        self._table.delete(key_id, _ROW_KEY)
