"""Activities as they go out: whole, with what every channel needs beside what the caller gave."""

import re
from functools import cache
from typing import Any

from shared import json_text
from shared.accounts.conversations import Conversation
from shared.alerts.alert import Alert
from shared.alerts.buttons import Shown, with_buttons
from shared.connector.channel_features import channel
from shared.sending.recipient import FoundRecipient
from shared.settings import Settings
from shared.wire_models import ADAPTIVE_CARD, Activity, WireModel, parse
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


def alert_activity(
    alert: Alert, recipient: FoundRecipient, shown: Shown, services: Services
) -> Activity:
    """Return what an alert says to a person, in their language, and as their channel shows it.

    ``shown`` is what it shows of the answers, where the alert asks something.
    """
    account, default_locale = recipient.account, services.settings.default_locale
    locale = account.locale if account else None
    activity = services.alerts.content(alert).activity(
        topic=alert.topic,
        name=account.name if account else None,
        locale=locale,
        default_locale=default_locale,
    )
    if not channel(recipient.channel_id).shows_cards:
        activity = as_text(activity)
    if alert.question is None:
        return activity
    locales = [locale, default_locale] if locale else [default_locale]
    return with_buttons(activity, alert.question, shown, recipient.channel_id, locales)


def as_text(activity: Activity) -> Activity:
    """Return the fallback text of the card that an activity is; any other stays as it is."""
    if activity.text is None and activity.attachments and len(activity.attachments) == 1:
        [attachment] = activity.attachments
        card = attachment.get("content")
        if attachment.get("contentType") == ADAPTIVE_CARD and isinstance(card, dict):
            text = card.get("fallbackText")
            if isinstance(text, str) and text:
                kept = {**activity.to_json(), "text": text, "textFormat": "plain"}
                del kept["attachments"]
                return parse(Activity, kept)
    return activity


def require_deliverable(
    activity: Activity, recipient: FoundRecipient, services: Services, *, is_targeted: bool
) -> None:
    """Raise what tells why an activity cannot go to a recipient, before any call is made.

    That is TargetedActivityNotSupportedError where all would see what is for one member
    (``is_targeted``), and RequestTooLargeError.
    """
    if is_targeted:
        recipient.require_targeting()
    require_size(activity, recipient.channel_id, services.settings)


def require_size(body: WireModel, channel_id: str, settings: Settings, *, field: str = "") -> None:
    """Raise RequestTooLargeError, naming the part below ``field``, for what a channel refuses."""
    most_bytes = settings.largest_activity_bytes(channel_id)
    kilobytes = channel(channel_id).largest_picture_kilobytes
    uncounted = _pictures(kilobytes) if kilobytes else None
    json_text.require_size(body.to_json(), most_bytes, field=field, uncounted=uncounted)


@cache
def _pictures(kilobytes: int) -> re.Pattern[str]:
    """Return what finds inline pictures in compact JSON: of attachments, and in cards."""
    url = "|".join(f'(?<="{name}":")' for name in ("contentUrl", "thumbnailUrl", "url"))
    header = r"data:image/[\w.+;=-]{1,100};base64,"
    # Base64 writes 3 bytes as 4 characters.
    most = kilobytes * 1024 * 4 // 3
    text = rf'(?:{url}){header}[\w+/=-]{{1,{most}}}+(?=")'
    return re.compile(text, re.IGNORECASE | re.ASCII)
