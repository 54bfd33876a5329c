"""Where an activity goes: a conversation, and the person it is with, where it is with one."""

from dataclasses import dataclass
from typing import Any

from shared.accounts.account import Account
from shared.accounts.conversations import Conversation
from shared.connector.channel_features import require_targeting_supported
from shared.deliveries.delivery import Destination
from shared.errors import (
    AmbiguousConversationError,
    ConversationNotStartedError,
    UnknownConversationError,
)
from shared.wiring import Services

# In a send, an account, a conversation reference and a start.
_USER_IDS_AT: tuple[tuple[str | int, ...], ...] = (
    ("recipient", "userId"),
    ("userId",),
    ("user", "id"),
    ("members", 0, "id"),
)


@dataclass(frozen=True)
class FoundRecipient:
    """A conversation, and the person it is with, where it is with one.

    ``found_conversation`` is None when there is none with the person yet, ``account`` when nothing
    is cached of them.
    """

    channel_id: str
    user_id: str | None
    account: Account | None
    found_conversation: Conversation | None

    @property
    def conversation(self) -> Conversation:
        """The conversation; raises ConversationNotStartedError where there is none yet."""
        if self.found_conversation is None:
            raise ConversationNotStartedError("The bot has no conversation with this recipient yet")
        return self.found_conversation

    def require_targeting(self) -> None:
        """Raise TargetedActivityNotSupportedError where nothing can be for one member alone."""
        require_targeting_supported(self.channel_id, is_one_to_one=self.user_id is not None)

    @property
    def destination(self) -> Destination:
        """What a call to there is paced by, and recorded with."""
        conversation = self.found_conversation
        return Destination(
            channel_id=self.channel_id,
            service_url=conversation.service_url if conversation else "",
            tenant_id=conversation.tenant_id if conversation else None,
            conversation_id=conversation.id if conversation else None,
            user_id=self.user_id,
            key=self.account.key if self.account else None,
        )


def find_conversation(
    conversation_id: str, channel_id: str | None, services: Services
) -> FoundRecipient:
    """Return a conversation as it is cached, and the account of the person it is with.

    Raises UnknownConversationError, and AmbiguousConversationError where two channels have it.
    """
    found = services.conversations.find(conversation_id, channel_id)
    user_id = found.user_id
    stored = services.accounts.get(found.channel_id, user_id) if user_id else None
    return FoundRecipient(found.channel_id, user_id, stored.account if stored else None, found)


def find_person(channel_id: str, user_id: str, services: Services) -> FoundRecipient:
    """Return a person, in the conversation that they have with the bot now, if they have one."""
    stored = services.accounts.get(channel_id, user_id)
    if stored is None:
        return FoundRecipient(channel_id, user_id, None, None)
    return recipient_of(stored.account, services, user_id=user_id)


def recipient_of(
    account: Account,
    services: Services,
    *,
    user_id: str | None = None,
    conversation_id: str | None = None,
) -> FoundRecipient:
    """Return the person of an account, in the conversation that the account has with the bot.

    ``conversation_id`` names one that they had; ``user_id`` is the id that they were asked for by.
    """
    conversation_id = conversation_id or account.conversation_id
    conversation = None
    if conversation_id is not None:
        conversation = Conversation(
            id=conversation_id,
            channel_id=account.channel_id,
            service_url=account.service_url or services.settings.service_url(account.channel_id),
            bot=account.bot,
            tenant_id=account.tenant_id,
            user_id=account.user_id,
        )
    return FoundRecipient(account.channel_id, user_id or account.user_id, account, conversation)


def find_named(body: object, services: Services) -> FoundRecipient | None:
    """Return whom a message is for that cannot be read as a whole; None where that is not clear."""
    channel_id = _text_at(body, "recipient", "channelId") or _text_at(body, "channelId")
    conversation_id = _text_at(body, "conversationId")
    for path in _USER_IDS_AT:
        user_id = _text_at(body, *path)
        if user_id is not None:
            return find_person(
                channel_id or services.settings.default_channel_id, user_id, services
            )
    if conversation_id is None:
        return None
    try:
        return find_conversation(conversation_id, channel_id, services)
    except (UnknownConversationError, AmbiguousConversationError):
        return None


def _text_at(value: Any, *path: str | int) -> str | None:
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value if isinstance(value, str) else None
