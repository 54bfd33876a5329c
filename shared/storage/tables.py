"""Rows of Table storage: read, written under a condition, listed."""

import hashlib
import random
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from azure.data.tables import TableClient

from shared.errors import StorageUnavailableError
from shared.storage.clients import Storage, ignoring, translated_errors
from shared.storage.continuation_tokens import read_token, write_token

Row = Mapping[str, Any]

MOST_ROWS_AT_ONCE = 100
"""So many rows of one partition can be written together."""

# Each failed try is somebody else's success, so this many who change a row at once all get through.
_MOST_TRIES = 64
_FIRST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 0.5

_WRITE_ID = "writeId"
# What was written by which request can be told, so all of them may be repeated.
_REPEATED: dict[str, Any] = {"retry_on_methods": frozenset({"POST", "PUT"})}

_Written = TypeVar("_Written")


def key_of(*ids: str) -> str:
    """Return the key of what ``ids`` name: a hash, as ids hold characters that a key may not."""
    lengths_and_ids = "".join([f"{len(part)}:{part}" for part in ids])
    return hashlib.sha256(lengths_and_ids.encode("utf-8", "surrogatepass")).hexdigest()


def retry_until_written(
    write: Callable[[], _Written | None], *, sleep: Callable[[float], None] = time.sleep
) -> _Written:
    """Return what ``write`` returns; it is called again when it returns None, after a pause.

    None means that somebody else changed the row after it was read. The pauses are random, so that
    those who meet do not meet again, and grow. Raises StorageUnavailableError when that happens
    again and again.
    """
    pause = _FIRST_PAUSE_SECONDS
    for _ in range(_MOST_TRIES):
        written = write()
        if written is not None:
            return written
        sleep(random.uniform(0, pause))  # noqa: S311  # no secret
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
    raise StorageUnavailableError("A row is being changed by too many at once")


class Table:
    """One table, made when it is first written and missing.

    Reads of a missing table find nothing. What storage refuses is a StorageRefusedError; when it
    does not answer, that is a StorageUnavailableError.

    Storage's client repeats a request whose answer was lost, and may then meet what it has written
    itself. So what is written under a condition gets an id (``writeId``), by which it is known.
    """

    def __init__(self, storage: Storage, name: str) -> None:
        self._storage = storage
        self._name = name

    def get(self, partition_key: str, row_key: str) -> Row | None:
        """Return a row by its key, None when there is none."""
        with translated_errors(), ignoring(HTTPStatus.NOT_FOUND):
            return self._client.get_entity(partition_key, row_key)
        return None

    def partition(self, partition_key: str) -> list[Row]:
        """Return all rows of a partition; for partitions of some hundred rows at most."""
        with translated_errors(), ignoring(HTTPStatus.NOT_FOUND):
            return list(
                self._client.query_entities(
                    "PartitionKey eq @key", parameters={"key": partition_key}
                )
            )
        return []

    def page(
        self,
        query: str,
        parameters: Mapping[str, Any],
        *,
        size: int,
        token: str | None,
        select: Sequence[str] | None = None,
    ) -> tuple[list[Row], str | None]:
        """Return a page of the rows that a query finds, and the token of the next page.

        There is a next page for as long as there is a token, whatever this one holds. ``select``
        are the properties to return, all by default. Raises InvalidRequestError for a token that
        no page came with.
        """
        with translated_errors(), ignoring(HTTPStatus.NOT_FOUND):
            # Its token is two keys, although azure.core says that it is text.
            place: Any = read_token(token)
            pages = self._client.query_entities(
                query,
                parameters=dict(parameters),
                results_per_page=size,
                select=list(select) if select else None,
            ).by_page(continuation_token=place)
            rows: list[Row] = list(next(pages, ()))
            # azure.data.tables.TableEntityPropertiesPaged has it; its base does not say so.
            return rows, write_token(getattr(pages, "continuation_token", None))
        return [], None

    def insert(self, row: Row) -> str | None:
        """Write a new row and return its version; None, writing nothing, when there is one."""

        def write(client: "TableClient", marked: list[Row], **options: Any) -> str:
            [row] = marked
            options |= {"response_preference": "return-no-content"}
            return self._making_table(lambda: client.create_entity(row, **options))

        return self._write([row], write, HTTPStatus.CONFLICT)

    def insert_all(self, rows: Sequence[Row]) -> bool:
        """Write new rows of one partition, all or none; False: one of them is there already."""

        def write(client: "TableClient", marked: list[Row], **options: Any) -> str:
            writes = [("create", row) for row in marked]
            return self._making_table(lambda: client.submit_transaction(writes, **options)[0])

        return self._write(rows, write, HTTPStatus.CONFLICT) is not None

    def put(self, row: Row) -> None:
        """Write a row, whether or not there is one already."""
        from azure.data.tables import UpdateMode

        with translated_errors():
            self._making_table(lambda: self._client.upsert_entity(row, mode=UpdateMode.REPLACE))

    def replace(self, row: Row, version: str) -> str | None:
        """Write a row over the given version of it and return the new version.

        Returns None, writing nothing, when the row is no longer of that version.
        """
        from azure.core import MatchConditions
        from azure.data.tables import UpdateMode

        def write(client: "TableClient", marked: list[Row], **options: Any) -> str:
            [row] = marked
            options |= {"etag": version, "match_condition": MatchConditions.IfNotModified}
            return str(client.update_entity(row, mode=UpdateMode.REPLACE, **options)["etag"])

        return self._write([row], write, HTTPStatus.NOT_FOUND, HTTPStatus.PRECONDITION_FAILED)

    def change(
        self,
        keys: Mapping[str, str],
        change: Callable[[Row | None], Row | None],
        *,
        is_new: bool = False,
    ) -> str:
        """Write what ``change`` makes of the row with these keys; return the version it then has.

        ``change`` takes the row, or None where there is none. It is called again when somebody else
        has changed the row. It returns the row unchanged to write nothing; where there is none
        then, the version is empty. With ``is_new`` there is most likely no row, so none is read at
        first.
        """
        is_read = not is_new

        def write() -> str | None:
            nonlocal is_read
            row = self.get(keys["PartitionKey"], keys["RowKey"]) if is_read else None
            is_read = True
            changed = change(row)
            if changed is None:
                return ""
            if row is None:
                return self.insert(changed)
            return version_of(row) if changed is row else self.replace(changed, version_of(row))

        return retry_until_written(write)

    def delete(self, partition_key: str, row_key: str, version: str | None = None) -> bool:
        """Delete a row, if it is of the version, where one is given; tell whether it is gone."""
        from azure.core import MatchConditions

        condition = MatchConditions.IfNotModified if version else None
        with translated_errors(), ignoring(HTTPStatus.PRECONDITION_FAILED):
            self._client.delete_entity(
                partition_key, row_key, etag=version, match_condition=condition
            )
            return True
        return False

    def _write(
        self, rows: Sequence[Row], write: Callable[..., str], *conflicts: HTTPStatus
    ) -> str | None:
        """Write rows under a condition; return the version of the first, None on a conflict."""
        write_id = uuid.uuid4().hex
        answers: list[Any] = []
        with translated_errors(), ignoring(*conflicts):
            marked = [{**row, _WRITE_ID: write_id} for row in rows]
            return write(self._client, marked, raw_response_hook=answers.append, **_REPEATED)
        # What azure.core.pipeline.policies.RetryPolicy has repeated.
        if any(answer.context.get("history") for answer in answers):
            found = self.get(rows[0]["PartitionKey"], rows[0]["RowKey"])
            if found is not None and found.get(_WRITE_ID) == write_id:
                return version_of(found)
        return None

    def _making_table(self, write: Callable[[], Mapping[str, Any]]) -> str:
        with ignoring(HTTPStatus.NOT_FOUND):
            return str(write()["etag"])
        with ignoring(HTTPStatus.CONFLICT):
            self._client.create_table()
        return str(write()["etag"])

    @cached_property
    def _client(self) -> "TableClient":
        return self._storage.table(self._name)


def version_of(row: Row) -> str:
    """Return the version of a row that was read: its ETag."""
    etag: str = row.metadata["etag"]  # type: ignore[attr-defined]  # azure.data.tables.TableEntity
    return etag
