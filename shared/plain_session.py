"""A session of ``requests`` that sends what it is given, and little more.

An ordinary session weaves cookies, hooks, redirects and passwords of ``.netrc`` into each request,
and looks through the environment for proxies and certificates: a good part of the time that sending
takes. Here the environment is looked through once for each host, and the rest is left out.
"""

from collections.abc import Mapping
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict


class PlainSession(requests.Session):
    """The session, for all threads; it follows no redirect and keeps no cookie."""

    def __init__(self, adapter: HTTPAdapter) -> None:
        """Take what sends."""
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
        response = self.get_adapter(url).send(
            request, stream=stream, timeout=timeout, **self._surroundings_of(url)
        )
        if not stream:
            # Once it is read, the connection is free for the next request.
            _ = response.content
        return response

    def _surroundings_of(self, url: str) -> dict[str, Any]:
        """Return the proxies and certificates that the environment has for the URL's host."""
        origin = "/".join(url.split("/", 3)[:3])
        if origin not in self._surroundings:
            found = self.merge_environment_settings(origin, {}, None, None, None)
            self._surroundings[origin] = {
                name: found[name] for name in ("proxies", "verify", "cert")
            }
        return self._surroundings[origin]
