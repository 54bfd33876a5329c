"""A service played on loopback: it records what it is asked and answers as it is told."""

import asyncio
import math
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TypeVar

from tests.support.exchange import Answer, Predicate, ReceivedRequest, any_request
from tests.support.loopback_server import LoopbackServer
from tests.support.waiting import PATIENCE_SECONDS

__all__ = ["Answer", "Predicate", "ReceivedRequest", "StubServer", "any_request"]


@dataclass
class _Rule:
    """For the next `times` requests that fit: an answer, or none to cut the connection."""

    answer: Answer | None
    when: Predicate
    times: float


@dataclass
class _Gate:
    """The next `times` requests that fit wait here until it opens."""

    when: Predicate
    times: float
    opened: asyncio.Event = field(default_factory=asyncio.Event)


Matcher = TypeVar("Matcher", _Rule, _Gate)


class StubServer:
    """Plays a service on loopback; what it answers unless told otherwise is up to the subclass."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._changed = threading.Condition()
        self._requests: list[ReceivedRequest] = []
        self._rules: list[_Rule] = []
        self._gates: list[_Gate] = []
        self._waiting = 0
        self._unread_cuts = 0
        self._server = LoopbackServer(self, tls)

    def default_answer(self, request: ReceivedRequest) -> Answer:
        """Answer as the service does when all is well."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """The origin, without a slash at the end."""
        return self._server.url

    @property
    def requests(self) -> list[ReceivedRequest]:
        """All requests so far, in the order they came, those still waiting included."""
        with self._changed:
            return list(self._requests)

    @property
    def connections(self) -> int:
        """How many connections have been opened so far."""
        return self._server.connections

    @property
    def waiting(self) -> int:
        """How many requests wait at a gate now."""
        with self._changed:
            return self._waiting

    def answer(
        self,
        status: int,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        *,
        times: float = 1,
        when: Predicate = any_request,
        seconds_per_header_byte: float = 0,
        seconds_per_body_byte: float = 0,
    ) -> None:
        """Answer the next `times` requests that fit like this (`math.inf`: all of them).

        A Content-Length among the headers is sent as it is, right or wrong.
        """
        answer = Answer(status, body, headers or {}, seconds_per_header_byte, seconds_per_body_byte)
        self._add_rule(_Rule(answer, when, times))

    def cut(self, *, times: float = 1, when: Predicate = any_request) -> None:
        """Close the connection instead of answering, after the request was read."""
        self._add_rule(_Rule(None, when, times))

    def cut_unread(self, *, times: int = 1) -> None:
        """Close the connection when a request comes, without reading or recording it."""
        with self._changed:
            self._unread_cuts = times

    def block(self, *, times: float = math.inf, when: Predicate = any_request) -> None:
        """Let requests wait from now on, recorded and unanswered; with `times=1`, one hangs."""
        with self._changed:
            self._gates.append(_Gate(when, times))

    def release(self) -> None:
        """Answer all that wait, and let nothing wait any more."""
        with self._changed:
            for gate in self._gates:
                self._server.loop.call_soon_threadsafe(gate.opened.set)
            self._gates.clear()

    def forget(self) -> None:
        """Record from now on."""
        with self._changed:
            self._requests.clear()

    def wait_for(self, count: int, *, seconds: float = PATIENCE_SECONDS) -> list[ReceivedRequest]:
        """Wait until so many requests have come, and return all that have."""
        with self._changed:
            came = self._changed.wait_for(lambda: len(self._requests) >= count, seconds)
            seen = [str(request) for request in self._requests]
            assert came, f"not {count} requests within {seconds:g} s, but {len(seen)}: {seen}"
            return list(self._requests)

    def wait_for_waiting(self, count: int, *, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until so many requests wait at a gate at once."""
        with self._changed:
            came = self._changed.wait_for(lambda: self._waiting >= count, seconds)
            assert came, f"not {count} requests wait within {seconds:g} s, but {self._waiting}"

    def drop_connections(self) -> None:
        """Close all open connections, as a server does that tires of idle ones."""
        self._server.drop_connections()

    def close(self) -> None:
        """Cut off all connections and stop; raise what went wrong inside."""
        self._server.close()
        if self._server.errors:
            raise self._server.errors[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def receive(self, request: ReceivedRequest) -> Answer | None:
        """Record a request and say what to answer; None cuts the connection."""
        self._requests.append(request)
        rule = _take(self._rules, request)
        return rule.answer if rule else self.default_answer(request)

    async def respond(self, request: ReceivedRequest) -> Answer | None:
        """Say what to answer to a request, after the gate."""
        with self._changed:
            answer = self.receive(request)
            gate = _take(self._gates, request)
            self._waiting += gate is not None
            self._changed.notify_all()
        if gate:
            await gate.opened.wait()
            with self._changed:
                self._waiting -= 1
        return answer

    def takes_unread_cut(self) -> bool:
        """Whether the request about to be read is to be cut off."""
        with self._changed:
            if self._unread_cuts:
                self._unread_cuts -= 1
                return True
            return False

    def _add_rule(self, rule: _Rule) -> None:
        with self._changed:
            self._rules.append(rule)


def _take(matchers: list[Matcher], request: ReceivedRequest) -> Matcher | None:
    for matcher in matchers:
        if matcher.times > 0 and matcher.when(request):
            matcher.times -= 1
            return matcher
    return None
