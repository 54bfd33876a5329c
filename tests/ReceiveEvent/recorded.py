"""Requests as senders post them: recorded ones, and what a test makes of them."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from ReceiveEvent.body import parse_body
from ReceiveEvent.event import Event, IgnoredEvent
from ReceiveEvent.formats import FORMATS

PAYLOADS = Path(__file__).parent / "payloads"
RECORDED = sorted(
    path.relative_to(PAYLOADS).as_posix()
    for path in PAYLOADS.glob("*/*.json")
    if path.name != "headers.json"
)
"""The name of each recorded payload: its sender, and its file."""


@cache
def headers_of(name: str) -> dict[str, str]:
    """Return the headers of a recorded payload, by their names in lower case."""
    path = PAYLOADS / name
    recorded = path.parent / "headers.json"
    all_headers = json.loads(recorded.read_bytes()) if recorded.exists() else {}
    headers = all_headers.get(path.name, {}).get("headers", {"Content-Type": "application/json"})
    return {header.lower(): value for header, value in headers.items()}


def body_of(name: str) -> Any:
    """Return the body of a recorded payload, for a test to change."""
    return parse_body(headers_of(name), (PAYLOADS / name).read_bytes())


def read(name: str, body: Any, **headers: str) -> list[Event | IgnoredEvent]:
    """Return what a body says that comes with the headers of a recorded payload, and others."""
    changed = {header.replace("_", "-"): value for header, value in headers.items()}
    return FORMATS[name.partition("/")[0]].read({**headers_of(name), **changed}, body)


def read_one(name: str, body: Any, **headers: str) -> Event:
    """Return the one event that a body says."""
    (event,) = read(name, body, **headers)
    assert isinstance(event, Event), event
    return event
