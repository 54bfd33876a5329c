"""The signature of what we note about a message, which nobody else can make.

Whoever may put messages on a queue could write such notes too: that a message is a reply, or the
delivery of another. So the notes are signed: by a keyed hash (HMAC-SHA256) of the queue, of the
message and of themselves.

The key is a random one, kept in table ``keys``. PartitionKey: the hash of the bot's app id and
``messages``; RowKey: ``key``.
"""

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.storage.clients import Storage
from shared.storage.encryption import new_key
from shared.storage.tables import Table, key_of

# In a message the signature stands under this name.
_SIGNATURE = "mark"
# Instances of the version before may still be at work while the first of this one are.
_LONGEST_DEPLOYMENT = timedelta(hours=1)


@dataclass(frozen=True)
class EnvelopeKey:
    """The key of the signatures.

    A version of the app that signed nothing may have left messages on the queues. Where it was at
    work, what was put there before ``unsigned_until`` may be without one.
    """

    value: bytes = field(repr=False)
    unsigned_until: datetime | None = None

    def is_required(self, put_at: datetime | None) -> bool:
        """Tell whether a message must be signed, by when it was put on its queue."""
        return put_at is None or self.unsigned_until is None or put_at >= self.unsigned_until


def find_envelope_key(storage: Storage, app_id: str) -> EnvelopeKey:
    """Return the key, which is made when it is first asked for.

    That must be before this version records a delivery: there are records then only if another
    version was at work.
    """
    row = Table(storage, "keys").get_or_make(
        _keys_of(app_id), lambda: {"value": new_key(), **_unsigned_until(storage)}
    )
    return EnvelopeKey(bytes(row["value"]), row.get("unmarkedUntil"))


def has_envelope_key(storage: Storage, app_id: str) -> bool:
    """Tell whether a bot has its key here, as it has once it took or put its first message."""
    return Table(storage, "keys").get(*_keys_of(app_id).values()) is not None


def signed(
    key: EnvelopeKey, queue: str, message: object, noted: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the notes about a message of a queue with their signature."""
    return {**noted, _SIGNATURE: _signature(key, queue, message, noted)}


def verified(
    key: EnvelopeKey, queue: str, message: object, noted: Mapping[str, Any]
) -> tuple[dict[str, Any], bool]:
    """Return the notes without their signature, and whether that is ours, for this very message."""
    bare = {name: value for name, value in noted.items() if name != _SIGNATURE}
    given = noted.get(_SIGNATURE)
    if not isinstance(given, str):
        return bare, False
    try:
        own = _signature(key, queue, message, bare)
    except RecursionError:
        # It is nested more deeply than anything of ours.
        return bare, False
    return bare, hmac.compare_digest(given.encode("utf-8", "surrogatepass"), own.encode())


def _signature(key: EnvelopeKey, queue: str, message: object, noted: Mapping[str, Any]) -> str:
    text = json.dumps([queue, message, noted], sort_keys=True)
    return hmac.digest(key.value, text.encode(), "sha256").hex()


def _keys_of(app_id: str) -> dict[str, str]:
    return {"PartitionKey": key_of(app_id, "messages"), "RowKey": "key"}


def _unsigned_until(storage: Storage) -> dict[str, datetime]:
    recorded, more = Table(storage, "deliveries").page(
        "PartitionKey gt @none", {"none": ""}, size=1, token=None, select=["RowKey"]
    )
    return {"unmarkedUntil": datetime.now(UTC) + _LONGEST_DEPLOYMENT} if recorded or more else {}
