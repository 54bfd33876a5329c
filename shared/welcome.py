"""Whether a person wants a message, and can be reached at all."""

from shared.accounts import Account
from shared.errors import SuppressedError
from shared.services import Services


def require_welcome(
    channel_id: str,
    user_id: str,
    account: Account | None,
    services: Services,
    topic: str | None = None,
) -> None:
    """Raise SuppressedError for who said stop, muted the topic, blocked or uninstalled the bot.

    ``account`` is what is cached of the person; of who was forgotten, only their stop is known.
    """
    if account is None:
        if services.opt_outs.include(channel_id, user_id):
            raise SuppressedError("The person wanted no alerts, and to be forgotten")
        return
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
