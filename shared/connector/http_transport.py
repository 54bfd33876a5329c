"""How requests go out: over pooled connections, in a bounded time, and no more than they are given.

``requests`` weaves cookies, hooks, redirects and passwords of ``.netrc`` into each request, and
looks through the environment for proxies and certificates: a good part of the time that sending
takes. Here it makes the pool of connections to each origin, as the environment asks for it, and
urllib3 sends.

By itself a connect timeout bounds each address of a host, and not the look-up of its name; a read
timeout bounds each read from the socket, so a server that sends a byte now and then holds a thread
for ever. Where a transport is bounded, nothing is sent over a connection that was made after the
time of ``urllib3.Timeout(total=…)``, and what is left of it when the request has been sent bounds
all reads of the answer together, headers and body.
"""

import io
import math
import socket
import time
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPResponse
from typing import Any, cast

import requests
from requests.adapters import HTTPAdapter
from urllib3 import (
    BaseHTTPResponse,
    HTTPConnectionPool,
    HTTPSConnectionPool,
    PoolManager,
    Retry,
    Timeout,
)
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, LocationParseError

# Of more, the first pools would be closed while they are in use.
_MOST_ORIGINS = 10_000


class Transport:
    """Sends requests, for all threads; follows no redirect and keeps no cookie."""

    def __init__(
        self,
        *,
        connections: int,
        use_proxy: bool = True,
        is_bounded: bool = False,
        retries: Retry | None = None,
    ) -> None:
        """``connections`` is the most there are to an origin, and kept.

        ``use_proxy`` looks through the environment for a proxy and for certificates.
        """
        self._adapter = _Adapter(connections, is_bounded=is_bounded)
        self._session = requests.Session()
        self._session.trust_env = use_proxy
        self._retries = retries
        self._pools: dict[str, HTTPConnectionPool] = {}

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        timeout: Timeout | float,
        body: bytes | None = None,
        is_read: bool = True,
    ) -> BaseHTTPResponse:
        """Send a request and return the answer, which is read whole, unless ``is_read`` is false.

        Raises what urllib3 raises.
        """
        scheme, _, rest = url.partition("://")
        host, slash, path = rest.partition("/")
        origin = f"{scheme}://{host}"
        pool = self._pools.get(origin) or self._pool_to(origin)
        # A proxy is asked for the whole URL; with TLS there is a tunnel through it.
        is_whole = pool.proxy is not None and scheme == "http"
        return pool.urlopen(
            method,
            url if is_whole else slash + path,
            body=body,
            headers=headers,
            retries=self._retries or False,
            redirect=False,
            assert_same_host=False,
            timeout=timeout,
            preload_content=is_read,
        )

    def _pool_to(self, origin: str) -> HTTPConnectionPool:
        found = self._session.merge_environment_settings(origin, {}, None, None, None)
        try:
            self._pools[origin] = self._adapter.pool_to(origin, **found)
        except requests.exceptions.InvalidURL as error:
            raise LocationParseError(origin) from error
        return self._pools[origin]

    def close(self) -> None:
        """Close the connections that are kept."""
        self._adapter.close()


class _Adapter(HTTPAdapter):
    """Makes the pools: direct ones, and those through a proxy."""

    def __init__(self, connections: int, *, is_bounded: bool) -> None:
        self._is_bounded = is_bounded
        super().__init__(_MOST_ORIGINS, pool_maxsize=connections, pool_block=True)

    def pool_to(
        self, origin: str, *, proxies: Any, verify: Any, cert: Any, **_unused: Any
    ) -> HTTPConnectionPool:
        request = requests.Request("GET", origin).prepare()
        pool: Any = self.get_connection_with_tls_context(
            request, verify, proxies=proxies, cert=cert
        )
        self.cert_verify(pool, origin, verify, cert)  # type: ignore[no-untyped-call]  # untyped there
        return cast(HTTPConnectionPool, pool)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self._bound(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        self._bound(manager)
        return manager

    def _bound(self, manager: PoolManager) -> None:
        if self._is_bounded:
            manager.pool_classes_by_scheme = {"http": _BoundedPool, "https": _BoundedSecurePool}


class _BoundedReader(io.RawIOBase):
    def __init__(self, reader: io.RawIOBase, connection: socket.socket) -> None:
        super().__init__()
        self._reader = reader
        self._connection = connection
        # urllib3 sets what is left of the total on the socket, just before the answer is read.
        seconds = connection.gettimeout()
        self._deadline = None if seconds is None else time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._deadline is not None:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("the whole answer took too long")
            self._connection.settimeout(left)
        return self._reader.readinto(buffer)

    def close(self) -> None:
        if not self.closed:
            self._reader.close()
        super().close()


class _BoundedResponse(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_BoundedReader(self.fp.detach(), sock))

    def begin(self) -> None:
        super().begin()
        # After an interim answer there comes the one that counts (RFC 9110, section 15.2);
        # http.client knows that of 100 alone.
        while self.status < HTTPStatus.OK:
            self.headers = None  # type: ignore[assignment]  # else begin() has nothing to do
            super().begin()


class _BoundedConnection(HTTPConnection):
    response_class = _BoundedResponse
    deadline = math.inf

    def connect(self) -> None:
        super().connect()
        if time.monotonic() > self.deadline:
            self.close()
            raise ConnectTimeoutError(self, "the connection was made too late for the request")


class _BoundedSecureConnection(_BoundedConnection, HTTPSConnection):
    pass


class _BoundedPool(HTTPConnectionPool):
    ConnectionCls = _BoundedConnection

    # This is where urllib3 begins to count the total.
    def _make_request(self, *args: Any, **options: Any) -> Any:
        connection = args[0]
        connection.deadline = time.monotonic() + options["timeout"].total
        return super()._make_request(*args, **options)


class _BoundedSecurePool(_BoundedPool, HTTPSConnectionPool):
    ConnectionCls = _BoundedSecureConnection
