"""How ``requests`` sends: in a bounded time, and no more than it is given.

An ordinary session weaves cookies, hooks, redirects and passwords of ``.netrc`` into each request,
and looks through the environment for proxies and certificates: a good part of the time that sending
takes. Here the environment is looked through once for each host, and the rest is left out.

By itself a read timeout bounds each read from the socket, so a server that sends a byte now and
then holds a thread for ever. Here the time that is left of ``urllib3.Timeout(total=…)`` when the
request has been sent bounds all reads of the answer together, headers and body.
"""

import io
import socket
import time
from collections.abc import Mapping
from http.client import HTTPResponse
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection


class PlainSession(requests.Session):
    """The session, for all threads; it follows no redirect and keeps no cookie."""

    def __init__(self, adapter: HTTPAdapter) -> None:
        super().__init__()
        self.mount("https://", adapter)
        self.mount("http://", adapter)
        self._surroundings: dict[str, dict[str, Any]] = {}

    def request(  # type: ignore[override]  # no more than is asked of it here
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        data: bytes | str | None = None,
        timeout: Any = None,
        stream: bool = False,
        **_unused: Any,
    ) -> requests.Response:
        """Send a request and return the answer."""
        request = requests.PreparedRequest()
        request.method, request.url = method, url
        request.headers = CaseInsensitiveDict(headers)
        request.prepare_body(data, None)
        origin = "/".join(url.split("/", 3)[:3])
        surroundings = self._surroundings.get(origin) or self._look_around(origin)
        response = self.get_adapter(url).send(
            request, stream=stream, timeout=timeout, **surroundings
        )
        if not stream:
            # Once it is read, the connection is free for the next request.
            _ = response.content
        return response

    def _look_around(self, origin: str) -> dict[str, Any]:
        """Return the proxies and certificates that the environment has for a host."""
        found = self.merge_environment_settings(origin, {}, None, None, None)
        self._surroundings[origin] = {name: found[name] for name in ("proxies", "verify", "cert")}
        return self._surroundings[origin]


class BoundedAdapter(HTTPAdapter):
    """The adapter; takes what ``requests.adapters.HTTPAdapter`` takes."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        _use_bounded_pools(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Return the pools of connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        _use_bounded_pools(manager)
        return manager


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


class _BoundedConnection(HTTPConnection):
    response_class = _BoundedResponse


class _BoundedSecureConnection(HTTPSConnection):
    response_class = _BoundedResponse


class _BoundedPool(HTTPConnectionPool):
    ConnectionCls = _BoundedConnection


class _BoundedSecurePool(HTTPSConnectionPool):
    ConnectionCls = _BoundedSecureConnection


def _use_bounded_pools(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _BoundedPool, "https": _BoundedSecurePool}
