"""Whether a person wants a message, and can be reached at all."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from shared.accounts.account import Account
from shared.accounts.store import StoredAccount
from shared.accounts.suppression import is_probe_due, opt_out_reason, unreachable_reason
from shared.errors import SuppressedError
from shared.messages.envelope import QueuedMessage
from shared.wiring import Services


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
        if services.erased_opt_outs.include(channel_id, user_id):
            raise SuppressedError("The person wanted no alerts, and to be forgotten")
        return
    opt_out = opt_out_reason(account, topic)
    if opt_out is not None:
        raise SuppressedError(opt_out)
    if not account.is_out_of_reach:
        return
    if message is not None and (message.envelope.is_probe or _takes_probe(account, services)):
        message.envelope = message.envelope.model_copy(update={"is_probe": True})
        return
    raise SuppressedError(unreachable_reason(account))


def _takes_probe(account: Account, services: Services) -> bool:
    """Tell whether a message is let through to see whether the person can be reached again."""
    now = datetime.now(UTC)
    if not is_probe_due(account, now):
        return False
    is_mine = False

    def probed(stored: StoredAccount | None) -> Account:
        nonlocal is_mine
        current = stored.account if stored else account
        is_mine = is_probe_due(current, now)
        if not is_mine:
            return current
        days = services.settings.blocked_probe_days
        return replace(current, probe_at=now + timedelta(days=days))

    services.accounts.change(account.channel_id, account.user_id, probed)
    return is_mine
