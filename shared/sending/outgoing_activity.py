"""Activities as they go out: whole, with what every channel needs beside what the caller gave."""

import re
from functools import cache
from typing import Any

from shared import json_text
from shared.accounts.conversations import Conversation
from shared.connector.channel_features import channel
from shared.sending.recipient import FoundRecipient
from shared.settings import Settings
from shared.wire_models import Activity, WireModel
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
