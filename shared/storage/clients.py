"""The storage account: its clients, and what its errors are to us.

The clients are built when first used, share one pool of connections as large as the host's thread
pool, and give up after seconds, not minutes: the Functions host tries a queue message again anyway.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from shared.errors import InvalidSettingError, StorageRefusedError, StorageUnavailableError
from shared.settings import STORAGE, StorageAccount

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.data.tables import TableClient, TableServiceClient
    from azure.storage.queue import QueueClient, QueueServiceClient

# Too large, or not what storage takes: another try would end the same.
_REFUSED = (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

# A health check must answer soon.
_CHECK_BOUNDS: dict[str, Any] = {"connection_timeout": 2, "read_timeout": 3, "retry_total": 0}

_BOUNDS: dict[str, Any] = {
    "connection_timeout": 5,
    "read_timeout": 10,
    "retry_total": 3,
    "retry_backoff_factor": 0.2,
    # Storage gives each answer an id of its own, and making one up takes longer than signing.
    "auto_request_id": False,
}


class Storage:
    """The storage account's tables and queues."""

    def __init__(self, account: StorageAccount, threads: int) -> None:
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
            # Making one takes half as long as sending with it.
            if name not in self._queue_clients:
                self._queue_clients[name] = self._queues.get_queue_client(
                    name, message_encode_policy=TextBase64EncodePolicy()
                )
            return self._queue_clients[name]

    def check_tables(self) -> None:
        """Raise StorageUnavailableError when tables do not answer; no table needs to exist."""
        with translated_errors(), ignoring(HTTPStatus.NOT_FOUND):
            self.table("accounts").get_entity("health", "health", **_CHECK_BOUNDS)

    def check_queues(self) -> None:
        """Raise StorageUnavailableError when queues do not answer; no queue needs to exist."""
        with translated_errors(), ignoring(HTTPStatus.NOT_FOUND):
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

        from shared.connector.http_transport import PlainSession

        # At the level of the Functions worker, every request and answer would be in the log.
        logging.getLogger("azure.core").setLevel(logging.WARNING)
        session = PlainSession(HTTPAdapter(pool_maxsize=self._threads))
        return RequestsTransport(session=session, **_BOUNDS)


@contextmanager
def _checked_setting() -> Iterator[None]:
    try:
        yield
    except ValueError:
        raise InvalidSettingError(
            STORAGE, "is not a connection string of a storage account"
        ) from None


@contextmanager
def ignoring(*statuses: HTTPStatus) -> Iterator[None]:
    """Leave the block, raising nothing, when storage answers with one of these statuses."""
    from azure.core.exceptions import HttpResponseError

    try:
        yield
    except HttpResponseError as error:
        if error.status_code not in statuses:
            raise


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise what storage says as StorageUnavailableError, or as StorageRefusedError."""
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
