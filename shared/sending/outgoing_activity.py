"""Activities as they go out: whole, with what every channel needs beside what the caller gave."""

from typing import Any

from shared import json_text
from shared.accounts.account import Account
from shared.accounts.conversations import Conversation
from shared.alerts.alert import Alert
from shared.wire_models import Activity
from shared.wiring import Services


def outgoing(activity: Activity, conversation: Conversation) -> dict[str, Any]:
    """Return the activity as the Connector gets it, for this conversation.

    Beside the caller's fields it has ``type``, ``conversation`` and, where the bot's account is
    known, ``from``: Activity Protocol A2010, A2080 and A2061.
    """
    sent = {"type": activity.type, **activity.to_json()}
    if activity.from_ is None and conversation.bot is not None:
        sent["from"] = conversation.bot.to_json()
    sent["conversation"] = {**(activity.conversation or {}), "id": conversation.id}
    return sent


def alert_activity(alert: Alert, account: Account | None, services: Services) -> Activity:
    """Return what an alert says to a person, in their language."""
    return services.alerts.content(alert).activity(
        topic=alert.topic,
        name=account.name if account else None,
        locale=account.locale if account else None,
        default_locale=services.settings.default_locale,
    )


def require_size(activity: Activity, most_bytes: int, *, field: str = "") -> None:
    """Raise RequestTooLargeError, naming the part below ``field``, for what the channel refuses.

    ``most_bytes`` are of UTF-16, as channels measure.
    """
    json_text.require_size(activity.to_json(), most_bytes, field=field)
