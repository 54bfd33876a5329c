"""Our own format, for everything that has no module of its own; openapi.yaml describes it."""

import logging
from collections.abc import Mapping
from typing import Any

from ReceiveEvent.event import Event, IgnoredEvent, severity_of
from ReceiveEvent.reading import moment, text, texts
from shared.errors import FieldError, InvalidRequestError

_REQUIRED = ("key", "status", "title", "topic")
_KNOWN = {*_REQUIRED, "severity", "text", "link", "details", "time", "startsAt", "endsAt"}

_logger = logging.getLogger(__name__)


def read(headers: Mapping[str, str], body: Any) -> list[Event | IgnoredEvent]:
    """Return the event; raise InvalidRequestError naming each field that it cannot do without.

    A field that it can do without counts as missing where it is of the wrong type.
    """
    if not isinstance(body, dict):
        raise InvalidRequestError(FieldError("(body)", "must be a JSON object"))
    faults = [FieldError(name, "must be a text") for name in _REQUIRED if not text(body, name)]
    status = text(body, "status")
    if status not in ("", "firing", "resolved"):
        faults.append(FieldError("status", "must be firing or resolved"))
    if faults:
        raise InvalidRequestError(*faults)
    if unknown := len(body.keys() - _KNOWN):
        _logger.info("Fields of a generic event that are not known were dropped: %d", unknown)
    starts_at = moment(body, "startsAt")
    return [
        Event(
            key=text(body, "key"),
            state="firing" if status == "firing" else "resolved",
            topic=text(body, "topic"),
            title=text(body, "title"),
            occurrence=starts_at.isoformat() if starts_at else None,
            time=moment(body, "time"),
            severity=severity_of(text(body, "severity")),
            text=text(body, "text"),
            details=texts(body, "details"),
            link=text(body, "link"),
            starts_at=starts_at,
            ends_at=moment(body, "endsAt"),
        )
    ]
