"""Table and Queue storage, as little of them as we need.

The clients are built when first used, share one pool of connections as large as the host's thread
pool, and give up after seconds, not minutes: the Functions host tries a queue message again anyway.
"""

import base64
import hashlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from shared.errors import InvalidSettingError, StorageRefusedError, StorageUnavailableError
from shared.settings import STORAGE, StorageAccount

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.data.tables import TableClient, TableServiceClient
    from azure.storage.queue import QueueClient, QueueMessage, QueueServiceClient

Row = Mapping[str, Any]

# Too large, or not what storage takes: it would be the same the next time.
_REFUSED = (400, 413)
MOST_ROWS_AT_ONCE = 100
"""So many rows of one partition can be written together."""

# Whoever asks for our health wants an answer now.
_CHECK_BOUNDS: dict[str, Any] = {"connection_timeout": 2, "read_timeout": 3, "retry_total": 0}

_BOUNDS: dict[str, Any] = {
    "connection_timeout": 5,
    "read_timeout": 10,
    "retry_total": 3,
    "retry_backoff_factor": 0.2,
    # Storage gives each answer an id of its own; to make one up takes longer than to sign.
    "auto_request_id": False,
}


def key_of(*ids: str) -> str:
    """Return the key of what ``ids`` name: a hash, as ids hold characters that a key may not."""
    lengths_and_ids = "".join(f"{len(part)}:{part}" for part in ids)
    return hashlib.sha256(lengths_and_ids.encode("utf-8", "surrogatepass")).hexdigest()


class Storage:
    """The storage account's tables and queues."""

    def __init__(self, account: StorageAccount, threads: int) -> None:
        """Take where storage is, and how many threads may use it at a time."""
        self._account = account
        self._threads = threads
        self._lock = threading.Lock()
        self._queue_clients: dict[str, QueueClient] = {}

    def table(self, name: str) -> "TableClient":
        """Return the client of a table."""
        with self._lock:
            return self._tables.get_table_client(name)

    def queue(self, name: str) -> "QueueClient":
        """Return the client of a queue that writes base64, as the Functions host reads it."""
        from azure.storage.queue import TextBase64EncodePolicy

        with self._lock:
            # To make one takes half as long as to send with it.
            if name not in self._queue_clients:
                self._queue_clients[name] = self._queues.get_queue_client(
                    name, message_encode_policy=TextBase64EncodePolicy()
                )
            return self._queue_clients[name]

    def check_tables(self) -> None:
        """Raise StorageUnavailableError when tables do not answer; no table needs to exist."""
        from azure.core.exceptions import ResourceNotFoundError

        with _translated_errors(), suppress(ResourceNotFoundError):
            self.table("accounts").get_entity("health", "health", **_CHECK_BOUNDS)

    def check_queues(self) -> None:
        """Raise StorageUnavailableError when queues do not answer; no queue needs to exist."""
        from azure.core.exceptions import ResourceNotFoundError

        with _translated_errors(), suppress(ResourceNotFoundError):
            self.queue("send-activity").peek_messages(**_CHECK_BOUNDS)

    @cached_property
    def _tables(self) -> "TableServiceClient":
        from azure.data.tables import TableServiceClient

        if self._account.connection_string:
            with _checked_setting():
                return TableServiceClient.from_connection_string(
                    self._account.connection_string, transport=self._transport(), **_BOUNDS
                )
        return TableServiceClient(
            self._account.table_service_url,
            credential=self._credential,
            transport=self._transport(),
            **_BOUNDS,
        )

    @cached_property
    def _queues(self) -> "QueueServiceClient":
        from azure.storage.queue import LinearRetry, QueueServiceClient

        # This client has retries of its own kind, which by default take a minute and a half.
        retry = LinearRetry(backoff=1, retry_total=3, random_jitter_range=1)
        bounds = {**_BOUNDS, "retry_policy": retry, "transport": self._transport()}
        if self._account.connection_string:
            with _checked_setting():
                return QueueServiceClient.from_connection_string(
                    self._account.connection_string, **bounds
                )
        return QueueServiceClient(
            self._account.queue_service_url, credential=self._credential, **bounds
        )

    @cached_property
    def _credential(self) -> "TokenCredential":
        from azure.identity import DefaultAzureCredential, ManagedIdentityCredential

        if self._account.managed_identity:
            return ManagedIdentityCredential(client_id=self._account.client_id or None)
        # For a developer who is signed in, as the Functions host does it.
        return DefaultAzureCredential(managed_identity_client_id=self._account.client_id or None)

    def _transport(self) -> Any:
        from azure.core.pipeline.transport import RequestsTransport
        from requests.adapters import HTTPAdapter

        from shared.plain_session import PlainSession

        # At the level of the Functions worker, every request and answer would be in the log.
        logging.getLogger("azure.core").setLevel(logging.WARNING)
        session = PlainSession(HTTPAdapter(pool_maxsize=self._threads))
        return RequestsTransport(session=session, **_BOUNDS)


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

        with _translated_errors():
            try:
                return self._client.get_entity(partition_key, row_key)
            except ResourceNotFoundError:
                return None

    def partition(self, partition_key: str) -> list[Row]:
        """Return all rows of a partition; for partitions of some hundred rows at most."""
        from azure.core.exceptions import ResourceNotFoundError

        with _translated_errors():
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

        with _translated_errors():
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

        with _translated_errors():
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
        with _translated_errors():
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

        with _translated_errors():
            self._making_table(lambda: self._client.upsert_entity(row, mode=UpdateMode.REPLACE))

    def replace(self, row: dict[str, Any], version: str) -> str | None:
        """Write a row over the given version of it and return the new version.

        Returns None, writing nothing, when the row is no longer of that version.
        """
        from azure.core import MatchConditions
        from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError
        from azure.data.tables import UpdateMode

        with _translated_errors():
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
        with _translated_errors(), suppress(ResourceModifiedError):
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


class Queue:
    """One queue, made when it is first written and missing."""

    def __init__(self, storage: Storage, name: str) -> None:
        """Take the storage and the queue's name."""
        self._storage = storage
        self._name = name

    def send(self, text: str, *, delay_seconds: int = 0) -> None:
        """Put a message on the queue, to be seen after the delay; it never expires."""
        from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

        def write() -> None:
            self._client.send_message(text, visibility_timeout=delay_seconds, time_to_live=-1)

        with _translated_errors():
            try:
                write()
            except ResourceNotFoundError:
                with suppress(ResourceExistsError):
                    self._client.create_queue()
                write()

    def take(self) -> "QueueMessage | None":
        """Take a message, which comes back in a minute unless it is deleted; None for none."""
        from azure.core.exceptions import ResourceNotFoundError

        with _translated_errors():
            try:
                return self._client.receive_message(visibility_timeout=60)
            except ResourceNotFoundError:
                return None

    def first_inserted_at(self) -> datetime | None:
        """Return when the message came that is the first to be seen; None: there is none."""
        from azure.core.exceptions import ResourceNotFoundError

        with _translated_errors():
            try:
                messages = self._client.peek_messages(max_messages=1)
            except ResourceNotFoundError:
                return None
        return messages[0].inserted_on if messages else None

    def count(self) -> int:
        """Return how many messages there are, those that cannot be seen included, or a few more."""
        from azure.core.exceptions import ResourceNotFoundError

        with _translated_errors():
            try:
                return self._client.get_queue_properties().approximate_message_count or 0
            except ResourceNotFoundError:
                return 0

    def delete(self, message: "QueueMessage") -> None:
        """Delete a message that was taken."""
        with _translated_errors():
            self._client.delete_message(message)

    @cached_property
    def _client(self) -> "QueueClient":
        return self._storage.queue(self._name)


def text_of(message: "QueueMessage") -> str:
    """Return the text of a message that was taken; what is no base64 nobody here has written."""
    content: str = message.content
    try:
        return base64.b64decode(content, validate=True).decode()
    except ValueError:
        return content


def version_of(row: Row) -> str:
    """Return the version of a row that was read: its ETag."""
    etag: str = row.metadata["etag"]  # type: ignore[attr-defined]  # azure.data.tables.TableEntity
    return etag


@contextmanager
def _checked_setting() -> Iterator[None]:
    try:
        yield
    except ValueError:
        raise InvalidSettingError(
            STORAGE, "is not a connection string of a storage account"
        ) from None


@contextmanager
def _translated_errors() -> Iterator[None]:
    from azure.core.exceptions import AzureError, HttpResponseError

    try:
        yield
    except AzureError as error:
        code = getattr(error, "error_code", None) or type(error).__name__
        # An error code of azure.data.tables is an enumeration, whose text is not its code.
        code = getattr(code, "value", code)
        if isinstance(error, HttpResponseError) and error.status_code in _REFUSED:
            raise StorageRefusedError(f"Storage cannot take this: {code}") from error
        raise StorageUnavailableError(f"Storage did not do what it was asked: {code}") from error
