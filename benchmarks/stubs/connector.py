"""The Bot Connector: takes activities, notes which came where, and throttles when told to."""

import itertools
import json
import re
import time
from collections import deque
from typing import Any
from urllib.parse import unquote

from benchmarks.stubs.server import Request, Stub, answer

# Some send as a reply to an activity, others just send.
_SEND = re.compile(r"/teams/v3/conversations/([^/?]+)/activities(?:/[^/?]+)?")


class Connector(Stub):
    """The Connector; ``limit`` is how many calls it takes in any second, 0 for all."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers = itertools.count(1)
        self._delivered: list[str] = []
        self._limit = 0
        self._taken: deque[float] = deque()
        self._throttled = 0
        self._times: list[float] = []

    def receive(self, request: Request) -> bytes:
        """Take an activity, or say that it is one too many."""
        route = _SEND.fullmatch(request.path)
        if route is None or request.method != "POST":
            return answer(404, {"error": {"code": "NotFound", "message": request.path}})
        if not request.head.get("authorization", "").startswith("Bearer "):
            return answer(401, {"error": {"code": "Unauthorized", "message": "There is no token."}})
        if self._limit and self._is_too_fast():
            self._throttled += 1
            return answer(
                429,
                {"error": {"code": "TooManyRequests", "message": "Slow down."}},
                Retry_After="1",
            )
        text = json.loads(request.body)["text"]
        self._delivered.append(f"{unquote(route[1])}#{text.rpartition('#')[2]}")
        return answer(201, {"id": f"activity-{next(self._numbers)}"})

    def tell(self) -> dict[str, Any]:
        """Return also what was delivered, when, and how often it was too fast."""
        return {
            **super().tell(),
            "delivered": self._delivered,
            "throttled": self._throttled,
            "seconds": self._times[-1] - self._times[0] if self._times else 0.0,
        }

    def obey(self, orders: dict[str, Any]) -> None:
        """Take also how many calls there may be in a second."""
        super().obey(orders)
        self._limit = orders.get("limit", 0)
        self._delivered = []
        self._throttled = 0
        self._taken.clear()
        self._times = []

    def _is_too_fast(self) -> bool:
        now = time.monotonic()
        while self._taken and now - self._taken[0] >= 1:
            self._taken.popleft()
        if len(self._taken) >= self._limit:
            return True
        self._taken.append(now)
        self._times.append(now)
        return False
