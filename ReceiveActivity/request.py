"""What the Connector posts: an activity, of which we read who, where, when and in what language."""

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any, TypeVar

from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from shared.accounts.address import is_person, is_personal, is_same_bot
from shared.connector.channel_features import TEAMS
from shared.languages import known_locale
from shared.wire_models import (
    ChannelAccount,
    ChannelId,
    ConversationAccount,
    EntraId,
    Identifier,
    ListOf,
    Name,
    OpenModel,
    ServiceUrl,
    canonical_id,
    parse,
    read_time,
)

_Known = TypeVar("_Known")


def _known_or_none(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    try:
        return read(value)
    except ValidationError:
        return None


def _object_in(value: Any) -> Any:
    """Return the object that is written as a text, as some clients send it; else the value."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        with suppress(ValueError, RecursionError):
            return json.loads(value)
    return value


# How channels say in channelData that a button was clicked: Web Chat, Slack, Telegram, Facebook.
_BUTTONS = {"postBack", "Payload", "payload", "callback_query", "postback"}

# The activity comes from the Connector, so a field that is odd is dropped, not refused.
Lenient = Annotated[_Known | None, WrapValidator(_known_or_none)]


class Participant(OpenModel):
    """A user or a bot in an activity."""

    id: Identifier
    name: Lenient[Name] = None
    aad_object_id: Lenient[EntraId] = None


class InboundConversation(ConversationAccount):
    """The conversation that an activity belongs to."""

    conversation_type: Lenient[Name] = None
    is_group: Lenient[bool] = None
    tenant_id: Lenient[EntraId] = None


class InboundActivity(OpenModel):
    """An activity from the Connector; Activity Protocol specification, sections 2 and 4."""

    type: Identifier
    id: Lenient[str] = None
    channel_id_as_told: Annotated[Lenient[str], Field(alias="channelId")] = None
    channel_id: ChannelId
    service_url: ServiceUrl
    conversation: Lenient[InboundConversation] = None
    from_: Annotated[Lenient[Participant], Field(alias="from")] = None
    recipient: Lenient[ChannelAccount] = None
    text: Lenient[str] = None
    name: Lenient[str] = None
    action: Lenient[str] = None
    timestamp: Lenient[str] = None
    locale: Lenient[str] = None
    local_timezone: Lenient[Name] = None
    members_added: Lenient[ListOf[Participant]] = None
    members_removed: Lenient[ListOf[Participant]] = None
    entities: Lenient[ListOf[dict[str, Any]]] = None
    attachments: Lenient[ListOf[dict[str, Any]]] = None
    value: Annotated[Any, BeforeValidator(_object_in)] = None
    channel_data: Any = None

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> "InboundActivity":
        """Return the activity in ``body``; raise InvalidRequestError naming what is wrong."""
        return parse(cls, body)

    def observed_at(self, now: datetime) -> datetime:
        """Return the time of its timestamp, never later than now."""
        # Some clients leave the zone out.
        for zone in ("", "Z"):
            with suppress(ValueError):
                return min(read_time(f"{self.timestamp}{zone}"), now)
        return now

    @property
    def tenant_id(self) -> str | None:
        """The tenant: Teams puts it in two places. On other channels the client may write both."""
        if self.channel_id != TEAMS:
            return None
        data = self.channel_data
        tenant = data.get("tenant") if isinstance(data, Mapping) else None
        tenant_id = tenant.get("id") if isinstance(tenant, Mapping) else None
        if isinstance(tenant_id, str) and tenant_id:
            return canonical_id(tenant_id)
        return self.conversation.tenant_id if self.conversation else None

    def object_id(self, participant: Participant) -> str | None:
        """Return a participant's Entra object id, where the client cannot make one up."""
        return participant.aad_object_id if self.channel_id == TEAMS else None

    @property
    def language(self) -> str | None:
        """The person's language, from the activity or from Teams' ``clientInfo`` entity."""
        told = (self.locale, self._client_info.get("locale"))
        locales = (known_locale(locale) for locale in told if isinstance(locale, str) and locale)
        return next(filter(None, locales), None)

    def languages(self, default_locale: str) -> list[str]:
        """Return the languages in which the person is answered, the best first."""
        return [*filter(None, (self.language,)), default_locale]

    @property
    def time_zone(self) -> str | None:
        """The person's time zone, from the activity or from Teams' ``clientInfo`` entity."""
        zone = self.local_timezone or self._client_info.get("timezone")
        return zone if isinstance(zone, str) and zone else None

    @property
    def product(self) -> str | None:
        """What carries the conversation where it is not the channel itself: Copilot, on Teams.

        Teams says so in ``channelData`` and in an entity, Microsoft's Agents SDK in the channel's
        id: ``msteams:Copilot``.
        """
        data = self.channel_data
        product = data.get("productContext") if isinstance(data, Mapping) else None
        part = (self.channel_id_as_told or "").partition(":")[2]
        return str(product or self._entity("ProductInfo").get("id") or part) or None

    @property
    def is_personal(self) -> bool:
        """Whether it belongs to a person's conversation with the bot alone."""
        return self.conversation is not None and is_personal(
            self.conversation, product=self.product
        )

    @property
    def is_click(self) -> bool:
        """Whether it tells of a button that was clicked; its text is not the person's own then."""
        data = self.channel_data if isinstance(self.channel_data, Mapping) else {}
        return bool(self.value) or not _BUTTONS.isdisjoint(data)

    @property
    def is_refresh(self) -> bool:
        """Whether the client asks for the card by itself, so that nobody has clicked."""
        trigger = self.value.get("trigger") if isinstance(self.value, Mapping) else None
        return self.type == "invoke" and trigger == "automatic"

    @property
    def button_data(self) -> Mapping[str, Any]:
        """The data of the button that was clicked, with the inputs of its card."""
        action = self.value.get("action") if isinstance(self.value, Mapping) else None
        data = action.get("data") if isinstance(action, Mapping) else self.value
        return data if isinstance(data, Mapping) else {}

    @property
    def has_files(self) -> bool:
        """Whether something is attached; Teams attaches each text once more, as HTML."""
        return any(each.get("contentType") != "text/html" for each in self.attachments or ())

    @property
    def is_upgrade(self) -> bool:
        """Whether it tells of a new version of the app where the bot was installed before."""
        return self.type == "installationUpdate" and self.action in ("upgrade", "add-upgrade")

    def is_person(self, participant: Participant) -> bool:
        """Whether the participant is somebody that the bot can write to."""
        bot_id = self.recipient.id if self.recipient else None
        told = participant.to_json()
        return is_person(told, self.channel_id, self.conversation, bot_id=bot_id)

    def is_bot(self, participant: Participant) -> bool:
        """Whether the participant is the bot itself, which the activity is addressed to."""
        return self.recipient is not None and is_same_bot(participant.id, self.recipient.id)

    @property
    def _client_info(self) -> Mapping[str, Any]:
        return self._entity("clientInfo")

    def _entity(self, type_: str) -> Mapping[str, Any]:
        return next((each for each in self.entities or () if each.get("type") == type_), {})
