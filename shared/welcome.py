"""Whether a person wants a message, and can be reached at all."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from shared.accounts import Account, StoredAccount
from shared.errors import SuppressedError
from shared.queues import QueuedMessage
from shared.services import Services


def require_welcome(
    channel_id: str,
    user_id: str,
    account: Account | None,
    services: Services,
    *,
    topic: str | None = None,
    message: QueuedMessage | None = None,
) -> None:
    """Raise SuppressedError for who said stop, muted the topic, blocked or uninstalled the bot.

    ``account`` is what is cached of the person; of who was forgotten, only their stop is known. Of
    a queue's messages to who is out of reach, one is let through now and then, as a probe.
    """
    if account is None:
        if services.opt_outs.include(channel_id, user_id):
            raise SuppressedError("The person wanted no alerts, and to be forgotten")
        return
    wish = wish_against(account, topic)
    if wish is not None:
        raise SuppressedError(wish)
    if not account.is_out_of_reach:
        return
    if message is not None and (message.flow.is_probe or _takes_probe(account, services)):
        message.flow = message.flow.model_copy(update={"is_probe": True})
        return
    raise SuppressedError(hindrance(account))


def reason_against(account: Account, topic: str | None) -> str | None:
    """Return in a sentence why a person gets no message on this topic.

    None: they may get it, if only to see whether they can be reached again.
    """
    wish = wish_against(account, topic)
    if wish is None and account.is_out_of_reach and not _is_probe_due(account, datetime.now(UTC)):
        return hindrance(account)
    return wish


def wish_against(account: Account, topic: str | None) -> str | None:
    """Return in a sentence why a person wants no message on this topic; None: they may get it."""
    preferences = account.preferences
    if preferences.get("muted"):
        return "The person wants no alerts"
    muted_topics = preferences.get("mutedTopics") or ()
    if topic is not None and topic.casefold() in {each.casefold() for each in muted_topics}:
        return "The person wants no alerts on this topic"
    return None


def hindrance(account: Account) -> str:
    """Return in a sentence why a person cannot be reached."""
    if account.blocked:
        return "The person has blocked the bot"
    return "The person has not installed the bot, or not any more"


def _takes_probe(account: Account, services: Services) -> bool:
    """Tell whether a message is let through to see whether the person can be reached again."""
    now = datetime.now(UTC)
    if not _is_probe_due(account, now):
        return False
    is_mine = False

    def probed(stored: StoredAccount | None) -> Account:
        nonlocal is_mine
        current = stored.account if stored else account
        is_mine = _is_probe_due(current, now)
        if not is_mine:
            return current
        days = services.settings.blocked_probe_days
        return replace(current, probe_at=now + timedelta(days=days))

    services.accounts.change(account.channel_id, account.user_id, probed)
    return is_mine


def _is_probe_due(account: Account, now: datetime) -> bool:
    return account.probe_at is not None and account.probe_at <= now
