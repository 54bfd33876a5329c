"""Who gets no message, and why: a rule that only looks at the account."""

from datetime import UTC, datetime

from shared.accounts.account import Account
from shared.accounts.topics import have_topic_in_common


def suppression_reason(account: Account, topic: str | None) -> str | None:
    """Return in a sentence why a person gets no message on this topic; None when they get it.

    It may be a probe, to see whether they can be reached again.
    """
    reason = opt_out_reason(account, topic)
    if reason is None and account.is_out_of_reach and not is_probe_due(account, datetime.now(UTC)):
        return unreachable_reason(account)
    return reason


def opt_out_reason(account: Account, topic: str | None) -> str | None:
    """Return in a sentence why a person wants no message on this topic; None when they do."""
    preferences = account.preferences
    if preferences.get("muted"):
        return "The person wants no alerts"
    muted_topics = preferences.get("mutedTopics") or ()
    if topic is not None and have_topic_in_common([topic], muted_topics):
        return "The person wants no alerts on this topic"
    return None


def unreachable_reason(account: Account) -> str:
    """Return in a sentence why a person cannot be reached."""
    if account.blocked:
        return "The person has blocked the bot"
    return "The person has not installed the bot, or not any more"


def is_probe_due(account: Account, now: datetime) -> bool:
    """Tell whether one message may go out to see whether the person can be reached again."""
    return account.probe_at is not None and account.probe_at <= now
