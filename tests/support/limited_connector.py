"""A Connector that takes so many calls in any second, and asks for patience beyond."""

import time
from collections import defaultdict, deque

from tests.support.connector import StubConnector
from tests.support.stub_server import Answer, ReceivedRequest

WINDOW_SECONDS = 1.0


def most_in_a_second(rate: int, threads: int) -> int:
    """The most calls of an app that keeps the pace, however slow the machine is.

    They are those of the slots, of which one may be used a tenth of a second late, and one for each
    thread that was held up on its way here.
    """
    return rate + rate // 10 + 1 + threads


def base_path(request: ReceivedRequest) -> str:
    """What stands before the routes of the Connector in the path of a request."""
    return request.path.partition("/v3/")[0]


class LimitedConnector(StubConnector):
    """Answers 429 with Retry-After to what is beyond the limit of its base path in any second."""

    def __init__(self, calls_per_second: int) -> None:
        self._calls_per_second = calls_per_second
        self._taken: defaultdict[str, deque[float]] = defaultdict(deque)
        self.taken = 0
        self.throttled = 0
        super().__init__()

    def default_answer(self, request: ReceivedRequest) -> Answer:
        """Answer as usual, unless the last second had all the calls that it may have."""
        # Called with the lock of the stub.
        now = time.monotonic()
        taken = self._taken[base_path(request)]
        while taken and now - taken[0] >= WINDOW_SECONDS:
            taken.popleft()
        if len(taken) >= self._calls_per_second:
            self.throttled += 1
            error = {"error": {"code": "Throttled", "message": "Too many requests."}}
            return Answer(429, error, {"Retry-After": "1"})
        taken.append(now)
        self.taken += 1
        return super().default_answer(request)
