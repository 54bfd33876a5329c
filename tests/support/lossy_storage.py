"""Storage that does what it is asked, and then says that it did not."""

import re
from collections.abc import Callable

import requests

from tests.support.stub_server import Answer, Predicate, ReceivedRequest, StubServer


class LossyStorage(StubServer):
    """Hands requests on to the real storage, and answers some as if it had been too busy.

    Stands before one of its services, Table or Queue; the others are reached as they are.
    """

    def __init__(self, connection_string: str, service: str = "Table") -> None:
        match = re.search(rf"{service}Endpoint=(http://127\.0\.0\.1:\d+)", connection_string)
        assert match
        self._storage_url = match[1]
        self._lost: list[tuple[Predicate, bool]] = []
        self._session = requests.Session()
        self._session.trust_env = False
        super().__init__()
        self.connection_string = connection_string.replace(match[1], self.url)

    def lose_answer(self, when: Predicate, *, is_cut: bool = False) -> None:
        """Do the next request that fits, and answer 503, or nothing."""
        self._lost.append((when, is_cut))

    def default_answer(self, request: ReceivedRequest) -> Answer:
        """Answer as storage does."""
        answer = self._session.request(
            request.method,
            self._storage_url + request.path,
            data=request.body,
            headers={name: value for name, value in request.headers.items() if name != "Host"},
            timeout=30,
        )
        kept = ["ETag", "Content-Type", *(name for name in answer.headers if name[:5] == "x-ms-")]
        headers = {name: answer.headers[name] for name in kept if name in answer.headers}
        return Answer(answer.status_code, answer.content, headers)

    def receive(self, request: ReceivedRequest) -> Answer | None:
        """Do what is asked; answer it, or not."""
        answer = super().receive(request)
        for lost in self._lost:
            when, is_cut = lost
            if when(request):
                self._lost.remove(lost)
                return None if is_cut else Answer(503, {"odata.error": {"code": "ServerBusy"}})
        return answer

    def close(self) -> None:
        """Stop."""
        super().close()
        self._session.close()


class InterruptedStorage(LossyStorage):
    """Has somebody do something right before, or right after, a request that fits."""

    def __init__(
        self,
        connection_string: str,
        when: Predicate,
        *,
        before: Callable[[], object] | None = None,
        after: Callable[[], object] | None = None,
    ) -> None:
        self._when = when
        self._before = before
        self._after = after
        self.interrupted = 0
        super().__init__(connection_string)

    def default_answer(self, request: ReceivedRequest) -> Answer:
        is_it = self.interrupted == 0 and self._when(request)
        self.interrupted += is_it
        if is_it and self._before:
            self._before()
        answer = super().default_answer(request)
        if is_it and self._after:
            self._after()
        return answer


def writes(table: str, text: str = "") -> Predicate:
    """Whether a request writes a row of a table that holds a text over an earlier one."""

    def fits(request: ReceivedRequest) -> bool:
        is_write = request.method in ("PUT", "PATCH", "MERGE")
        return is_write and f"/{table}(" in request.path and text.encode() in request.body

    return fits
