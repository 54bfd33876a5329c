"""CloudEvents over HTTP: one event, a batch, or an event whose attributes are headers.

Sources: https://github.com/cloudevents/spec/blob/main/cloudevents/bindings/http-protocol-binding.md
and, for the handshake, https://github.com/cloudevents/spec/blob/main/cloudevents/http-webhook.md
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from ReceiveEvent.event import Event, IgnoredEvent, Severity, severity_of, severity_of_number
from ReceiveEvent.reading import find, moment, text, texts
from shared.errors import FieldError, InvalidRequestError

_STRUCTURED = "application/cloudevents"
_QUOTED = re.compile(r'"(.*)"')
_ESCAPED = re.compile(r"\\(.)")
_NEVER_SHOWN = {"claims", "authorization", "httprequest"}
"""Who did it and with which token, in what Azure says of its resources; lower case."""


def is_binary(headers: Mapping[str, str]) -> bool:
    """Tell whether the attributes are headers, and the whole body is the data."""
    structured = headers.get("content-type", "").lower().startswith(_STRUCTURED)
    return not structured and "ce-specversion" in headers


def consent(headers: Mapping[str, str]) -> dict[str, str] | None:
    """Return the headers that answer an OPTIONS request of who wants to send; None for another."""
    origin = headers.get("webhook-request-origin")
    if not origin:
        return None
    return {"Allow": "POST", "WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*"}


def read(headers: Mapping[str, str], body: Any) -> list[Event | IgnoredEvent]:
    """Return an event for each id; raise InvalidRequestError for what is no CloudEvent at all."""
    if is_binary(headers):
        found = {name: value for name, value in headers.items() if name.startswith("ce-")}
        attributes = {name[3:]: _decoded(value) for name, value in found.items()}
        return [_event({**attributes, "data": body})]
    if isinstance(body, list):
        return [_event(each) for each in body]
    if find(body, "specversion") is None:
        hint = "is missing; what has Event Grid's own schema goes to event-grid"
        raise InvalidRequestError(FieldError("specversion", hint))
    return [_event(body)]


def _decoded(value: str) -> str:
    """Return what a header's value stands for; section 3.1.3.2 of the binding."""
    if quoted := _QUOTED.fullmatch(value):
        value = _ESCAPED.sub(r"\1", quoted[1])
    return unquote(value)


def happening(
    event: Any, names: tuple[str, str, str], time: str, severity: Severity | None = None
) -> Event | IgnoredEvent:
    """Return the event for what just happens and has no state: an incident for each id.

    ``names`` are of the event's source, id and type, ``time`` is of when it was.
    """
    source, identity, kind = (text(event, name) for name in names)
    if not (source and identity and kind):
        return IgnoredEvent(None, f"An event needs {', '.join(names)}")
    subject, data = text(event, "subject"), texts(event, "data")
    shown = {name: each for name, each in data.items() if name.lower() not in _NEVER_SHOWN}
    return Event(
        key=f"{source} {identity}",
        state="firing",
        topic=kind,
        title=f"{kind}: {subject}" if subject else kind,
        occurrence=identity,
        time=moment(event, time),
        severity=severity,
        text=text(event, "data"),
        details={"source": source, **shown},
        tells_end=False,
    )


def _event(event: Any) -> Event | IgnoredEvent:
    if (version := text(event, "specversion")) != "1.0":
        return IgnoredEvent(None, f"The CloudEvents version {version!r} is not known, only 1.0 is")
    severity = severity_of(text(event, "severitytext"))
    of_number = severity_of_number(text(event, "severitynumber"))
    return happening(event, ("source", "id", "type"), "time", severity or of_number)
