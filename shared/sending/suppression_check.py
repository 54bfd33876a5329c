"""Whether a single message goes out: stopped, muted and unreachable people get none."""

from datetime import UTC, datetime

from shared.accounts.suppression import is_probe_due, opt_out_reason, unreachable_reason
from shared.errors import SuppressedError
from shared.messages.queued_message import QueuedMessage
from shared.sending.recipient import FoundRecipient
from shared.wiring import Services


def require_wanted(
    recipient: FoundRecipient,
    topic: str | None,
    services: Services,
    message: QueuedMessage | None,
) -> bool:
    """Raise SuppressedError for a person who said stop, muted the topic or cannot be reached.

    Returns whether the call is to be a probe: of a queue's messages to a person out of reach, one
    is let through now and then, and stays a probe when it comes back. The bot's reply to what a
    person just wrote is wanted, unless they have uninstalled the bot since. Of a person without an
    account, only a stop is known.
    """
    if recipient.user_id is None:
        return False
    account = recipient.account
    if message is not None and message.envelope.is_reply:
        if account is not None and account.installed is False:
            raise SuppressedError(unreachable_reason(account))
        return False
    if account is None:
        if services.opt_outs.find(recipient.channel_id, recipient.user_id) is not None:
            raise SuppressedError("The person wants no alerts")
        return False
    opt_out = opt_out_reason(account, topic)
    if opt_out is not None:
        raise SuppressedError(opt_out)
    if not account.is_out_of_reach:
        return False
    is_probe = message is not None and (
        message.envelope.is_probe or is_probe_due(account, datetime.now(UTC))
    )
    if not is_probe:
        raise SuppressedError(unreachable_reason(account))
    return True
