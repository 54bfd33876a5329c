"""Event Grid's own schema, and CloudEvents where a subscription delivers these instead.

Source: https://learn.microsoft.com/azure/event-grid/event-schema
"""

from collections.abc import Mapping
from typing import Any

from ReceiveEvent.event import Event, IgnoredEvent
from ReceiveEvent.formats import cloudevents
from ReceiveEvent.reading import find, parsed, text
from shared.errors import FieldError, InvalidRequestError

_VALIDATION = "microsoft.eventgrid.subscriptionvalidationevent"
_OF_THE_SUBSCRIPTION = {_VALIDATION, "microsoft.eventgrid.subscriptiondeletedevent"}
_FAREWELLS = {"subscriptiondeletion", "unsubscribe"}


def handshake(headers: Mapping[str, str], body: Any) -> dict[str, Any] | None:
    """Return the answer to what is about the subscription itself, or None for what is an event.

    The code proves that this URL wants the events; validationUrl would prove it too, but no URL of
    a body is ever called.
    """
    if headers.get("aeg-event-type", "").lower() in _FAREWELLS:
        return {"events": []}
    for event in body if isinstance(body, list) else [body]:
        if _kind(event) == _VALIDATION:
            code = text(parsed(find(event, "data")), "validationCode")
            return {"validationResponse": code} if code else None
    return None


def read(headers: Mapping[str, str], body: Any) -> list[Event | IgnoredEvent]:
    """Return an event for each id; raise InvalidRequestError for what is not Event Grid's."""
    events = body if isinstance(body, list) else [body]
    if cloudevents.is_binary(headers) or any(find(each, "specversion") for each in events):
        return cloudevents.read(headers, body)
    if not isinstance(body, list) and not _kind(body):
        raise InvalidRequestError(FieldError("eventType", "is missing; is this Event Grid's?"))
    return [_event(each) for each in events]


def _event(event: Any) -> Event | IgnoredEvent:
    if _kind(event) in _OF_THE_SUBSCRIPTION:
        return IgnoredEvent(None, "This is about the subscription, nothing that happened")
    return cloudevents.happening(event, ("topic", "id", "eventType"), "eventTime")


def _kind(event: Any) -> str:
    return text(event, "eventType").lower()
