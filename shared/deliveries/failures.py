"""Messages that failed: listed, and kept whole until they are retried or old.

Table ``failures``, a row for each of them. PartitionKey: the bot's app id and the day; RowKey: the
hash of the delivery's id. The row has the key of the whole message among the large values.
"""

import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared import json_text
from shared.deliveries.delivery import Delivery
from shared.deliveries.rows import from_row, to_properties
from shared.storage.clients import Storage
from shared.storage.encryption import decrypt, encrypt
from shared.storage.large_values import LargeValues
from shared.storage.personal_keys import PersonalKey, PersonalKeys
from shared.storage.tables import Table, key_of, version_of


@dataclass(frozen=True)
class Failure:
    """A message that failed, and the queue that it was on.

    ``message`` is the whole of it, or its text where it was no JSON.
    """

    queue: str
    message: object


class Failures:
    """Keeps, lists and gives back what failed."""

    def __init__(
        self, storage: Storage, app_id: str, keys: PersonalKeys, large_values: LargeValues
    ) -> None:
        self._table = Table(storage, "failures")
        self._app_id = app_id
        self._keys = keys
        self._large_values = large_values

    def keep(self, delivery: Delivery, failure: Failure) -> str:
        """Keep what failed; return the day that it is found by."""
        day = day_of(delivery.updated_at)
        key = delivery.destination.key if delivery.destination else None
        text = json_text.to_text(failure.message)
        row = {
            "PartitionKey": self._partition(day),
            "RowKey": key_of(delivery.id),
            **to_properties(delivery),
            "queue": failure.queue,
            "body": self._large_values.keep(_encrypted(key, text) if key else text),
        }
        self._table.put(row)
        return day

    def find(self, delivery_id: str, day: str) -> Failure | None:
        """Return what was kept of a delivery that failed on that day.

        None when nothing is kept, or when it was encrypted with the key of a person who was erased.
        """
        row = self._table.get(self._partition(day), key_of(delivery_id))
        text = self._large_values.fetch(row["body"]) if row is not None else None
        if row is None or text is None:
            return None
        if "keyId" in row:
            key = self._keys.find(row["keyId"])
            if key is None:
                return None
            text = decrypt(key.value, base64.b64decode(text))
        return Failure(row["queue"], json_text.parse(text))

    def forget(self, delivery_id: str, day: str, *, until: datetime) -> None:
        """Delete what was kept of a delivery until a time: it is on its way again since then.

        What it failed with later stays, however late this comes.
        """
        row = self._table.get(self._partition(day), key_of(delivery_id))
        if row is not None and row["updatedAt"] <= until:
            self._table.delete(row["PartitionKey"], row["RowKey"], version_of(row))
            self._large_values.drop(row["body"])

    def page(
        self, since: datetime, *, size: int, token: str | None = None
    ) -> tuple[list[Delivery], str | None]:
        """Return a page of what failed since then, and the token of the next page.

        There is a next page for as long as there is a token, whatever this one holds. Raises
        InvalidRequestError for a token that is none of ours.
        """
        rows, next_token = self._table.page(
            "PartitionKey ge @first and PartitionKey le @last and updatedAt ge @since",
            {
                "first": self._partition(day_of(since)),
                "last": self._partition(day_of(datetime.now(UTC) + timedelta(days=1))),
                "since": since,
            },
            size=size,
            token=token,
        )
        known: dict[str, PersonalKey | None] = {}

        def find_key(key_id: str) -> PersonalKey | None:
            if key_id not in known:
                known[key_id] = self._keys.find(key_id)
            return known[key_id]

        return [from_row(row, find_key) for row in rows], next_token

    def _partition(self, day: str) -> str:
        return f"{self._app_id}-{day}"


def _encrypted(key: PersonalKey, text: str) -> str:
    return base64.b64encode(encrypt(key.value, text)).decode()


def day_of(moment: datetime) -> str:
    """Return the day that what failed at a moment is found by."""
    return moment.astimezone(UTC).date().isoformat()
