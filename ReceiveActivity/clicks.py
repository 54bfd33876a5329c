"""A click on a button of an alert: found where each channel puts it, and answered.

Where what stands: "Universal Actions for Adaptive Cards" and "Card actions" of the Teams platform;
for Slack BotFramework-Services#292 and microsoft/Agents-for-net (SlackChannelData.cs); for Web Chat
BotFramework-WebChat#2464; for Facebook botframework-sdk#1719.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from ReceiveActivity.request import InboundActivity
from ReceiveActivity.texts import texts_in
from shared.alerts.button_data import Click, clicked
from shared.messages.envelope import Envelope
from shared.messages.queue_names import SEND_ACTIVITY
from shared.sending.alert_activity import alert_activity
from shared.sending.answer_decision import Clicked, Clicker, Refusal, take_click
from shared.sending.recipient import recipient_of
from shared.storage.tables import key_of
from shared.wire_models import ADAPTIVE_CARD, Activity
from shared.wiring import Services

_THREAD = ";messageid="
# Slack shows whole messages beside the action, with all of their buttons.
_PLACES: tuple[tuple[str | int, ...], ...] = (
    ("value", "action", "data"),
    ("value",),
    ("text",),
    ("channelData", "Payload", "actions", 0, "value"),
    ("channelData", "payload", "actions", 0, "value"),
    ("channelData", "SlackMessage", "actions", 0, "value"),
    ("channelData", "SlackMessage", "payload", "actions", 0, "value"),
    ("channelData", "message", "quick_reply", "payload"),
    ("channelData", "postback", "payload"),
    ("channelData", "callback_query", "data"),
)
_TEXTS = {Refusal.UNKNOWN: "unknown action", Refusal.OVER: "over"}


def click_in(activity: InboundActivity) -> Click | None:
    """Return the click on a button of an alert that an activity tells of, if it does."""
    if activity.is_refresh:
        return None
    return next(filter(None, map(clicked, _values(activity))), None)


def take_click_in(activity: InboundActivity, click: Click, services: Services) -> Clicked | Refusal:
    """Take a click for the answer of whoever the channel says has clicked."""
    person, conversation = activity.from_, activity.conversation
    if person is None or conversation is None:
        return Refusal.UNKNOWN
    clicker = Clicker(
        channel_id=activity.channel_id,
        user_ids=tuple(filter(None, (person.id, activity.object_id(person)))),
        conversation_id=conversation.id.partition(_THREAD)[0],
        tenant_id=activity.tenant_id,
    )
    return take_click(click, clicker, services)


def card_of(seen: Clicked, services: Services) -> dict[str, Any] | None:
    """Return the card that was clicked on, as it is afterwards; None where it is no Adaptive Card.

    Raises UnknownAlertError where what it says is not kept any more.
    """
    attachments = _drawn(seen, services).attachments or ()
    cards = (each for each in attachments if each["contentType"] == ADAPTIVE_CARD)
    return next((each["content"] for each in cards), None)


def _drawn(seen: Clicked, services: Services) -> Activity:
    to = seen.delivery.destination
    conversation_id = to.conversation_id if to else None
    recipient = recipient_of(seen.account, services, conversation_id=conversation_id)
    return alert_activity(seen.alert, recipient, seen.delivery.id, services, seen.given)


def refusal_text(refusal: Refusal, *languages: str) -> str:
    """Return what is said to a click that is no answer."""
    return texts_in(*languages)[1][_TEXTS[refusal]]


def put_reply_to_click(
    seen: Clicked | Refusal, click: Click, activity: InboundActivity, services: Services
) -> None:
    """Put on its queue what is said to a click that was a message, and is no answer.

    That is why, or who was first, as not every channel shows edits. Once for each such click.
    """
    if activity.conversation is None or not activity.is_personal:
        return
    if isinstance(seen, Refusal):
        text = refusal_text(seen, *activity.languages(services.settings.default_locale))
        said: dict[str, Any] = {"type": "message", "text": text, "textFormat": "plain"}
    elif seen.alert.first_answer and seen.alert.first_answer.delivery_id != seen.delivery.id:
        said = _drawn(seen, services).to_json()
    else:
        return
    to = {"conversationId": activity.conversation.id, "channelId": activity.channel_id}
    what = (click.delivery_id, click.option, str(click.drawn))
    noted = Envelope(
        id=key_of("click", activity.conversation.id, *what),
        accepted_at=datetime.now(UTC),
        is_reply=True,
    )
    services.queues.send(SEND_ACTIVITY, {**to, "activity": said}, noted)


def _values(activity: InboundActivity) -> Iterator[object]:
    told = {
        "value": activity.value,
        "text": activity.text,
        "channelData": activity.channel_data,
    }
    for path in _PLACES:
        found: Any = told
        for step in path:
            try:
                found = found[step]
            except (KeyError, IndexError, TypeError):
                found = None
        yield found
