"""The way of a message through the queues: accepted, tried, back with a delay, done or failed.

What we note about a message on its way stands in it under the reserved name ``_flow``; where a
message is too large for the queue, it holds nothing but the key of what was kept aside, under
``_body``. Whatever
happens, a message that was accepted ends as done or in the poison queue with the reason beside it;
what the functions do not understand (a bug, storage that is down) is left to the Functions host,
which tries again by host.json and moves it to the poison queue in the end.
"""

import base64
import logging
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic import ConfigDict, NonNegativeInt

from shared import json_text
from shared.claim_checks import ClaimChecks
from shared.errors import AppError, FieldError, InvalidRequestError, OnQueue
from shared.models import Identifier, OpenModel, Timestamp, parse
from shared.storage import Queue, Storage

_logger = logging.getLogger(__name__)

START_CONVERSATION: Final = "start-conversation"
SEND_ACTIVITY: Final = "send-activity"
CACHE_ACCOUNT: Final = "cache-account"

_FLOW = "_flow"
_BODY = "_body"
# Queue storage's limit, which holds for the base64.
_LARGEST_MESSAGE_BYTES = 64 * 1024
_MOST_ATTEMPTS = 6
_LONGEST_LIFE = timedelta(hours=24)
_FIRST_BACKOFF_SECONDS = 2.0
_LONGEST_BACKOFF_SECONDS = 300.0
# Queue storage hides a message for 7 days at most.
_LONGEST_DELAY_SECONDS = 6 * 24 * 60 * 60


class Flow(OpenModel):
    """What we note about a message on its way.

    ``attempts`` counts Connector calls, ``returns`` how often it went back to a queue. ``then`` is
    the message that goes to ``send-activity`` when a start is done; ``started`` tells it apart when
    it comes back, so that no message goes in circles. ``is_reply`` marks the bot's answer to what
    a person just wrote, which goes out even to those who want no alerts.
    """

    model_config = ConfigDict(validate_by_name=True)

    id: Identifier
    accepted_at: Timestamp
    attempts: NonNegativeInt = 0
    returns: NonNegativeInt = 0
    then: dict[str, Any] | None = None
    started: bool = False
    is_reply: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in a message."""
        return {**super().to_json(), "acceptedAt": self.accepted_at.isoformat()}


@dataclass(frozen=True)
class QueuedMessage:
    """A message that was taken from a queue: its body, and what we noted about it."""

    queue: str
    body: dict[str, Any]
    flow: Flow


class Queues:
    """Puts messages on the app's queues; what is too large for one is kept aside."""

    def __init__(self, storage: Storage) -> None:
        """Take the storage."""
        self._storage = storage
        self.claim_checks = ClaimChecks(storage)

    def send(
        self, queue: str, body: dict[str, Any], flow: Flow, *, delay_seconds: float = 0
    ) -> None:
        """Put a message on a queue, to be taken after the delay."""
        text = json_text.to_text({**body, _FLOW: flow.to_json()})
        if not _fits(text):
            text = json_text.to_text({_BODY: self.claim_checks.keep(text)})
        delay = min(math.ceil(delay_seconds), _LONGEST_DELAY_SECONDS)
        Queue(self._storage, queue).send(text, delay_seconds=delay)

    def start_first(self, start: dict[str, Any], message: QueuedMessage) -> None:
        """Put a start on its queue, with the message that waits for it."""
        self.send(START_CONVERSATION, start, message.flow.model_copy(update={"then": message.body}))

    def follow_up(self, flow: Flow) -> None:
        """Put what waited for a start back on its queue, if anything did."""
        if flow.then is not None:
            noted = flow.model_copy(update={"then": None, "returns": 0, "started": True})
            self.send(SEND_ACTIVITY, flow.then, noted)

    def poison(self, queue: str, message: object, error: AppError, attempts: int) -> None:
        """Put a message that failed for good on the poison queue, with the reason beside it."""
        failure = {
            "code": error.code,
            "detail": error.detail,
            "failedAt": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "attempts": attempts,
        }
        entry = json_text.to_text({"message": message, "failure": failure})
        if not _fits(entry):
            # The reason stays readable in the queue.
            kept = {_BODY: self.claim_checks.keep(json_text.to_text(message))}
            entry = json_text.to_text({"message": kept, "failure": failure})
        Queue(self._storage, f"{queue}-poison").send(entry)


def process(
    queue: str,
    text: str,
    *,
    message_id: str,
    inserted_at: datetime | None,
    queues: Queues,
    handle: Callable[[QueuedMessage], None],
    jitter: Callable[[float, float], float] = random.uniform,
) -> None:
    """Have a queue's message handled, and do with it what the outcome asks for.

    Returns when the message is done with, here or elsewhere; raises when the host shall try again.
    """
    try:
        body = json_text.parse_object(text)
        key = body.get(_BODY)
        if isinstance(key, str):
            kept = queues.claim_checks.fetch(key)
            if kept is None:
                # Storage gave the message out once more after it was done.
                _logger.warning("Done with already on %s", queue)
                return
            body = json_text.parse_object(kept)
    except InvalidRequestError as error:
        _logger.error("Not accepted on %s: %s", queue, error.code)
        queues.poison(queue, _as_it_came(text), error, attempts=0)
        return
    _process_body(queue, body, message_id, inserted_at, queues, handle, jitter)
    if isinstance(key, str):
        queues.claim_checks.drop(key)


def _fits(text: str) -> bool:
    return len(base64.b64encode(text.encode())) <= _LARGEST_MESSAGE_BYTES


def _process_body(
    queue: str,
    body: dict[str, Any],
    message_id: str,
    inserted_at: datetime | None,
    queues: Queues,
    handle: Callable[[QueuedMessage], None],
    jitter: Callable[[float, float], float],
) -> None:
    try:
        message = _message(queue, body, message_id, inserted_at)
    except InvalidRequestError as error:
        _logger.error("Not accepted on %s: %s", queue, error.code)
        queues.poison(queue, body, error, attempts=0)
        return
    expires_at = _expires_at(message)
    if expires_at is not None and expires_at <= datetime.now(UTC):
        _logger.info("Expired on %s", queue)
        return
    try:
        handle(message)
    except AppError as error:
        if error.on_queue is OnQueue.HOST:
            raise
        _settle(message, body, error, queues, jitter)


def _as_it_came(text: str) -> object:
    try:
        return json_text.parse(text)
    except InvalidRequestError:
        return text


def _message(
    queue: str, original: dict[str, Any], message_id: str, inserted_at: datetime | None
) -> QueuedMessage:
    body = {name: value for name, value in original.items() if name != _FLOW}
    noted = original.get(_FLOW)
    if noted is None:
        own_id = body.get("id")
        # Its id is the caller's, so it is read as all that callers give.
        flow = parse(
            Flow,
            {
                "id": own_id if isinstance(own_id, str) and own_id else message_id,
                "acceptedAt": inserted_at or datetime.now(UTC),
            },
        )
    else:
        if not isinstance(noted, dict):
            raise InvalidRequestError(FieldError(_FLOW, "is ours; leave it out"))
        flow = parse(Flow, noted, within=_FLOW)
        # A message was not accepted in the future, whatever its sender's clock says.
        flow = flow.model_copy(update={"accepted_at": min(flow.accepted_at, datetime.now(UTC))})
    return QueuedMessage(queue, body, flow)


def _settle(
    message: QueuedMessage,
    original: dict[str, Any],
    error: AppError,
    queues: Queues,
    jitter: Callable[[float, float], float],
) -> None:
    flow = message.flow
    attempts = flow.attempts + (1 if error.was_attempt else 0)
    delay_seconds = _delay_seconds(error, flow.returns, jitter)
    if error.on_queue is OnQueue.DROP:
        _logger.info("Not sent from %s: %s", message.queue, error.code)
        return
    if error.on_queue is OnQueue.FAIL or _is_at_end(message, error, attempts, delay_seconds):
        _logger.error("Failed on %s: %s, attempts %d", message.queue, error.code, attempts)
        queues.poison(message.queue, original, error, attempts)
        return
    _logger.warning(
        "Back on %s in %.0f s: %s, attempts %d", message.queue, delay_seconds, error.code, attempts
    )
    noted = flow.model_copy(update={"attempts": attempts, "returns": flow.returns + 1})
    queues.send(message.queue, message.body, noted, delay_seconds=delay_seconds)


def _delay_seconds(error: AppError, returns: int, jitter: Callable[[float, float], float]) -> float:
    if error.retry_after_seconds is not None:
        # Never earlier than asked for, and not all at the same moment.
        return error.retry_after_seconds + jitter(0, 1 + error.retry_after_seconds / 10)
    longest = min(_LONGEST_BACKOFF_SECONDS, _FIRST_BACKOFF_SECONDS * 2 ** min(returns, 16))
    return jitter(0, longest)


def _is_at_end(
    message: QueuedMessage, error: AppError, attempts: int, delay_seconds: float
) -> bool:
    if error.on_queue is OnQueue.COUNT and attempts >= _MOST_ATTEMPTS:
        return True
    next_try = datetime.now(UTC) + timedelta(seconds=delay_seconds)
    end_of_life = message.flow.accepted_at + _LONGEST_LIFE
    expires_at = _expires_at(message)
    return next_try >= (min(end_of_life, expires_at) if expires_at else end_of_life)


def _expires_at(message: QueuedMessage) -> datetime | None:
    # Only what is sent expires; elsewhere this is a field that nobody knows.
    sent = message.body if message.queue == SEND_ACTIVITY else message.flow.then or {}
    try:
        expires_at = datetime.fromisoformat(sent.get("expiresAt") or "")
    except (TypeError, ValueError):
        return None
    return expires_at if expires_at.tzinfo else None
