"""What became of messages, and putting back what failed."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from shared.deliveries import Delivery, Status
from shared.errors import (
    DeliveryNotRetriableError,
    FieldError,
    ForgottenRecipientError,
    InvalidRequestError,
)
from shared.services import Services
from TrackDelivery.request import FailureQuery


def find_delivery(delivery_id: str, services: Services) -> Delivery:
    """Return a delivery; raise UnknownDeliveryError when there is none."""
    return services.deliveries.find(delivery_id)


def list_failures(query: FailureQuery, services: Services) -> tuple[list[Delivery], str | None]:
    """Return a page of what failed and was not put back, and the token of the next page.

    A page may hold fewer than asked for, even none. Go on until there is no token.
    """
    try:
        return services.failures.page(
            query.since, size=query.page_size, token=query.continuation_token
        )
    except ValueError:
        raise InvalidRequestError(
            FieldError("continuationToken", "is not one that this list gave")
        ) from None


def retry_delivery(delivery_id: str, services: Services) -> Delivery:
    """Put a message that failed back on its queue, whole; return its delivery, accepted again.

    Whatever else puts it back as well, it is sent once: the other is dropped as done already.
    Raises UnknownDeliveryError, DeliveryNotRetriableError when it has not failed, and
    ForgottenRecipientError when the message went with its recipient.
    """
    failed = services.deliveries.find(delivery_id)
    if not failed.status.is_failure:
        raise DeliveryNotRetriableError(f"Only what failed can be retried; this is {failed.status}")
    kept = services.failures.find(failed.id, failed.failed_on or "")
    if kept is None:
        raise ForgottenRecipientError("The message is not kept any more, or nobody may read it")
    if not isinstance(kept.message, dict):
        raise DeliveryNotRetriableError("The message was no JSON object, and would fail again")
    noted = services.queues.put_back(kept.queue, kept.message)
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


def delivery_body(delivery: Delivery) -> dict[str, Any]:
    """Return a delivery as it stands in an answer."""
    destination = delivery.destination
    recipient = None
    if destination is not None and destination.user_id is not None:
        recipient = {"channelId": destination.channel_id, "userId": destination.user_id}
    body = {
        "id": delivery.id,
        "status": delivery.status.value,
        "channelId": destination.channel_id if destination else None,
        "recipient": recipient,
        "conversationId": destination.conversation_id if destination else None,
        "attempts": delivery.attempts,
        "code": delivery.code,
        "detail": delivery.detail,
        "correlationId": delivery.correlation_id,
        "activityId": delivery.activity_id,
        "recreated": delivery.recreated or None,
        "ambiguous": delivery.ambiguous or None,
        "createdAt": delivery.created_at.isoformat(),
        "updatedAt": delivery.updated_at.isoformat(),
    }
    return {name: value for name, value in body.items() if value is not None}
