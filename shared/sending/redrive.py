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
from shared.messages.envelope import BODY, ENVELOPE, Envelope, envelope_in
from shared.storage.queues import Queue, text_of
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
    noted = services.queues.put_back(kept.queue, kept.message, delay_seconds=delay_seconds)
    accepted = replace(
        failed,
        status=Status.ACCEPTED,
        updated_at=datetime.now(UTC),
        # That of the message: what became of it meanwhile is not overwritten.
        posting=noted.posting if noted else failed.posting,
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
    elif isinstance(message, dict) and not is_ours:
        message = _given_up_by_host(message, taken)
    services.queues.put_back(queue, message)
    poison.delete(taken)
    if isinstance(key, str):
        services.queues.large_values.drop(key)
    return True


def _given_up_by_host(message: dict[str, Any], taken: "QueueMessage") -> dict[str, Any]:
    """Return a message that the Functions host gave up: nobody knows how often it was sent."""
    envelope = envelope_in(message)
    if envelope is None and ENVELOPE in message:
        return message
    if envelope is None:
        own_id = message.get("id")
        envelope = Envelope(
            id=own_id if isinstance(own_id, str) and own_id else taken.id,
            accepted_at=taken.inserted_on or datetime.now(UTC),
        )
    return {**message, ENVELOPE: envelope.model_copy(update={"ambiguous": True}).to_json()}


def _object_in(text: str) -> dict[str, Any] | None:
    try:
        return json_text.parse_own_object(text)
    except InvalidRequestError:
        return None
