"""What the Connector posts: an activity, of which we read who, where, when and in what language."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from shared.wire_models import (
    ChannelAccount,
    ChannelId,
    ConversationAccount,
    Identifier,
    Name,
    OpenModel,
    ServiceUrl,
    parse,
)

_LOCALE = re.compile(r"[A-Za-z0-9-]{1,64}")
# A time before that is a default that was never filled in.
_FIRST_YEAR = 1970
_MENTION = re.compile(r"<at[^>]*>.*?</at>", re.DOTALL)


_Known = TypeVar("_Known")


def _known_or_none(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    try:
        return read(value)
    except ValidationError:
        return None


# The activity comes from the Connector, so a field that is odd is dropped, not refused.
Lenient = Annotated[_Known | None, WrapValidator(_known_or_none)]


class Participant(OpenModel):
    """A user or a bot in an activity."""

    id: Identifier
    name: Lenient[Name] = None
    aad_object_id: Lenient[Identifier] = None
    role: Lenient[str] = None


class InboundConversation(ConversationAccount):
    """The conversation that an activity belongs to."""

    conversation_type: Lenient[Name] = None
    is_group: Lenient[bool] = None
    tenant_id: Lenient[Identifier] = None


class InboundActivity(OpenModel):
    """An activity from the Connector; Activity Protocol specification, sections 2 and 4."""

    type: Identifier
    id: Lenient[str] = None
    channel_id: ChannelId
    service_url: ServiceUrl
    conversation: Lenient[InboundConversation] = None
    from_: Annotated[Lenient[Participant], Field(alias="from")] = None
    recipient: Lenient[ChannelAccount] = None
    text: Lenient[str] = None
    action: Lenient[str] = None
    timestamp: Lenient[str] = None
    locale: Lenient[str] = None
    local_timezone: Lenient[Name] = None
    members_added: Lenient[list[Participant]] = None
    members_removed: Lenient[list[Participant]] = None
    entities: Lenient[list[dict[str, Any]]] = None
    channel_data: Any = None

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> "InboundActivity":
        """Return the activity in ``body``; raise InvalidRequestError naming what is wrong."""
        return parse(cls, body)

    def observed_at(self, now: datetime) -> datetime:
        """Return the time of its timestamp, never later than now."""
        try:
            sent_at = datetime.fromisoformat(self.timestamp or "")
        except ValueError:
            return now
        if sent_at.year < _FIRST_YEAR:
            return now
        return min(sent_at if sent_at.tzinfo else sent_at.replace(tzinfo=UTC), now)

    @property
    def tenant_id(self) -> str | None:
        """The tenant, where the channel has tenants: Teams puts it in two places."""
        data = self.channel_data
        tenant = data.get("tenant") if isinstance(data, Mapping) else None
        tenant_id = tenant.get("id") if isinstance(tenant, Mapping) else None
        if isinstance(tenant_id, str) and tenant_id:
            return tenant_id
        return self.conversation.tenant_id if self.conversation else None

    @property
    def language(self) -> str | None:
        """The person's language, from the activity or from Teams' ``clientInfo`` entity."""
        for locale in (self.locale, self._client_info.get("locale")):
            if isinstance(locale, str) and _LOCALE.fullmatch(locale):
                return locale
        return None

    @property
    def time_zone(self) -> str | None:
        """The person's time zone, from the activity or from Teams' ``clientInfo`` entity."""
        zone = self.local_timezone or self._client_info.get("timezone")
        return zone if isinstance(zone, str) and zone else None

    @property
    def text_without_mention(self) -> str:
        """What the person wrote, without the mention that calls the bot in a group."""
        return _MENTION.sub("", self.text or "").strip()

    def is_bot(self, participant: Participant) -> bool:
        """Whether the participant is the bot itself, which the activity is addressed to."""
        return participant.role == "bot" or (
            self.recipient is not None and participant.id == self.recipient.id
        )

    @property
    def _client_info(self) -> Mapping[str, Any]:
        for entity in self.entities or ():
            if entity.get("type") == "clientInfo":
                return entity
        return {}
