"""The Bot Framework's objects as they stand in JSON, and the rule by which requests are read.

Names and meanings: the Activity Protocol specification and the Connector's swagger. Only what is
looked at is typed; whatever else an object holds is kept, and goes out as it came in.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from shared.errors import FieldError, InvalidRequestError
from shared.languages import with_known_locale

ADAPTIVE_CARD = "application/vnd.microsoft.card.adaptive"
"""The content type of an Adaptive Card among the attachments of an activity."""

_MOST_NAMES = 1000
_MOST_ERRORS = 1000

_Value = TypeVar("_Value")
_Model = TypeVar("_Model", bound="WireModel")

_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# The grammar of RFC 3339, section 5.6.
_TIME = re.compile(
    r"(?P<to_minute>\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):[0-5]\d):(?P<second>[0-5]\d|60)"
    r"(?P<rest>(?:\.\d+)?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d))",
    re.ASCII | re.IGNORECASE,
)


def canonical_id(user_id: str) -> str:
    """Return an id as it is compared: one of Microsoft Entra is a GUID, in whatever case."""
    return user_id.lower() if _GUID.fullmatch(user_id) else user_id


def canonical_channel_id(channel_id: str) -> str:
    """Return a channel's id as it is compared: in lower case, and without a part of the channel.

    Microsoft's Agents SDK writes ``msteams:Copilot`` for what Teams carries.
    """
    return channel_id.partition(":")[0].lower()


def read_time(text: str) -> datetime:
    """Return the time that is written as RFC 3339 has it; raise ValueError for anything else.

    A leap second is the second after it. Years before 1970 are defaults of somebody's code, and
    storage takes no year 1. Years from 9000 on leave no room for adding to them.
    """
    written = _TIME.fullmatch(text)
    if written is None or not 1970 <= int(text[:4]) < 9000:
        raise ValueError("not a time")
    if written["second"] != "60":
        return datetime.fromisoformat(text.upper())
    minute = datetime.fromisoformat(f"{written['to_minute']}:59{written['rest']}".upper())
    second_after = minute.replace(microsecond=0) + timedelta(seconds=1)
    in_utc = second_after.astimezone(UTC)
    # There are leap seconds at the end of a month only.
    if (in_utc.day, in_utc.hour, in_utc.minute) != (1, 0, 0):
        raise ValueError("not a leap second")
    return second_after


def _read_time(value: object) -> datetime:
    # A number may be seconds or milliseconds, so it is no time.
    try:
        return value if isinstance(value, datetime) else read_time(str(value))
    except ValueError:
        raise ValueError("must be a time such as 2026-01-31T08:00:00Z") from None


def _has_few_names(value: _Value) -> _Value:
    if isinstance(value, Mapping) and len(value) > _MOST_NAMES:
        raise ValueError(f"has more than {_MOST_NAMES} names")
    return value


Identifier = Annotated[str, Field(min_length=1, max_length=1024)]
# A tenant or a person in Microsoft Entra.
EntraId = Annotated[Identifier, AfterValidator(canonical_id)]
ChannelId = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}(:[\s\S]*)?$"), AfterValidator(canonical_channel_id)
]
# No limits here: what is wrong with a service URL is for the rule of trust to say.
ServiceUrl = str
Name = Annotated[str, Field(max_length=1024)]
Timestamp = Annotated[AwareDatetime, BeforeValidator(_read_time)]
Locale = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]
# Each error takes far more than the few bytes that cause it, and so does each empty activity. So a
# list is read up to its first wrong member, and an object of activities only if it has few names.
ListOf = Annotated[list[_Value], Field(fail_fast=True)]
FEW_NAMES = BeforeValidator(_has_few_names)


class WireModel(BaseModel):
    """A JSON object: camelCase outside, no conversions (the text "no" is not a false).

    What reads and writes it is built when it is first used, as most are used by few functions.
    """

    model_config = ConfigDict(
        alias_generator=to_camel, strict=True, frozen=True, extra="forbid", defer_build=True
    )

    def to_json(self) -> dict[str, Any]:
        """Return the object as it came in, and as it goes out."""
        # Not in pydantic's JSON mode, which takes no half of a surrogate pair as a name.
        return self.model_dump(by_alias=True, exclude_unset=True)


class OpenModel(WireModel):
    """A JSON object of which we know only a part; the rest is kept untouched."""

    model_config = ConfigDict(extra="allow")


class ChannelAccount(OpenModel):
    """A user or a bot on a channel."""

    id: Identifier
    name: Name | None = None


class ConversationAccount(OpenModel):
    """A conversation on a channel."""

    id: Identifier
    conversation_type: Name | None = None
    is_group: bool | None = None
    tenant_id: EntraId | None = None


class ActivityRecipient(OpenModel):
    """Who an activity is addressed to; of a group, nobody else sees it where ``is_targeted``."""

    id: str | None = None
    is_targeted: bool | None = None

    @model_validator(mode="after")
    def _target_is_named(self) -> Self:
        if self.is_targeted and not self.id:
            raise ValueError("needs the id of the one member who is to see this")
        return self


class Activity(OpenModel):
    """What is sent into a conversation: a message, typing, an event."""

    type: Identifier = "message"
    text: str | None = None
    locale: str | None = None
    speak: str | None = None
    summary: str | None = None
    text_format: str | None = None
    attachment_layout: str | None = None
    attachments: ListOf[dict[str, Any]] | None = None
    entities: ListOf[dict[str, Any]] | None = None
    suggested_actions: dict[str, Any] | None = None
    from_: Annotated[ChannelAccount | None, Field(alias="from")] = None
    recipient: ActivityRecipient | None = None
    conversation: dict[str, Any] | None = None
    channel_data: Any = None
    value: Any = None

    @property
    def is_targeted(self) -> bool:
        """Whether one member of a group is to see it, and nobody else."""
        return bool(self.recipient and self.recipient.is_targeted)

    @model_validator(mode="before")
    @classmethod
    def _locale_is_known(cls, value: Any) -> Any:
        return with_known_locale(value) if isinstance(value, Mapping) else value

    @model_validator(mode="after")
    def _message_says_something(self) -> Self:
        content = (
            self.text,
            self.speak,
            self.attachments,
            self.suggested_actions,
            self.channel_data,
            self.value,
        )
        if self.type == "message" and all(part is None for part in content):
            raise ValueError("a message needs text, attachments or channelData")
        return self


class Recipient(WireModel):
    """A person on a channel."""

    channel_id: ChannelId
    user_id: Identifier


def parse(model: type[_Model], value: Mapping[str, Any], *, within: str = "") -> _Model:
    """Return ``value`` as the model; raise InvalidRequestError naming each field that is wrong.

    ``within`` is the path of ``value`` in the whole request, for the names in the errors.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise InvalidRequestError(*_field_errors(error, within)) from None


def _field_errors(error: ValidationError, within: str) -> Iterator[FieldError]:
    count = error.error_count()
    if count > _MOST_ERRORS:
        # Only as a number they take little room.
        yield FieldError(path_of(within, ()), f"has {count} errors")
        return
    for each in error.errors(include_url=False, include_input=False, include_context=False):
        yield FieldError(path_of(within, each["loc"]), _sentence(each["msg"]))


# What pydantic puts behind a name in an object that is wrong itself.
_A_NAME_ITSELF = "[key]"


def path_of(within: str, location: tuple[int | str, ...]) -> str:
    """Return the path of a field, as errors name it, by what leads to it from ``within``."""
    path = within
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part != _A_NAME_ITSELF:
            path += f".{part}" if path else part
    return path or "(body)"


def _sentence(message: str) -> str:
    return message.removeprefix("Value error, ").replace("Input should", "should")
