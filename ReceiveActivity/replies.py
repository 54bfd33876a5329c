"""Replies go out by the queue, as the messaging endpoint calls no Connector."""

from datetime import UTC, datetime

from ReceiveActivity.commands import Command
from ReceiveActivity.texts import reply
from shared.accounts.account import Account
from shared.messages.envelope import Envelope
from shared.messages.queue_names import SEND_ACTIVITY
from shared.wiring import Services


def put_reply(
    command: Command, account: Account, conversation_id: str, reply_id: str, services: Services
) -> None:
    """Put what answers a person's command on its queue; of the same id, one is sent.

    ``account`` is theirs after the command.
    """
    settings = services.settings
    languages = [*filter(None, (account.locale,)), settings.default_locale]
    message = {
        "conversationId": conversation_id,
        "channelId": account.channel_id,
        "activity": reply(command, account.preferences, settings.topics, *languages),
    }
    noted = Envelope(id=reply_id, accepted_at=datetime.now(UTC), is_reply=True)
    services.queues.send(SEND_ACTIVITY, message, noted)
