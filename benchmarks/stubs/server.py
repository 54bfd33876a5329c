"""A small HTTP server: it keeps connections alive, counts, and costs little."""

import asyncio
import json
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import Any

CONTROL = "/_stub"
"""Where a stub is asked what it has seen, and told what to do; that is not counted."""

_REASONS = {200: "OK", 201: "Created", 204: "No Content", 404: "Not Found", 409: "Conflict"}
_HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Request:
    """A request; names in ``head`` are in lower case, values as they came."""

    method: str
    path: str
    head: dict[str, str]
    body: bytes


def answer(status: int, body: object = None, **headers: str) -> bytes:
    """Return an answer with a JSON body, or none; ``headers`` with ``_`` for ``-``."""
    content = b"" if body is None else json.dumps(body).encode()
    return answer_with(status, content, "application/json; charset=utf-8", **headers)


def answer_with(status: int, content: bytes, content_type: str, **headers: str) -> bytes:
    """Return an answer with this content; ``headers`` with ``_`` for ``-``."""
    lines = [
        f"HTTP/1.1 {status} {_REASONS.get(status, 'Whatever')}",
        # What any service of Microsoft's answers with; reading it is part of the cost.
        "Cache-Control: no-cache",
        "Date: Sat, 31 Jan 2026 08:00:00 GMT",
        "Server: Microsoft-HTTPAPI/2.0",
        "Strict-Transport-Security: max-age=31536000; includeSubDomains",
        "X-Content-Type-Options: nosniff",
        "x-ms-request-id: 0e7a0000-0000-4000-8000-0000000000aa",
        f"Content-Length: {len(content)}",
        *([f"Content-Type: {content_type}"] if content else ()),
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode("latin-1") + _HEAD_END + content


class Stub(ABC):
    """A service; what it answers is up to the subclass."""

    def __init__(self) -> None:
        self.connections = 0
        self.requests = 0
        self.delay_seconds = 0.0

    @abstractmethod
    def receive(self, request: Request) -> bytes:
        """Return the answer to a request."""

    def tell(self) -> dict[str, Any]:
        """Return what was seen since the last ``forget``."""
        return {
            "connections": self.connections,
            "requests": self.requests,
            "cpuSeconds": time.process_time(),
        }

    def obey(self, orders: dict[str, Any]) -> None:
        """Forget what was seen, and do from here on as is told."""
        self.connections = self.requests = 0
        self.delay_seconds = orders.get("delaySeconds", 0.0)

    def control(self, request: Request) -> bytes:
        """Answer what was seen; before that, with POST, do as is told."""
        if request.method == "POST":
            self.obey(json.loads(request.body))
        return answer(200, self.tell())


class _Connection(asyncio.Protocol):
    def __init__(self, stub: Stub) -> None:
        self._stub = stub
        self._received = b""
        self._is_counted = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (request := self._take()) is not None:
            if request.path.startswith(CONTROL):
                self._transport.write(self._stub.control(request))
                continue
            self._stub.connections += not self._is_counted
            self._is_counted = True
            self._stub.requests += 1
            content = self._stub.receive(request)
            if self._stub.delay_seconds:
                asyncio.get_running_loop().call_later(
                    self._stub.delay_seconds, partial(self._transport.write, content)
                )
            else:
                self._transport.write(content)

    def _take(self) -> Request | None:
        """Take a whole request from what was received, if one is there."""
        end = self._received.find(_HEAD_END)
        if end < 0:
            return None
        first, *lines = self._received[:end].decode("latin-1").split("\r\n")
        head = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        start = end + len(_HEAD_END)
        length = int(head.get("content-length", 0))
        if len(self._received) < start + length:
            return None
        method, path, _ = first.split(" ")
        body = self._received[start : start + length]
        self._received = self._received[start + length :]
        return Request(method, path, head, body)


async def serve(stub: Stub) -> None:
    """Serve on a free port of this machine, which is printed, until the process is ended."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(stub), "127.0.0.1", 0, backlog=512)
    print(f"Listening on port {server.sockets[0].getsockname()[1]}.", flush=True)
    await server.serve_forever()
