"""Who is a person, and what moves a person's address: rules that only look at what was told.

A person's address is where messages for them go: a service URL, a tenant, the bot's account there,
and their one-to-one conversation. What moves it is a personal conversation with the bot alone.
Groups, channels, meetings and Copilot fill in only what is not known yet: a shared channel has the
service URL and the tenant of its owner, and a conversation in Copilot takes no proactive message.

A person is not the conversation itself, nor a group, an anonymous guest of a meeting, or a bot.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from shared.accounts.account import Account
from shared.wire_models import ChannelAccount, ConversationAccount, canonical_id

# A thread of several people on Teams and Skype. That of a meeting comes without a type:
# https://github.com/microsoft/BotFramework-Services/issues/344
_THREAD = "19:"
_MEETING = "19:meeting_"
# Who has no id of their own there speaks as the conversation. On Telegram, and in text messages, a
# person's id is the conversation's: https://github.com/microsoft/botframework-sdk/issues/4186
_SPEAK_AS_CONVERSATION = ("directline", "webchat")
_BOTS_AND_GROUPS = {
    "msteams": ("28:", _THREAD),
    "skype": ("28:", _THREAD),
    "slack": ("B",),
    "telegram": ("-",),
}
_NO_PEOPLE = {"anonymous", "bot", "skill", "agenticappinstance", "agenticuser"}


@dataclass(frozen=True)
class Address:
    """Where something was told of a person, but for the conversation."""

    service_url: str
    tenant_id: str | None
    bot: ChannelAccount


def is_personal(conversation: ConversationAccount, *, product: str | None = None) -> bool:
    """Tell whether a conversation is a person's with the bot alone, and takes messages.

    ``product`` is what carries the conversation where it is not the channel itself: Copilot.
    """
    kind = (conversation.conversation_type or "").lower()
    if product or conversation.is_group or kind not in ("", "personal"):
        return False
    return not conversation.id.startswith(_MEETING if kind else _THREAD)


def is_person(
    told: Mapping[str, Any],
    channel_id: str,
    conversation: ConversationAccount | None = None,
    *,
    bot_id: str | None = None,
) -> bool:
    """Tell whether a ChannelAccount, as it stands in JSON, is somebody a bot can write to.

    ``conversation`` is where they were met, ``bot_id`` the bot's own id there.
    """
    user_id = str(told.get("id", ""))
    if _NO_PEOPLE & set(_roles(told)) or user_id.startswith(_BOTS_AND_GROUPS.get(channel_id, ())):
        return False
    if bot_id is not None and is_same_bot(user_id, bot_id):
        return False
    if conversation is None or user_id != conversation.id:
        return True
    return channel_id not in _SPEAK_AS_CONVERSATION and is_personal(conversation)


def is_same_bot(one_id: str, other_id: str) -> bool:
    """Tell whether these are ids of one bot, which Teams writes with a prefix or without it."""
    one, other = (canonical_id(each.removeprefix("28:")) for each in (one_id, other_id))
    return one == other


def moved(account: Account, address: Address) -> Account:
    """Return the account as a personal conversation tells it."""
    return replace(
        account,
        service_url=address.service_url,
        tenant_id=address.tenant_id or account.tenant_id,
        bot=address.bot,
    )


def filled_in(account: Account, address: Address) -> Account:
    """Return the account with what was not known of its address."""
    return replace(
        account,
        service_url=account.service_url or address.service_url,
        tenant_id=account.tenant_id or address.tenant_id,
        bot=account.bot or address.bot,
    )


def _roles(told: Mapping[str, Any]) -> Iterator[str]:
    properties = told.get("properties")
    for place in (told, properties if isinstance(properties, Mapping) else {}):
        yield from (str(place.get(name, "")).lower() for name in ("role", "userRole"))
