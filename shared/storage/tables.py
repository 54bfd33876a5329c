"""Rows of Table storage: read, written under a condition, listed."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azure.data.tables import TableClient

from shared.storage.account import Storage, translated_errors

Row = Mapping[str, Any]

MOST_ROWS_AT_ONCE = 100
"""So many rows of one partition can be written together."""


def key_of(*ids: str) -> str:
    """Return the key of what ``ids`` name: a hash, as ids hold characters that a key may not."""
    lengths_and_ids = "".join(f"{len(part)}:{part}" for part in ids)
    return hashlib.sha256(lengths_and_ids.encode("utf-8", "surrogatepass")).hexdigest()


class Table:
    """One table, made when it is first written and missing.

    Reads of a missing table find nothing. What storage refuses or does not answer is a
    StorageUnavailableError.
    """

    def __init__(self, storage: Storage, name: str) -> None:
        """Take the storage and the table's name."""
        self._storage = storage
        self._name = name

    def get(self, partition_key: str, row_key: str) -> Row | None:
        """Return a row by its key, None when there is none."""
        from azure.core.exceptions import ResourceNotFoundError

        with translated_errors():
            try:
                return self._client.get_entity(partition_key, row_key)
            except ResourceNotFoundError:
                return None

    def partition(self, partition_key: str) -> list[Row]:
        """Return all rows of a partition; for partitions of some hundred rows at most."""
        from azure.core.exceptions import ResourceNotFoundError

        with translated_errors():
            try:
                return list(
                    self._client.query_entities(
                        "PartitionKey eq @key", parameters={"key": partition_key}
                    )
                )
            except ResourceNotFoundError:
                return []

    def page(
        self,
        query: str,
        parameters: Mapping[str, Any],
        *,
        size: int,
        token: Any,
        select: Sequence[str] | None = None,
    ) -> tuple[list[Row], Any]:
        """Return a page of the rows that a query finds, and the token of the next page or None.

        ``select`` are the properties that the rows shall have, all unless told.
        """
        from azure.core.exceptions import ResourceNotFoundError

        with translated_errors():
            pages = self._client.query_entities(
                query,
                parameters=dict(parameters),
                results_per_page=size,
                select=list(select) if select else None,
            ).by_page(continuation_token=token)
            try:
                rows: list[Row] = list(next(pages, ()))
            except ResourceNotFoundError:
                return [], None
        # azure.data.tables.TableEntityPropertiesPaged has it; its base class does not say so.
        return rows, getattr(pages, "continuation_token", None)

    def insert(self, row: dict[str, Any]) -> str | None:
        """Write a new row and return its version; None, writing nothing, when there is one."""
        from azure.core.exceptions import ResourceExistsError

        with translated_errors():
            try:
                return self._making_table(
                    lambda: self._client.create_entity(row, response_preference="return-no-content")
                )
            except ResourceExistsError:
                return None

    def insert_all(self, rows: Sequence[dict[str, Any]]) -> bool:
        """Write new rows of one partition, all or none; False: one of them is there already."""
        from azure.core.exceptions import ResourceExistsError
        from azure.data.tables import TableTransactionError

        writes = [("create", row) for row in rows]
        with translated_errors():
            for is_again in (False, True):
                try:
                    self._client.submit_transaction(writes)
                except TableTransactionError as error:
                    if error.status_code == HTTPStatus.CONFLICT:
                        return False
                    if is_again or error.status_code != HTTPStatus.NOT_FOUND:
                        raise
                    with suppress(ResourceExistsError):
                        self._client.create_table()
                else:
                    break
        return True

    def put(self, row: dict[str, Any]) -> None:
        """Write a row, whether or not there is one already."""
        from azure.data.tables import UpdateMode

        with translated_errors():
            self._making_table(lambda: self._client.upsert_entity(row, mode=UpdateMode.REPLACE))

    def replace(self, row: dict[str, Any], version: str) -> str | None:
        """Write a row over the given version of it and return the new version.

        Returns None, writing nothing, when the row is no longer of that version.
        """
        from azure.core import MatchConditions
        from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError
        from azure.data.tables import UpdateMode

        with translated_errors():
            try:
                written = self._client.update_entity(
                    row,
                    mode=UpdateMode.REPLACE,
                    etag=version,
                    match_condition=MatchConditions.IfNotModified,
                )
            except (ResourceModifiedError, ResourceNotFoundError):
                return None
            return str(written["etag"])

    def delete(self, partition_key: str, row_key: str, version: str | None = None) -> None:
        """Delete a row, if there is one, and if it is of the version, where one is given."""
        from azure.core import MatchConditions
        from azure.core.exceptions import ResourceModifiedError

        condition = MatchConditions.IfNotModified if version else None
        with translated_errors(), suppress(ResourceModifiedError):
            self._client.delete_entity(
                partition_key, row_key, etag=version, match_condition=condition
            )

    def _making_table(self, write: Callable[[], Mapping[str, Any]]) -> str:
        from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

        try:
            written = write()
        except ResourceNotFoundError:
            with suppress(ResourceExistsError):
                self._client.create_table()
            written = write()
        return str(written["etag"])

    @cached_property
    def _client(self) -> "TableClient":
        return self._storage.table(self._name)


def version_of(row: Row) -> str:
    """Return the version of a row that was read: its ETag."""
    etag: str = row.metadata["etag"]  # type: ignore[attr-defined]  # azure.data.tables.TableEntity
    return etag
