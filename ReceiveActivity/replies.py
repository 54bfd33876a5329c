"""Replies go out by the queue, as the messaging endpoint calls no Connector."""

from datetime import UTC, datetime
from typing import Any

from ReceiveActivity.commands import Command
from ReceiveActivity.preferences_card import Choices, card_activity, has_card
from ReceiveActivity.texts import reply
from shared.accounts.account import Account
from shared.messages.envelope import Envelope
from shared.messages.queue_names import SEND_ACTIVITY, UPDATE_ACTIVITY
from shared.storage.tables import key_of
from shared.wiring import Services


def put_reply(
    command: Command, account: Account, conversation_id: str, reply_id: str, services: Services
) -> None:
    """Put what answers a person's command on its queue; of the same id, one is sent.

    ``account`` is theirs after the command. Others could click the card in a group, so it gets a
    text.
    """
    settings, is_one_to_one = services.settings, conversation_id == account.conversation_id
    if command.verb == "interests" and is_one_to_one and has_card(account.channel_id):
        activity = _card(account, reply_id, services)
    else:
        languages = _languages(account, services)
        activity = reply(command, account.preferences, settings.topics, *languages)
    message = {
        "conversationId": conversation_id,
        "channelId": account.channel_id,
        "activity": activity,
    }
    noted = Envelope(id=reply_id, accepted_at=datetime.now(UTC), is_reply=True)
    services.queues.send(SEND_ACTIVITY, message, noted)


def put_saved_card(
    choices: Choices, account: Account, conversation_id: str, click_id: str, services: Services
) -> dict[str, Any]:
    """Return the card as it is after the choices, which the client that was clicked in shows.

    Everywhere else an edit shows it, which is put on its queue; of the same click, one is made.
    """
    activity = _card(account, choices.card_id, services)
    sent = services.deliveries.get(choices.card_id)
    to = sent.destination if sent else None
    if sent and sent.activity_id and to and to.conversation_id == conversation_id:
        edit = {
            "conversationId": conversation_id,
            "channelId": account.channel_id,
            "activityId": sent.activity_id,
            "activity": activity,
        }
        noted = Envelope(
            id=key_of("edit", choices.card_id, click_id), accepted_at=datetime.now(UTC)
        )
        services.queues.send(UPDATE_ACTIVITY, edit, noted)
    card: dict[str, Any] = activity["attachments"][0]["content"]
    return card


def _card(account: Account, card_id: str, services: Services) -> dict[str, Any]:
    return card_activity(
        account.preferences,
        services.settings.topics,
        account.channel_id,
        card_id,
        *_languages(account, services),
    )


def _languages(account: Account, services: Services) -> list[str]:
    return [*filter(None, (account.locale,)), services.settings.default_locale]
