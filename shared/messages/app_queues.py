"""The app's queues: messages are put on them, and put back when they failed."""

import base64
import math
from datetime import datetime
from functools import cached_property
from typing import Any

from shared import json_text
from shared.errors import AppError
from shared.messages.envelope import BODY, ENVELOPE, Envelope, without_notes
from shared.messages.envelope_signature import EnvelopeKey, find_envelope_key, signed
from shared.messages.queue_names import SEND_ACTIVITY, START_CONVERSATION
from shared.messages.queued_message import QueuedMessage
from shared.storage.clients import Storage
from shared.storage.large_values import LargeValues
from shared.storage.queues import Queue

# Queue storage's limit, which holds for the base64.
_LARGEST_MESSAGE_BYTES = 64 * 1024
# Queue storage hides a message for 7 days at most.
_LONGEST_DELAY_SECONDS = 6 * 24 * 60 * 60


class AppQueues:
    """Puts messages on the app's queues; what is too large for one is kept aside."""

    def __init__(self, storage: Storage, app_id: str, large_values: LargeValues) -> None:
        self._storage = storage
        self._app_id = app_id
        self.large_values = large_values

    @cached_property
    def envelope_key(self) -> EnvelopeKey:
        """What our notes are signed with."""
        return find_envelope_key(self._storage, self._app_id)

    def send(
        self, queue: str, body: dict[str, Any], envelope: Envelope, *, delay_seconds: float = 0
    ) -> None:
        """Put a message on a queue, to be taken after the delay."""
        text = self._text_of(queue, body, envelope)
        if not _fits(text):
            # Should what is kept be gone some day, it is still known whose end that is.
            kept = {BODY: self.large_values.keep(text)}
            text = self._text_of(queue, kept, envelope.in_short())
        self._put(queue, text, delay_seconds=delay_seconds)

    def send_as_it_is(self, queue: str, message: object) -> None:
        """Put what cannot be read on a queue, where it fails again with the reason."""
        text = message if isinstance(message, str) else json_text.to_text(message)
        if not _fits(text):
            text = json_text.to_text({BODY: self.large_values.keep(text)})
        self._put(queue, text)

    def start_first(self, start: dict[str, Any], message: QueuedMessage) -> None:
        """Put a start on its queue, with the message that waits for it."""
        waiting = {"then": message.body, "returns": 0}
        noted = message.envelope.without_snapshot().model_copy(update=waiting)
        self.send(START_CONVERSATION, start, noted)

    def follow_up(self, waited: dict[str, Any], envelope: Envelope) -> None:
        """Put what waited for a start back on its queue."""
        noted = envelope.model_copy(update={"then": None, "returns": 0, "started": True})
        self.send(SEND_ACTIVITY, waited, noted)

    def poison(
        self, queue: str, message: object, envelope: Envelope, error: AppError, failed_at: datetime
    ) -> None:
        """Put a message that failed for good on the poison queue, with the reason beside it.

        ``message`` is its body, or its text where it was no JSON object. With the notes as they
        stand there it may be put back, also by hand.
        """
        failure = {
            "code": error.code,
            "detail": error.detail,
            "failedAt": failed_at.isoformat(timespec="milliseconds"),
            "attempts": envelope.attempts,
        }
        anew = envelope.anew()
        # What is wrong may be notes of somebody else's in it.
        body = without_notes(message) if isinstance(message, dict) else message
        noted = signed(self.envelope_key, queue, body, anew.to_json())
        text = json_text.to_text({"message": message, "failure": failure, ENVELOPE: noted})
        if not _fits(text):
            # The reason stays readable in the queue.
            key = self.large_values.keep(self._text_of(queue, body, anew))
            text = json_text.to_text({"message": {BODY: key}, "failure": failure})
        Queue(self._storage, f"{queue}-poison").send(text)

    def count_failed(self, queue: str) -> int:
        """Return how many messages are on a queue's poison queue, or a few more."""
        return Queue(self._storage, f"{queue}-poison").count()

    def _put(self, queue: str, text: str, *, delay_seconds: float = 0) -> None:
        delay = min(math.ceil(delay_seconds), _LONGEST_DELAY_SECONDS)
        Queue(self._storage, queue).send(text, delay_seconds=delay)

    def _text_of(self, queue: str, message: object, envelope: Envelope) -> str:
        """Return a message with what is noted about it; only a JSON object has a place for it."""
        if not isinstance(message, dict):
            return message if isinstance(message, str) else json_text.to_text(message)
        noted = signed(self.envelope_key, queue, message, envelope.to_json())
        return json_text.to_text({**message, ENVELOPE: noted})


def _fits(text: str) -> bool:
    return len(base64.b64encode(text.encode())) <= _LARGEST_MESSAGE_BYTES
