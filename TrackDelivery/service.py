"""Finding deliveries, listing failures, and putting failed messages back."""

from shared.deliveries.delivery import Delivery
from shared.sending.redrive import put_back
from shared.wiring import Services
from TrackDelivery.request import FailureQuery


def find_delivery(delivery_id: str, services: Services) -> Delivery:
    """Return a delivery; raise UnknownDeliveryError when there is none."""
    return services.deliveries.find(delivery_id)


def list_failures(query: FailureQuery, services: Services) -> tuple[list[Delivery], str | None]:
    """Return a page of the failures that were not put back, and the token of the next page.

    A page may hold fewer than asked for, even none. Go on until there is no token.
    """
    return services.failures.page(query.since, size=query.page_size, token=query.continuation_token)


def retry_delivery(delivery_id: str, services: Services) -> Delivery:
    """Put a message that failed back on its queue, whole; return its delivery, accepted again.

    However often it is put back, it is sent once: the other messages are dropped as done.
    Raises UnknownDeliveryError, DeliveryNotRetriableError when it has not failed, and
    ForgottenRecipientError when its recipient was erased.
    """
    return put_back(services.deliveries.find(delivery_id), services)
