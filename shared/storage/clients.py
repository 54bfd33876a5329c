"""The storage account: its clients, and what its errors are to us.

The clients are built when first used, share one pool of connections as large as the host's thread
pool, and give up after seconds, not minutes: the Functions host tries a queue message again anyway.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from urllib3 import Retry, Timeout

from shared.auth.kept_token import KeptToken
from shared.connector.http_transport import Transport
from shared.settings import StorageAccount
from shared.storage.rest import (
    StorageService,
    bearer,
    shared_key_lite,
    storage_error,
    unsigned,
)

if TYPE_CHECKING:
    from azure.core.credentials import (
        AzureNamedKeyCredential,
        AzureSasCredential,
        TokenCredential,
    )
    from azure.data.tables import TableClient, TableServiceClient
    from azure.storage.queue import QueueClient, QueueServiceClient

# A health check must answer soon.
_CHECK_TIMEOUT = Timeout(connect=2, read=3)
_TIMEOUT = Timeout(connect=5, read=10)

_BOUNDS: dict[str, Any] = {
    "connection_timeout": 5,
    "read_timeout": 10,
    "retry_total": 3,
    "retry_backoff_factor": 0.2,
    # Storage gives each answer an id of its own, and making one up takes longer than signing.
    "auto_request_id": False,
}

_ANY = {"Accept": "application/json;odata=nometadata", "DataServiceVersion": "3.0"}

# Whatever is asked, the same again is good: a writer knows its own row.
_RETRIES = Retry(
    total=3,
    backoff_factor=0.2,
    backoff_jitter=0.2,
    status_forcelist=(408, 429, 500, 502, 503, 504),
    allowed_methods=None,
    raise_on_status=False,
)


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
        path = "/accounts(PartitionKey='health',RowKey='health')"
        self._check(self._account.table_service_url, path, is_table=True)

    def check_queues(self) -> None:
        """Raise StorageUnavailableError when queues do not answer; no queue needs to exist."""
        path = "/send-activity/messages"
        self._check(self._account.queue_service_url, path, query="peekonly=true", is_table=False)

    def _check(self, url: str, path: str, *, is_table: bool, query: str = "") -> None:
        """Raise StorageUnavailableError when a service does not answer at once."""
        with closing(Transport(connections=1)) as transport:
            service = self._service(url, transport, _CHECK_TIMEOUT, is_table=is_table)
            expected = (HTTPStatus.OK, HTTPStatus.NOT_FOUND)
            service.ask("GET", path, *expected, headers=_ANY, query=query)

    @cached_property
    def table_service(self) -> StorageService:
        """Table storage by its REST API."""
        url = self._account.table_service_url
        return self._service(url, self._transport, _TIMEOUT, is_table=True)

    @cached_property
    def queue_service(self) -> StorageService:
        """Queue storage by its REST API."""
        url = self._account.queue_service_url
        return self._service(url, self._transport, _TIMEOUT, is_table=False)

    def _service(
        self,
        url: str,
        transport: Transport,
        timeout: Timeout,
        *,
        is_table: bool,
    ) -> StorageService:
        account = self._account
        signature = account.shared_access_signature
        if account.key:
            authorize = shared_key_lite(account.name, account.key, is_table=is_table)
        elif not signature:
            authorize = bearer(self._token)
        else:
            authorize = unsigned
        return StorageService(url, authorize, transport, timeout=timeout, signature=signature)

    @cached_property
    def _transport(self) -> Transport:
        # It would log URLs that it asks again, and a shared access signature with them.
        logger = logging.getLogger("urllib3.connectionpool")
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.ERROR)
        return Transport(connections=self._threads, retries=_RETRIES)

    @cached_property
    def _tables(self) -> "TableServiceClient":
        from azure.data.tables import TableServiceClient

        return TableServiceClient(
            self._account.table_service_url,
            credential=self._credential,
            transport=self._azure_transport(),
            **_BOUNDS,
        )

    @cached_property
    def _queues(self) -> "QueueServiceClient":
        from azure.storage.queue import LinearRetry, QueueServiceClient

        # This client has retries of its own kind, which by default take a minute and a half.
        retry = LinearRetry(backoff=1, retry_total=3, random_jitter_range=1)
        return QueueServiceClient(
            self._account.queue_service_url,
            credential=self._credential,
            transport=self._azure_transport(),
            **{**_BOUNDS, "retry_policy": retry},
        )

    @property
    def _credential(self) -> "AzureNamedKeyCredential | AzureSasCredential | TokenCredential":
        from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential

        if self._account.key:
            return AzureNamedKeyCredential(self._account.name, self._account.key)
        if self._account.shared_access_signature:
            return AzureSasCredential(self._account.shared_access_signature)
        return self._token

    @cached_property
    def _token(self) -> KeptToken:
        return KeptToken(
            self._make_credential,
            "https://storage.azure.com/.default",
            user="storage",
            make_error=lambda: storage_error("there is no token for it"),
        )

    def _make_credential(self) -> "TokenCredential":
        if self._account.managed_identity:
            from shared.auth.managed_identity import ManagedIdentity

            return ManagedIdentity(self._account.client_id)
        from azure.identity import DefaultAzureCredential

        # For a developer who is signed in, as the Functions host does it.
        return DefaultAzureCredential(managed_identity_client_id=self._account.client_id or None)

    def _azure_transport(self) -> Any:
        import requests
        from azure.core.pipeline.transport import RequestsTransport
        from requests.adapters import HTTPAdapter

        # At the level of the Functions worker, every request and answer would be in the log.
        logging.getLogger("azure.core").setLevel(logging.WARNING)
        session = requests.Session()
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(pool_maxsize=self._threads))
        return RequestsTransport(session=session, **_BOUNDS)


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
        status = error.status_code if isinstance(error, HttpResponseError) else None
        raise storage_error(code, status) from error
