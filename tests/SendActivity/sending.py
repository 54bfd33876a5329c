"""Messages to Alex, handled as from the queue."""

from SendActivity.service import send_queued_activity
from shared.messages.queued_message import UnsentError
from shared.wire_models import ChannelAccount

TO_ALEX = {"recipient": {"channelId": "msteams", "userId": "29:alex"}}
BOT = ChannelAccount(id="28:bot", name="News")


def handle(message, services):
    """Have a message handled; raise the error that it meets."""
    try:
        return send_queued_activity(message, services)
    except UnsentError as unsent:
        raise unsent.error from unsent


START_FOR_ALEX = {"channelId": "msteams", "isGroup": False, "members": [{"id": "29:alex"}]}
