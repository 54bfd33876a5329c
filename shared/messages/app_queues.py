"""The app's queues: messages are put on them, and put back when they failed."""

import base64
import math
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared import json_text
from shared.errors import AppError
from shared.messages.envelope import BODY, ENVELOPE, Envelope, envelope_in, whole_message
from shared.messages.queue_names import SEND_ACTIVITY, START_CONVERSATION
from shared.messages.queued_message import QueuedMessage
from shared.storage.clients import Storage
from shared.storage.large_values import LargeValues
from shared.storage.queues import Queue

if TYPE_CHECKING:
    pass

# Queue storage's limit, which holds for the base64.
_LARGEST_MESSAGE_BYTES = 64 * 1024
# Queue storage hides a message for 7 days at most.
_LONGEST_DELAY_SECONDS = 6 * 24 * 60 * 60


class AppQueues:
    """Puts messages on the app's queues; what is too large for one is kept aside."""

    def __init__(self, storage: Storage, large_values: LargeValues) -> None:
        self._storage = storage
        self.large_values = large_values

    def send(
        self, queue: str, body: dict[str, Any], envelope: Envelope, *, delay_seconds: float = 0
    ) -> None:
        """Put a message on a queue, to be taken after the delay."""
        text = _to_text(whole_message(body, envelope))
        self._put(queue, text, envelope, delay_seconds=delay_seconds)

    def start_first(self, start: dict[str, Any], message: QueuedMessage) -> None:
        """Put a start on its queue, with the message that waits for it."""
        noted = message.envelope.without_snapshot().model_copy(update={"then": message.body})
        self.send(START_CONVERSATION, start, noted)

    def follow_up(self, envelope: Envelope) -> None:
        """Put what waited for a start back on its queue, if anything did."""
        if envelope.then is not None:
            noted = envelope.model_copy(update={"then": None, "returns": 0, "started": True})
            self.send(SEND_ACTIVITY, envelope.then, noted)

    def poison(
        self, queue: str, message: object, envelope: Envelope, error: AppError, failed_at: datetime
    ) -> None:
        """Put a message that failed for good on the poison queue, with the reason beside it.

        ``message`` is its body, or its text where it was no JSON object.
        """
        failure = {
            "code": error.code,
            "detail": error.detail,
            "failedAt": failed_at.isoformat(timespec="milliseconds"),
            "attempts": envelope.attempts,
        }
        text = json_text.to_text(
            {"message": message, "failure": failure, ENVELOPE: envelope.to_json()}
        )
        if not _fits(text):
            # The reason stays readable in the queue.
            key = self.large_values.keep(_to_text(whole_message(message, envelope)))
            text = json_text.to_text({"message": {BODY: key}, "failure": failure})
        Queue(self._storage, f"{queue}-poison").send(text)

    def put_back(self, queue: str, message: object, *, delay_seconds: float = 0) -> Envelope | None:
        """Put what failed back on its queue, to be tried anew; return what is noted about it now.

        What has no notes of ours goes as it is. It fails again, with the reason.
        """
        envelope = envelope_in(message)
        if envelope is None or not isinstance(message, dict):
            self._put(queue, _to_text(message), None, delay_seconds=delay_seconds)
            return None
        anew = envelope.anew()
        body = {name: each for name, each in message.items() if name != ENVELOPE}
        self.send(queue, body, anew, delay_seconds=delay_seconds)
        return anew

    def count_failed(self, queue: str) -> int:
        """Return how many messages are on a queue's poison queue, or a few more."""
        return Queue(self._storage, f"{queue}-poison").count()

    def _put(
        self, queue: str, text: str, envelope: Envelope | None, *, delay_seconds: float
    ) -> None:
        if not _fits(text):
            kept = {BODY: self.large_values.keep(text)}
            # Should what is kept be gone some day, it is still known whose end that is.
            text = _to_text(whole_message(kept, envelope.in_short()) if envelope else kept)
        delay = min(math.ceil(delay_seconds), _LONGEST_DELAY_SECONDS)
        Queue(self._storage, queue).send(text, delay_seconds=delay)


def _to_text(message: object) -> str:
    return message if isinstance(message, str) else json_text.to_text(message)


def _fits(text: str) -> bool:
    return len(base64.b64encode(text.encode())) <= _LARGEST_MESSAGE_BYTES
