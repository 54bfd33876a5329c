"""Requests: what the URL of a webhook asks for, a list of incidents, and messages of the queue."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, TypeAdapter

from ReceiveEvent.event import Event, IgnoredEvent, Severity
from ReceiveEvent.formats import FORMATS, Format
from shared import json_text
from shared.alerts.incidents import IncidentState
from shared.errors import FieldError, InvalidRequestError, UnknownSenderError
from shared.messages.envelope import ENVELOPE
from shared.wire_models import ChannelId, EntraId, Identifier, ListOf, Name, WireModel, parse

_EVENTS = TypeAdapter(list[Event])
# One of them stands in each CloudEvent, and in each event of Event Grid.
_MARKS_OF_AN_EVENT = {"specversion", "eventType"}
# Keys of the caller: ours, and that of the specification of CloudEvents' webhooks.
_KEYS = {"code", "access_token"}
_ONCE = ("topic", "channelId", "tenantId", "minSeverity", "answers", "dryRun")


def _read_flag(given: object) -> object:
    """Return what a URL says of a flag; anything but true or false as it is."""
    return {"true": True, "false": False}.get(str(given).lower(), given)


class EventQuery(WireModel):
    """What the URL of a webhook asks for: who is told, and of what."""

    interest: Annotated[
        ListOf[Annotated[Name, Field(min_length=1)]],
        BeforeValidator(lambda given: [given] if isinstance(given, str) else given),
    ] = Field(default_factory=list)
    topic: Annotated[Name, Field(min_length=1)] | None = None
    channel_id: ChannelId | None = None
    tenant_id: EntraId | None = None
    min_severity: Severity | None = None
    answers: Literal["take"] | None = None
    dry_run: Annotated[bool, BeforeValidator(_read_flag)] = False

    @classmethod
    def from_url(cls, query: Mapping[str, Sequence[str]]) -> "EventQuery":
        """Return the query of a URL; raise InvalidRequestError naming each field at fault."""
        asked: dict[str, Any] = {name: each for name, each in query.items() if name not in _KEYS}
        repeated = [name for name in _ONCE if len(asked.get(name, ())) > 1]
        if repeated:
            raise InvalidRequestError(
                *(FieldError(name, "stands there twice") for name in repeated)
            )
        return parse(cls, asked | {name: asked[name][0] for name in _ONCE if name in asked})

    @property
    def who_is_told(self) -> str:
        """What of the query tells one audience from another, as JSON."""
        told = self.model_dump(
            mode="json", by_alias=True, exclude_defaults=True, exclude={"answers", "dry_run"}
        )
        if self.interest:
            told["interest"] = sorted(set(self.interest))
        return json.dumps(told, sort_keys=True)

    @classmethod
    def from_who_is_told(cls, text: str) -> "EventQuery":
        """Return the query that ``who_is_told`` tells from others."""
        return parse(cls, json.loads(text))


class IncidentQuery(WireModel):
    """Which page of the list of incidents: of all, or of those in a state."""

    state: IncidentState | None = None
    page_size: Annotated[int, Field(strict=False, ge=1, le=1000)] = 100
    continuation_token: str | None = None

    @classmethod
    def from_params(cls, params: Mapping[str, str]) -> "IncidentQuery":
        """Return the query; raise InvalidRequestError naming each field at fault."""
        known = {name: value for name, value in params.items() if name != "code"}
        return parse(cls, known)


class _EventMessage(WireModel):
    id: Identifier | None = None
    sender: str | None = None
    query: EventQuery = Field(default_factory=EventQuery)
    body: Any = None
    events: ListOf[Any] | None = None


@dataclass(frozen=True)
class ReceivedEvents:
    """What a sender says, and what the URL asks for to which it says it."""

    sender: str
    query: EventQuery
    events: Sequence[Event | IgnoredEvent]

    def to_message(self, events: Sequence[Event]) -> dict[str, Any]:
        """Return some of the events as they stand on the queue."""
        query = self.query.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return {
            "sender": self.sender,
            "query": query,
            "events": _EVENTS.dump_python(list(events), mode="json", exclude_defaults=True),
        }


def format_of(sender: str) -> Format:
    """Return how a sender's requests are read; raise UnknownSenderError."""
    if sender not in FORMATS:
        raise UnknownSenderError("Nothing is known of a sender of this name")
    return FORMATS[sender]


def message_of(text: bytes) -> dict[str, Any]:
    """Return a message of the queue, where an event may stand as it is, or a list of these.

    Raises InvalidRequestError if it is neither, or has events as only our own messages have them.
    """
    value = json_text.parse(text)
    one = value[0] if isinstance(value, list) and value else value
    if not isinstance(one, dict):
        raise InvalidRequestError(FieldError("(body)", "must be a JSON object"))
    if one is not value or not _MARKS_OF_AN_EVENT.isdisjoint(value):
        return {"body": value}
    if "events" in value and ENVELOPE not in value:
        raise InvalidRequestError(FieldError("events", "is ours; leave it out"))
    return value


def read_message(body: Mapping[str, Any]) -> ReceivedEvents:
    """Return what a message of the queue says, ours or somebody else's.

    Raises InvalidRequestError naming each field at fault, and UnknownSenderError.
    """
    message = parse(_EventMessage, body)
    if message.query.dry_run:
        raise InvalidRequestError(FieldError("query.dryRun", "has nobody to answer on a queue"))
    if message.events is not None and message.sender is not None:
        return ReceivedEvents(
            message.sender, message.query, _EVENTS.validate_python(message.events)
        )
    # Event Grid delivers CloudEvents in its own way, so both are read alike.
    one = message.body[0] if isinstance(message.body, list) and message.body else message.body
    is_cloudevent = isinstance(one, dict) and "specversion" in one
    sender = message.sender or ("cloudevents" if is_cloudevent else "event-grid")
    return ReceivedEvents(sender, message.query, format_of(sender).read({}, message.body))
