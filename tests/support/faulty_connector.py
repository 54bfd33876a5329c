"""A Connector that fails at random, in every way there is."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.support.connector import StubConnector, is_send
from tests.support.stub_server import Answer, ReceivedRequest


def _error(status: int, **headers: str) -> Callable[[Any], Answer]:
    body = {"error": {"code": f"Fault{status}", "message": "It failed."}}
    return lambda _: Answer(status, body, headers)


# What is answered instead of yes, how often in a hundred calls, and whether the call is done then:
# None leaves it to chance: such an answer does not tell.
_FAULTS: tuple[tuple[Callable[[Any], Answer | None], float, bool | None], ...] = (
    (_error(429, **{"Retry-After": "1"}), 3, False),
    (_error(412), 3, False),
    (_error(502), 2, None),
    (lambda _: Answer(502, "<html>Bad gateway</html>"), 2, None),
    (_error(503), 3, False),
    (_error(504), 3, None),
    # The connection is cut.
    (lambda _: None, 3, None),
    (lambda _: Answer(200), 3, True),
    (lambda _: Answer(201, {}), 3, True),
    (lambda _: Answer(200, "<html>Welcome</html>"), 3, True),
    (lambda body: Answer(201, body, {"Content-Length": "1000"}), 2, True),
    (lambda body: Answer(201, body, {"Content-Length": "3"}), 2, True),
)
_UNREAD_CUTS = 3
_HANGS = 2


class FaultyConnector(StubConnector):
    """Fails at random while told to; counts for each text how often it was really sent.

    Half of what ends without an answer, or with one that says nothing, is done all the same.
    """

    def __init__(self, seed: int, *, hang_seconds: float) -> None:
        self._random = random.Random(seed)
        self._hang_seconds = hang_seconds
        self.done: Counter[str] = Counter()
        super().__init__()

    def receive(self, request: ReceivedRequest) -> Answer | None:
        """Do what is asked, or not, and say so, or not."""
        hangs, fault, is_done = self._throw_dice()
        answer = super().receive(request)
        if is_done and is_send(request):
            self.done[request.json["text"]] += 1
        if answer and hangs:
            return replace(answer, after_seconds=self._hang_seconds)
        return answer if fault is None or answer is None else fault(answer.body)

    def takes_unread_cut(self) -> bool:
        """Cut some connections before the request is read."""
        return self._random.uniform(0, 100) < _UNREAD_CUTS

    def _throw_dice(self) -> tuple[bool, Callable[[Any], Answer | None] | None, bool]:
        perhaps = self._random.random() < 0.5
        dice = self._random.uniform(0, 100)
        if dice < _HANGS:
            return True, None, perhaps
        dice -= _HANGS
        for fault, share, is_done in _FAULTS:
            if dice < share:
                return False, fault, perhaps if is_done is None else is_done
            dice -= share
        return False, None, True
