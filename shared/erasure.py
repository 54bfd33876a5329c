"""Forgetting a person: the account, its pointer, and every conversation that leads to them."""

from shared.services import Services


def erase(channel_id: str, user_id: str, services: Services) -> None:
    """Erase all that is held of a person, by either of their ids; nothing if nothing is."""
    stored = services.accounts.get(channel_id, user_id)
    if stored is not None:
        for conversation_id in stored.account.conversation_ids:
            services.conversations.delete(conversation_id, channel_id)
    services.accounts.delete(channel_id, user_id)
