"""The base of requests to edit or recall an activity: which one, in which conversation.

An activity stays in the conversation that it was sent into, even when the person has another one
now. A change is no new message, so it reaches also people who want no messages. Only its sender
knows whether it is for one member of a group alone.
"""

from shared.sending.recipient import FoundRecipient, find_conversation
from shared.wire_models import ChannelId, Identifier, Timestamp, WireModel
from shared.wiring import Services


class ChangeRequest(WireModel):
    """A request to change an activity: a message of a queue, or what HTTP makes of its own."""

    id: Identifier | None = None
    conversation_id: Identifier
    activity_id: Identifier
    channel_id: ChannelId | None = None
    expires_at: Timestamp | None = None
    is_targeted: bool = False

    def find_recipient(self, services: Services) -> FoundRecipient:
        """Return where the activity is."""
        return find_conversation(self.conversation_id, self.channel_id, services)
