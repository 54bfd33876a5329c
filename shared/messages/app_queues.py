"""The app's queues: messages are put on them, put back when they failed, and redriven."""

import base64
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from shared import json_text
from shared.errors import AppError, InvalidRequestError
from shared.messages.envelope import (
    BODY,
    ENVELOPE,
    SEND_ACTIVITY,
    START_CONVERSATION,
    Envelope,
    whole_message,
)
from shared.messages.queued_message import QueuedMessage
from shared.storage.account import Storage
from shared.storage.large_values import LargeValues
from shared.storage.queues import Queue, text_of
from shared.wire_models import parse

if TYPE_CHECKING:
    from azure.storage.queue import QueueMessage

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
        self._put(queue, _to_text(whole_message(body, envelope)), delay_seconds=delay_seconds)

    def start_first(self, start: dict[str, Any], message: QueuedMessage) -> None:
        """Put a start on its queue, with the message that waits for it."""
        noted = message.envelope.without_reference().model_copy(update={"then": message.body})
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
        envelope = _noted(message)
        if envelope is None or not isinstance(message, dict):
            self._put(queue, _to_text(message), delay_seconds=delay_seconds)
            return None
        anew = envelope.anew()
        body = {name: each for name, each in message.items() if name != ENVELOPE}
        self.send(queue, body, anew, delay_seconds=delay_seconds)
        return anew

    def count_failed(self, queue: str) -> int:
        """Return how many messages are on a queue's poison queue, or a few more."""
        return Queue(self._storage, f"{queue}-poison").count()

    def redrive(self, queue: str) -> bool:
        """Put one message of a queue's poison queue back on the queue; False when there is none."""
        poison = Queue(self._storage, f"{queue}-poison")
        taken = poison.take()
        if taken is None:
            return False
        text = text_of(taken)
        entry = _object_in(text) or {}
        is_ours = {"message", "failure"} <= entry.keys()
        message: object = entry["message"] if is_ours else entry or text
        key = message.get(BODY) if isinstance(message, dict) else None
        whole = self.large_values.fetch(key) if isinstance(key, str) else None
        if whole is not None:
            message = _object_in(whole) or whole
        if isinstance(message, dict) and is_ours and ENVELOPE in entry:
            message = {**message, ENVELOPE: entry[ENVELOPE]}
        elif isinstance(message, dict) and not is_ours:
            message = _given_up_by_host(message, taken)
        self.put_back(queue, message)
        poison.delete(taken)
        if isinstance(key, str):
            self.large_values.drop(key)
        return True

    def _put(self, queue: str, text: str, *, delay_seconds: float = 0) -> None:
        if not _fits(text):
            text = json_text.to_text({BODY: self.large_values.keep(text)})
        delay = min(math.ceil(delay_seconds), _LONGEST_DELAY_SECONDS)
        Queue(self._storage, queue).send(text, delay_seconds=delay)


def _noted(message: object) -> Envelope | None:
    noted = message.get(ENVELOPE) if isinstance(message, dict) else None
    if not isinstance(noted, dict):
        return None
    try:
        return parse(Envelope, noted, within=ENVELOPE)
    except InvalidRequestError:
        return None


def _given_up_by_host(message: dict[str, Any], taken: "QueueMessage") -> dict[str, Any]:
    """Return a message that the Functions host gave up: nobody knows how often it was sent."""
    envelope = _noted(message)
    if envelope is None and ENVELOPE in message:
        return message
    if envelope is None:
        own_id = message.get("id")
        envelope = Envelope(
            id=own_id if isinstance(own_id, str) and own_id else taken.id,
            accepted_at=taken.inserted_on or datetime.now(UTC),
        )
    return {**message, ENVELOPE: envelope.model_copy(update={"ambiguous": True}).to_json()}


def _to_text(message: object) -> str:
    return message if isinstance(message, str) else json_text.to_text(message)


def _object_in(text: str) -> dict[str, Any] | None:
    try:
        return json_text.parse_own_object(text)
    except InvalidRequestError:
        return None


def _fits(text: str) -> bool:
    return len(base64.b64encode(text.encode())) <= _LARGEST_MESSAGE_BYTES
