"""A request as a stub got it, and an answer as it gives it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from http.client import HTTPMessage, parse_headers
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class ReceivedRequest:
    """One request as it came over the wire."""

    method: str
    path: str
    """The raw request target: still percent-encoded, with its query."""
    head: bytes
    body: bytes
    connection: int
    """The number of the connection it came over: 1, 2, ... in the order they were opened."""

    @cached_property
    def headers(self) -> HTTPMessage:
        return parse_headers(BytesIO(self.head.partition(b"\r\n")[2]))

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


Predicate = Callable[[ReceivedRequest], bool]


def any_request(request: ReceivedRequest) -> bool:
    return True


@dataclass(frozen=True)
class Answer:
    """What goes back: dicts and lists as JSON, text as HTML, bytes as JSON that may be none."""

    status: int = 200
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds_per_header_byte: float = 0
    seconds_per_body_byte: float = 0
    after_seconds: float = 0

    @property
    def lies_about_its_length(self) -> bool:
        return "Content-Length" in self.headers

    def encode(self) -> tuple[bytes, bytes]:
        """The head and the body as they go over the wire."""
        content_type, body = self._content()
        headers = {"Content-Type": content_type, "Content-Length": str(len(body))}
        lines = [f"HTTP/1.1 {self.status} {_phrase(self.status)}"]
        lines += [f"{name}: {value}" for name, value in {**headers, **self.headers}.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"), body

    def _content(self) -> tuple[str, bytes]:
        match self.body:
            case None:
                return "application/json", b""
            case bytes():
                return "application/json", self.body
            case str():
                return "text/html; charset=utf-8", self.body.encode()
            case _:
                return "application/json; charset=utf-8", json.dumps(self.body).encode()


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Odd"
