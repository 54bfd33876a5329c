"""Whether a person wants a message, and can be reached at all."""

from shared.accounts import Account
from shared.errors import SuppressedError


def require_welcome(account: Account, topic: str | None = None) -> None:
    """Raise SuppressedError for who said stop, muted the topic, blocked or uninstalled the bot."""
    preferences = account.preferences
    if preferences.get("muted"):
        raise SuppressedError("The person wants no alerts")
    muted_topics = preferences.get("mutedTopics") or ()
    if topic is not None and topic.casefold() in {each.casefold() for each in muted_topics}:
        raise SuppressedError("The person wants no alerts on this topic")
    if account.blocked:
        raise SuppressedError("The person has blocked the bot")
    if account.installed is False:
        raise SuppressedError("The person has uninstalled the bot")
