"""Putting back what failed, whole."""

from dataclasses import replace
from datetime import UTC, datetime

from shared.deliveries.delivery import Delivery, Status
from shared.errors import DeliveryNotRetriableError, ForgottenRecipientError
from shared.wiring import Services


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
