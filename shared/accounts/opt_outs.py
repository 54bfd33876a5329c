"""The opt-outs of people who have no account: their stop holds, and nothing else is kept.

They were erased, or have said stop before anything else was told of them. Table ``optouts``, a row
for each id that such a person has. PartitionKey: a keyed hash (HMAC) of the bot's app id, the
channel's id and the user's id; RowKey: ``optout``; ``saidAt`` is when they had last said it. The
key of the hash is a random one of this storage, in the row ``key``/``key``, so the hashes alone
tell nothing.
"""

import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from shared.storage.clients import Storage
from shared.storage.encryption import new_key
from shared.storage.tables import Table, key_of
from shared.wire_models import canonical_id

_ROW_KEY = "optout"
_LONG_AGO = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class OptOut:
    """That somebody without an account said stop, and when they had last said it."""

    said_at: datetime
    key: str
    version: str


class OptOuts:
    """Knows the people who said stop and have no account, without knowing who they are."""

    def __init__(self, storage: Storage, app_id: str) -> None:
        self._table = Table(storage, "optouts")
        self._app_id = app_id

    def remember(self, channel_id: str, user_id: str, said_at: datetime) -> None:
        """Remember that this person said stop."""
        keys = {"PartitionKey": self._hash(channel_id, user_id), "RowKey": _ROW_KEY}
        self._table.put({**keys, "saidAt": said_at})

    def find(self, channel_id: str, user_id: str) -> OptOut | None:
        """Return this person's opt-out; None where there is none, or an account since."""
        row = self._table.get(self._hash(channel_id, user_id), _ROW_KEY)
        if row is None:
            return None
        return OptOut(row.get("saidAt", _LONG_AGO), row["PartitionKey"], row.version)

    def forget(self, opt_out: OptOut) -> None:
        """Forget that somebody said stop, as their account says it, or not; not if said anew."""
        self._table.delete(opt_out.key, _ROW_KEY, opt_out.version)

    def _hash(self, channel_id: str, user_id: str) -> str:
        message = key_of(self._app_id, channel_id, canonical_id(user_id)).encode()
        return hmac.digest(self._hash_key, message, "sha256").hex()

    @cached_property
    def _hash_key(self) -> bytes:
        keys = {"PartitionKey": "key", "RowKey": "key"}
        return bytes(self._table.get_or_make(keys, lambda: {"value": new_key()})["value"])
