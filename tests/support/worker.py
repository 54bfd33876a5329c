"""The functions of the queues, run one message at a time by the test itself."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from DeleteActivity.service import delete_queued_activity
from SendActivity.service import send_queued_activity
from shared import json_text
from shared.deliveries.delivery import Delivery
from shared.messages.queue_names import (
    DELETE_ACTIVITY,
    SEND_ACTIVITY,
    START_CONVERSATION,
    UPDATE_ACTIVITY,
)
from shared.messages.queued_message import Handled, QueuedMessage
from shared.triggers.queue import Taken, process
from shared.wiring import Services
from StartConversation.service import start_queued_conversation
from tests.support.builders import QueueReader, unique
from UpdateActivity.service import update_queued_activity

_FUNCTIONS: dict[str, Callable[[QueuedMessage, Services], Handled]] = {
    SEND_ACTIVITY: send_queued_activity,
    START_CONVERSATION: start_queued_conversation,
    UPDATE_ACTIVITY: update_queued_activity,
    DELETE_ACTIVITY: delete_queued_activity,
}


def _at_once(_least: float, _most: float) -> float:
    return 0.0


class Worker:
    """Handles messages as the functions do; what goes back comes back at once where it may."""

    def __init__(self, services: Services, open_queue: Callable[[str], QueueReader]) -> None:
        self.services = services
        self._open_queue = open_queue
        # Opened now, so that nothing which an earlier test left is taken for ours.
        self.waiting = {queue: open_queue(queue) for queue in _FUNCTIONS}
        self.poison = {queue: open_queue(f"{queue}-poison") for queue in _FUNCTIONS}
        for reader in (*self.waiting.values(), *self.poison.values()):
            reader.clear()

    def handle(
        self,
        message: object,
        queue: str = SEND_ACTIVITY,
        *,
        services: Services | None = None,
        **taken: Any,
    ) -> str:
        """Have a message of a queue handled once; return the id of the queue's message."""
        used = services or self.services
        details = {"message_id": unique("message"), "inserted_at": datetime.now(UTC), **taken}
        text = message if isinstance(message, str) else json_text.to_text(message)
        process(
            Taken(queue, text.encode(), **details),
            used,
            lambda queued: _FUNCTIONS[queue](queued, used),
            jitter=_at_once,
        )
        return str(details["message_id"])

    def send(self, body: dict[str, Any], **taken: Any) -> Delivery:
        """Have a message handled until nothing more is to be done at once; return its record."""
        delivery_id = body.get("id") or taken.pop("message_id", None) or unique("message")
        self.handle({"activity": {"text": "News"}, **body}, message_id=delivery_id, **taken)
        self.run()
        return self.services.deliveries.find(delivery_id)

    def run(self) -> None:
        """Handle what stands on the queues, and what that puts there, until none can be seen."""
        while True:
            taken = [
                (queue, message) for queue in _FUNCTIONS for message in self.waiting[queue].take()
            ]
            if not taken:
                return
            for queue, message in taken:
                self.handle(message, queue)

    def waits(self, queue: str = SEND_ACTIVITY) -> int:
        """How many messages are on a queue, those that cannot be seen yet included."""
        return self.waiting[queue].count()

    def failures(self, queue: str = SEND_ACTIVITY) -> list[Any]:
        """What is on a poison queue, which is empty then."""
        return self.poison[queue].take()
