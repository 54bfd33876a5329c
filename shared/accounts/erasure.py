"""Erasing a person: the account, its pointer, and every conversation that leads to them."""

from shared.accounts.conversations import ConversationStore
from shared.accounts.store import AccountStore


def erase(
    channel_id: str, user_id: str, accounts: AccountStore, conversations: ConversationStore
) -> None:
    """Erase all that is stored of a person, by either of their ids."""
    stored = accounts.get(channel_id, user_id)
    if stored is not None:
        for conversation_id in stored.account.conversation_ids:
            conversations.delete(conversation_id, channel_id)
    accounts.delete(channel_id, user_id)
