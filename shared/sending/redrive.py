"""Putting back what failed, whole: by its record, or from the poison queue."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from shared import json_text
from shared.deliveries.delivery import Delivery, Status
from shared.errors import (
    DeliveryNotRetriableError,
    ForgottenRecipientError,
    InvalidRequestError,
)
from shared.messages.envelope import BODY, ENVELOPE, Envelope, read_envelope, without_notes
from shared.storage.queues import Queue, text_of
from shared.wire_models import parse
from shared.wiring import Services

if TYPE_CHECKING:
    from azure.storage.queue import QueueMessage


def put_back(failed: Delivery, services: Services, *, delay_seconds: float = 0) -> Delivery:
    """Put a message that failed back on its queue, whole; return its delivery, accepted again.

    Whatever else puts it back as well, it is sent once: the other is dropped as done already.
    Raises DeliveryNotRetriableError when it has not failed, and ForgottenRecipientError when the
    message went with its recipient.
    """
    if not failed.status.is_failure:
        raise DeliveryNotRetriableError(f"Only what failed can be retried; this is {failed.status}")
    kept = services.failures.find(failed.id, failed.failed_on or "")
    if kept is None:
        raise ForgottenRecipientError("The message is not kept any more, or nobody may read it")
    if not isinstance(kept.message, dict):
        raise DeliveryNotRetriableError("The message was no JSON object, and would fail again")
    envelope = parse(Envelope, kept.message[ENVELOPE]).anew()
    body = without_notes(kept.message)
    services.queues.send(kept.queue, body, envelope, delay_seconds=delay_seconds)
    accepted = replace(
        failed,
        status=Status.ACCEPTED,
        updated_at=datetime.now(UTC),
        # That of the message: what became of it meanwhile is not overwritten.
        posting=envelope.posting,
        code=None,
        detail=None,
        correlation_id=None,
        failed_on=None,
    )
    services.deliveries.record(accepted)
    return accepted


def put_back_poison(queue: str, services: Services) -> bool:
    """Put one message of a queue's poison queue back on the queue; False when there is none."""
    poison = Queue(services.storage, f"{queue}-poison")
    taken = poison.take()
    if taken is None:
        return False
    text = text_of(taken)
    entry = _object_in(text) or {}
    is_ours = {"message", "failure"} <= entry.keys()
    message: object = entry["message"] if is_ours else entry or text
    key = message.get(BODY) if isinstance(message, dict) else None
    whole = services.queues.large_values.fetch(key) if isinstance(key, str) else None
    if whole:
        message = _object_in(whole) or whole
    if isinstance(message, dict) and is_ours and ENVELOPE in entry:
        message = {**message, ENVELOPE: entry[ENVELOPE]}
    _send_again(queue, message, taken, services, is_ours=is_ours)
    poison.delete(taken)
    if isinstance(key, str):
        services.queues.large_values.drop(key)
    return True


def _send_again(
    queue: str, message: object, taken: "QueueMessage", services: Services, *, is_ours: bool
) -> None:
    """Put a message on its queue, to be tried anew; what cannot even be read, as it is.

    ``is_ours``: the app put it on the poison queue, not the Functions host, which gave it up.
    """
    try:
        if not isinstance(message, dict):
            raise InvalidRequestError
        body = without_notes(message)
        envelope = read_envelope(
            body,
            message.get(ENVELOPE),
            queue,
            services.queues.envelope_key,
            message_id=taken.id,
            put_at=taken.inserted_on,
        )
    except InvalidRequestError:
        services.queues.send_as_it_is(queue, message)
        return
    # Nobody knows how often the host had it sent.
    is_ambiguous = envelope.ambiguous or not is_ours
    anew = envelope.anew().model_copy(update={"ambiguous": is_ambiguous})
    services.queues.send(queue, body, anew)


def _object_in(text: str) -> dict[str, Any] | None:
    try:
        return json_text.parse_own_object(text)
    except InvalidRequestError:
        return None
