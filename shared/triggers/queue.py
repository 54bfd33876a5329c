"""Messages in from the queues: read, handled, settled.

What the functions do not understand (a bug, storage that is down) is left to the Functions host,
which tries again by host.json, until its last try.

Queue triggers are declared with binary data. Of a text that is JSON the host takes the top-level
fields for what it knows of the message itself: its id, how often it was tried, its times.
https://github.com/Azure/azure-functions-python-worker/issues/1373
"""

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import azure.functions as func

from shared import json_text
from shared.errors import (
    AppError,
    ExpiredError,
    FieldError,
    InvalidRequestError,
    MessageGoneError,
    OnQueue,
    UnexpectedError,
)
from shared.messages.envelope import BODY, ENVELOPE, Envelope, read_envelope, without_notes
from shared.messages.queued_message import Handled, QueuedMessage, UnsentError
from shared.triggers.settlement import Jitter, Settlement
from shared.wiring import Services, services

_logger = logging.getLogger(__name__)

LAST_TRY = 25
"""After so many tries the Functions host gives up: ``maxDequeueCount`` of host.json."""

Handle = Callable[[QueuedMessage], Handled]
Read = Callable[[bytes], dict[str, Any]]


@dataclass(frozen=True)
class Taken:
    """What the Functions host hands over: the body of a message, and what is known of it."""

    queue: str
    body: bytes
    message_id: str
    inserted_at: datetime | None = None
    is_last_try: bool = False
    traceparent: str | None = None


def queue_function(
    queue: str, *, read: Read = json_text.parse_own_object
) -> Callable[[Handle], Callable[[func.QueueMessage, func.Context], None]]:
    """Have a handler called with each message of a queue, and settle what it returns or raises.

    ``read`` returns the JSON object that a message is taken for, or raises InvalidRequestError.
    """

    def decorate(handle: Handle) -> Callable[[func.QueueMessage, func.Context], None]:
        def run(message: func.QueueMessage, context: func.Context) -> None:
            taken = Taken(
                queue,
                message.get_body(),
                message_id=message.id or "",
                inserted_at=_in_utc(message.insertion_time),
                is_last_try=(message.dequeue_count or 0) >= LAST_TRY,
                traceparent=context.trace_context.trace_parent,
            )
            process(taken, services(), handle, read=read)

        run.__name__ = handle.__name__
        run.__doc__ = handle.__doc__
        return run

    return decorate


def process(
    taken: Taken,
    services: Services,
    handle: Handle,
    jitter: Jitter = random.uniform,
    *,
    read: Read = json_text.parse_own_object,
) -> None:
    """Have a queue's message handled, and do with it what the outcome asks for.

    Returns when the message is done with, here or elsewhere; raises when the host is to try again.
    """
    settlement = Settlement(services, jitter)
    try:
        body = read(taken.body)
        kept_key = _key_of_kept(body)
        kept = services.queues.large_values.fetch(kept_key) if kept_key else None
        if kept == "":
            # Storage gives it out once more.
            _logger.warning("Done with already on %s", taken.queue)
            return
        original = json_text.parse_own_object(kept) if kept else body
        message = _read_message(original, taken, services)
    except InvalidRequestError as error:
        settlement.refuse(_unreadable(taken), _as_it_came(taken.body), error)
        return
    if kept_key and kept is None:
        gone = MessageGoneError("It was kept aside, and waited longer than it was kept")
        settlement.refuse(message, message.body, gone)
        return
    message, result = _handled(message, taken, handle)
    settlement.settle(message, result)
    if message.afterwards is not None:
        message.afterwards()
    if kept_key:
        services.queues.large_values.drop(kept_key, leaves_trace=True)


def _key_of_kept(body: dict[str, Any]) -> str | None:
    """Return the key of what a message says where that was too large for the queue."""
    kept_key = body.get(BODY)
    if kept_key is None:
        return None
    if not body.keys() <= {BODY, ENVELOPE} or not isinstance(kept_key, str):
        raise InvalidRequestError(FieldError(BODY, "is ours; leave it out"))
    return kept_key


def _read_message(original: dict[str, Any], taken: Taken, services: Services) -> QueuedMessage:
    body = without_notes(original)
    envelope = read_envelope(
        body,
        original.get(ENVELOPE),
        taken.queue,
        services.queues.envelope_key,
        message_id=taken.message_id,
        put_at=taken.inserted_at,
        traceparent=taken.traceparent,
    )
    return QueuedMessage(taken.queue, body, envelope)


def _handled(
    message: QueuedMessage, taken: Taken, handle: Handle
) -> tuple[QueuedMessage, Handled | AppError]:
    """Return what became of a message, and the message as it is then."""
    expires_at = message.expires_at
    if expires_at is not None and expires_at <= datetime.now(UTC):
        return message, ExpiredError("Its time was over before it could be sent")
    try:
        handled = handle(message)
        if handled is None:
            return message, None
        if handled.message is None:
            raise RuntimeError("a queue's message has no message as it is now")
        return handled.message, handled
    except UnsentError as unsent:
        message, error = unsent.message, unsent.error
    except Exception as failed:  # noqa: BLE001  # it is settled here, or raised for the host
        error = failed
    if isinstance(error, AppError) and error.on_queue is not OnQueue.LEAVE_TO_HOST:
        return message, error
    if not taken.is_last_try:
        raise error
    if isinstance(error, AppError):
        return message, error
    # After the last try the host would drop the reason.
    _logger.error("The last try failed on %s", taken.queue, exc_info=error)
    return message, UnexpectedError()


def _unreadable(taken: Taken) -> QueuedMessage:
    envelope = Envelope(
        id=taken.message_id,
        accepted_at=taken.inserted_at or datetime.now(UTC),
        posting=taken.message_id,
    )
    return QueuedMessage(taken.queue, {}, envelope)


def _as_it_came(body: bytes) -> object:
    try:
        return json_text.parse(body)
    except InvalidRequestError:
        return json_text.without_token(body.decode("utf-8", "replace"))


def _in_utc(time: datetime | None) -> datetime | None:
    # azure-functions drops the zone of what does not end in Z.
    return time.replace(tzinfo=UTC) if time is not None and time.tzinfo is None else time
