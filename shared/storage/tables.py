"""Rows of Table storage: read, written under a condition, listed."""

import hashlib
import random
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from azure.data.tables import TableClient, TableEntity
    from urllib3 import BaseHTTPResponse

from shared.errors import StorageRefusedError, StorageUnavailableError
from shared.json_text import without_none
from shared.storage.clients import Storage, ignoring, translated_errors
from shared.storage.continuation_tokens import read_token, unknown_token, write_token
from shared.storage.entities import WRITE_ID, StoredRow, decode, encode
from shared.storage.rest import was_repeated

Row = Mapping[str, Any]

MOST_ROWS_AT_ONCE = 100
"""So many rows of one partition can be written together."""

# Each failed try is somebody else's success, so this many who change a row at once all get through.
_MOST_TRIES = 64
_FIRST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 0.5

_OK, _NO_CONTENT = HTTPStatus.OK, HTTPStatus.NO_CONTENT
_NOT_FOUND, _CONFLICT = HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT
_CHANGED = HTTPStatus.PRECONDITION_FAILED
# "Setting the OData data service version headers", Azure Storage REST API: each operation needs it.
_HEADERS = {
    "Accept": "application/json;odata=minimalmetadata",
    "Content-Type": "application/json",
    "DataServiceVersion": "3.0",
    "Prefer": "return-no-content",
}


def key_of(*ids: str) -> str:
    """Return the key of what ``ids`` name: a hash, as ids hold characters that a key may not."""
    lengths_and_ids = "".join([f"{len(part)}:{part}" for part in ids])
    return hashlib.sha256(lengths_and_ids.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass
class Pauses:
    """The pauses between tries to change a row, as somebody else changes it at the same time.

    They are random, so that those who meet do not meet again, and grow.
    """

    _sleep: Callable[[float], None] = time.sleep
    _longest: float = _FIRST_PAUSE_SECONDS
    _left: int = _MOST_TRIES - 1

    def take(self) -> None:
        """Sleep before the next try; raise StorageUnavailableError after too many of them."""
        if not self._left:
            raise StorageUnavailableError("A row is being changed by too many at once")
        self._left -= 1
        self._sleep(random.uniform(0, self._longest))  # noqa: S311  # no secret
        self._longest = min(2 * self._longest, _LONGEST_PAUSE_SECONDS)


def _stored(entities: "Iterable[TableEntity]") -> list[Row]:
    # What is selected and stands in no row is null.
    return [StoredRow(without_none(each), each.metadata["etag"] or "") for each in entities]


def _let_go(pages: object) -> None:
    """Free what the pages of a query hold: they hold themselves too, through bound methods.

    Else each query's rows wait for a full garbage collection, tens of megabytes of them.
    """
    vars(pages).clear()


class Table:
    """One table, made when it is first written and missing.

    Reads of a missing table find nothing. What storage refuses is a StorageRefusedError; when it
    does not answer, that is a StorageUnavailableError.

    A request whose answer was lost is repeated, and may then meet what it has written itself. So
    each row that is written gets an id (``writeId``), by which it is known.
    """

    def __init__(self, storage: Storage, name: str) -> None:
        self._storage = storage
        self._name = name

    def get(self, partition_key: str, row_key: str) -> StoredRow | None:
        """Return a row by its key, None when there is none."""
        answer = self._ask("GET", (partition_key, row_key), _OK, _NOT_FOUND)
        if answer.status == _NOT_FOUND:
            return None
        return decode(answer.data, answer.headers.get("ETag"))

    def partition(self, partition_key: str, *, select: Sequence[str] | None = None) -> list[Row]:
        """Return all rows of a partition; for partitions of some hundred rows at most.

        ``select`` are the properties to return, all by default. It takes most of a query's time to
        read them, times above all.
        """
        with translated_errors(), ignoring(HTTPStatus.NOT_FOUND):
            pages = self._client.query_entities(
                "PartitionKey eq @key",
                parameters={"key": partition_key},
                select=list(select) if select else None,
            ).by_page()
            rows = _stored(row for page in pages for row in page)
            _let_go(pages)
            return rows
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
        # Its token is two keys, although azure.core says that it is text.
        place: Any = read_token(token)
        try:
            with translated_errors(), ignoring(HTTPStatus.NOT_FOUND):
                pages = self._client.query_entities(
                    query,
                    parameters=dict(parameters),
                    results_per_page=size,
                    select=list(select) if select else None,
                ).by_page(continuation_token=place)
                rows = _stored(next(pages, ()))
                # azure.data.tables.TableEntityPropertiesPaged has it; its base does not say so.
                next_token = write_token(getattr(pages, "continuation_token", None))
                _let_go(pages)
                return rows, next_token
        except StorageRefusedError:
            if place is None:
                raise
            # The query is ours, so it is the token that storage does not know.
            raise unknown_token() from None
        return [], None

    def insert(self, row: Row) -> str | None:
        """Write a new row and return its version; None, writing nothing, when there is one."""
        return self._write("POST", row, _CONFLICT)

    def insert_all(self, rows: Sequence[Row]) -> bool:
        """Write new rows of one partition, all or none; False: one of them is there already."""
        write_id = uuid.uuid4().hex
        writes = [("create", {**row, WRITE_ID: write_id}) for row in rows]
        # What this client repeats is known as ours by the id.
        repeat: dict[str, Any] = {"retry_on_methods": frozenset({"POST"})}
        with translated_errors(), ignoring(_CONFLICT):
            with ignoring(_NOT_FOUND):
                self._client.submit_transaction(writes, **repeat)
                return True
            self._make_table()
            self._client.submit_transaction(writes, **repeat)
            return True
        return self._version_written(rows[0], write_id) is not None

    def put(self, row: Row) -> None:
        """Write a row, whether or not there is one already."""
        self._write("PUT", row)

    def replace(self, row: Row, version: str) -> str | None:
        """Write a row over the given version of it and return the new version.

        Returns None, writing nothing, when the row is no longer of that version.
        """
        return self._write("PUT", row, _CHANGED, version=version)

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
        pauses = Pauses()
        row = None if is_new else self.get(keys["PartitionKey"], keys["RowKey"])
        while True:
            changed = change(row)
            if changed is None:
                return ""
            if changed is row:
                return version_of(row)
            if row is None:
                version = self.insert(changed)
            else:
                version = self.replace(changed, version_of(row))
            if version is not None:
                return version
            pauses.take()
            row = self.get(keys["PartitionKey"], keys["RowKey"])

    def get_or_make(self, keys: Mapping[str, str], make: Callable[[], Row]) -> Row:
        """Return the row with these keys; where there is none, write what ``make`` returns."""
        found: Row = {}

        def found_or_made(row: Row | None) -> Row:
            nonlocal found
            found = row or {**keys, **make()}
            return found

        self.change(keys, found_or_made)
        return found

    def delete(self, partition_key: str, row_key: str, version: str | None = None) -> bool:
        """Delete a row, if it is of the version, where one is given; tell whether it is gone."""
        answer = self._ask(
            "DELETE",
            (partition_key, row_key),
            *(_NO_CONTENT, _NOT_FOUND, _CHANGED),
            version=version or "*",
        )
        return answer.status != _CHANGED

    def _write(
        self, method: str, row: Row, *conflicts: HTTPStatus, version: str | None = None
    ) -> str | None:
        """Write a row and return its version, None on a conflict; make the table if it is missing.

        Over a ``version``, there is no row to write where the table is missing.
        """
        keys = (row["PartitionKey"], row["RowKey"]) if method == "PUT" else None
        write_id = uuid.uuid4().hex
        body = encode({**row, WRITE_ID: write_id})
        expected = (_NO_CONTENT, _NOT_FOUND, *conflicts)
        answer = self._ask(method, keys, *expected, body=body, version=version)
        if answer.status == _NOT_FOUND and version is None:
            self._make_table()
            answer = self._ask(method, keys, _NO_CONTENT, *conflicts, body=body)
        if answer.status == _NO_CONTENT:
            return answer.headers["ETag"]
        return self._version_written(row, write_id) if was_repeated(answer) else None

    def _version_written(self, row: Row, write_id: str) -> str | None:
        """Return the version of a row, if it is what was written with this id."""
        found = self.get(row["PartitionKey"], row["RowKey"])
        return found.version if found is not None and found.write_id == write_id else None

    def _ask(
        self,
        method: str,
        keys: tuple[str, str] | None,
        *expected: HTTPStatus,
        body: bytes | None = None,
        version: str | None = None,
    ) -> "BaseHTTPResponse":
        path = f"/{self._name}"
        if keys is not None:
            # How a row is addressed: "Update Entity", Azure Storage REST API.
            partition, row = [quote(key.replace("'", "''"), safe="") for key in keys]
            path += f"(PartitionKey='{partition}',RowKey='{row}')"
        headers = _HEADERS | {"If-Match": version} if version else _HEADERS
        return self._storage.table_service.ask(method, path, *expected, headers=headers, body=body)

    def _make_table(self) -> None:
        with translated_errors(), ignoring(_CONFLICT):
            self._client.create_table()

    @cached_property
    def _client(self) -> "TableClient":
        return self._storage.table(self._name)


def version_of(row: Row) -> str:
    """Return the version of a row that was read: its ETag."""
    version: str = row.version  # type: ignore[attr-defined]  # what was read is a StoredRow
    return version
