"""Changing what was sent: an edit or a recall, made with one call where the activity is.

It stays in the conversation that it was sent into, even when the person has another one by now. As
a change is no new message, nobody is asked whether they want it.
"""

from collections.abc import Callable
from typing import TypeVar

from shared.connector.errors import ConnectorError, unsupported
from shared.errors import ActivityChangeNotSupportedError, ConversationNotStartedError
from shared.messages.envelope import QueuedMessage
from shared.sending.connector_call import take_turn
from shared.sending.recipient import Target, target_in
from shared.wire_models import ChannelId, Identifier, Timestamp, WireModel
from shared.wiring import Services

_Answer = TypeVar("_Answer")


class ChangeRequest(WireModel):
    """A request to change an activity: a message of a queue, or what HTTP makes of its own."""

    id: Identifier | None = None
    conversation_id: Identifier
    activity_id: Identifier
    channel_id: ChannelId | None = None
    expires_at: Timestamp | None = None

    def target(self, services: Services) -> Target:
        """Return where the activity is."""
        return target_in(self.conversation_id, self.channel_id, services)


class Change:
    """A change of what was sent into a conversation."""

    def __init__(
        self, target: Target, services: Services, message: QueuedMessage | None = None
    ) -> None:
        """Take where the activity is, for a queue's message or for HTTP."""
        if message is not None:
            message.destination = target.destination
        if target.conversation is None:
            raise ConversationNotStartedError("The bot has no conversation with this recipient yet")
        self.conversation = target.conversation
        self._destination = target.destination
        self._services = services
        self._message = message

    def call(self, call: Callable[[], _Answer]) -> _Answer:
        """Make the change's one call in its turn; return what it does.

        Raises ActivityChangeNotSupportedError when the channel has no such operation.
        """
        turn = take_turn(self._destination, self._services, self._message)
        try:
            return turn.call(call)
        except ConnectorError as error:
            raise unsupported(
                error, self._destination.channel_id, ActivityChangeNotSupportedError
            ) from error
