"""The Bot Framework's objects as they stand in JSON, and the rule by which requests are read.

Names and meanings: the Activity Protocol specification and the Connector's swagger. Only what is
looked at is typed; whatever else an object holds is kept, and goes out as it came in.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
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


def _read_time(value: object) -> datetime:
    """Return a time that is text: a number may be seconds or milliseconds, so it is none.

    Years before 1970 are defaults of somebody's code, and storage takes no year 1. Years from 9000
    on leave no room for adding to them.
    """
    time = None
    if isinstance(value, datetime):
        time = value
    elif isinstance(value, str):
        with suppress(ValueError):
            time = datetime.fromisoformat(value)
    if time is None or not 1970 <= time.year < 9000:
        raise ValueError("must be a time such as 2026-01-31T08:00:00Z")
    return time


Identifier = Annotated[str, Field(min_length=1, max_length=1024)]
ChannelId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
# No limits here: what is wrong with a service URL is for the rule of trust to say.
ServiceUrl = str
Name = Annotated[str, Field(max_length=1024)]
Timestamp = Annotated[AwareDatetime, BeforeValidator(_read_time)]
Locale = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]

_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

_Model = TypeVar("_Model", bound="WireModel")


def canonical_id(user_id: str) -> str:
    """Return a user's id as it is compared: an Entra object id is a GUID, in whatever case."""
    return user_id.lower() if _GUID.fullmatch(user_id) else user_id


class WireModel(BaseModel):
    """A JSON object: camelCase outside, no conversions (the text "no" is not a false)."""

    model_config = ConfigDict(alias_generator=to_camel, strict=True, frozen=True, extra="forbid")

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
    tenant_id: Identifier | None = None

    @property
    def is_one_to_one(self) -> bool:
        """Whether it is between a person and the bot alone."""
        return not self.is_group and self.conversation_type in (None, "personal")


class Activity(OpenModel):
    """What is sent into a conversation: a message, typing, an event."""

    type: Identifier = "message"
    text: str | None = None
    locale: Locale | None = None
    speak: str | None = None
    summary: str | None = None
    text_format: str | None = None
    attachment_layout: str | None = None
    attachments: list[dict[str, Any]] | None = None
    entities: list[dict[str, Any]] | None = None
    suggested_actions: dict[str, Any] | None = None
    from_: Annotated[ChannelAccount | None, Field(alias="from")] = None
    conversation: dict[str, Any] | None = None

    channel_data: Any = None
    value: Any = None

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
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        raise InvalidRequestError(
            *(FieldError(_path(within, each["loc"]), _sentence(each["msg"])) for each in problems)
        ) from None


def _path(within: str, location: tuple[int | str, ...]) -> str:
    path = within
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path or "(body)"


def _sentence(message: str) -> str:
    return message.removeprefix("Value error, ").replace("Input should", "should")
