"""The managed identity endpoint of App Service and Azure Functions: gives out tokens."""

import itertools
import time
from urllib.parse import parse_qs, urlsplit

from benchmarks.stubs.server import Request, Stub, answer

_LIFETIME_SECONDS = 24 * 60 * 60


class Identity(Stub):
    """The endpoint."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers = itertools.count(1)

    def receive(self, request: Request) -> bytes:
        """Give out a new token for the resource."""
        query = parse_qs(urlsplit(request.path).query)
        return answer(
            200,
            {
                # As long as the real ones are: it travels with every call.
                "access_token": f"token-{next(self._numbers)}-".ljust(1400, "x"),
                "client_id": query.get("client_id", [""])[0],
                "expires_on": str(int(time.time()) + _LIFETIME_SECONDS),
                "resource": query["resource"][0],
                "token_type": "Bearer",
            },
        )
