"""Putting back what failed, whole."""

from datetime import UTC, datetime

import pytest

from shared.accounts.account import Account
from shared.deliveries.delivery import Delivery, Destination, Status
from shared.deliveries.failures import Failure
from shared.errors import DeliveryNotRetriableError, ForgottenRecipientError
from shared.messages.envelope import Envelope, whole_message
from shared.sending.redrive import put_back
from tests.support.builders import envelope_of, unique
from tests.support.copies import make_known

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BODY = {"id": "order-7", "activity": {"text": "News"}}


@pytest.fixture
def queue(queue_reader):
    name = unique("queue")
    return name, queue_reader(name)


@pytest.fixture
def alex(services):
    user_id = unique("29:alex")
    written = make_known(services, Account("msteams", user_id))
    return Destination("msteams", "", None, "a:1", user_id, written.key)


@pytest.fixture
def failed(services, queue, alex):
    """A delivery that failed, and what was kept of it."""
    envelope = Envelope(
        id="order-7",
        accepted_at=NOW,
        posting="first",
        attempts=6,
        returns=5,
        alert="alert-7",
        traceparent="00-a-b-01",
    )
    delivery = Delivery(
        "order-7",
        Status.PERMANENT_FAILURE,
        NOW,
        NOW,
        posting="first",
        destination=alex,
        code="BadSyntax",
        detail="The Connector answered 400 BadSyntax",
        correlation_id="abc.1",
        failed_on="2026-03-01",
        alert_id="alert-7",
    )
    services.failures.keep(delivery, Failure(queue[0], whole_message(BODY, envelope)))
    services.deliveries.record(delivery)
    return services.deliveries.find("order-7")


def test_what_failed_is_accepted_again_and_on_its_queue(services, failed, queue):
    accepted = put_back(failed, services)

    [back] = queue[1].take()
    envelope = envelope_of(back)
    assert back == BODY
    assert (envelope.alert, envelope.traceparent, envelope.attempts, envelope.returns) == (
        "alert-7",
        "00-a-b-01",
        0,
        0,
    )
    assert envelope.posting == accepted.posting not in ("", "first")
    assert (accepted.status, accepted.code, accepted.detail) == (Status.ACCEPTED, None, None)
    assert (accepted.correlation_id, accepted.failed_on) == (None, None)
    found = services.deliveries.find("order-7")
    assert (found.status, found.posting) == (Status.ACCEPTED, envelope.posting)
    assert (found.created_at, found.alert_id) == (NOW, "alert-7")
    assert found.destination == failed.destination


def test_what_is_put_back_may_come_later_and_is_forgotten_as_a_failure(
    services, failed, queue, storage_calls
):
    storage_calls()

    put_back(failed, services, delay_seconds=60)

    assert (queue[1].take(), queue[1].count()) == ([], 1)
    assert any("visibilitytimeout=60" in call for call in storage_calls())
    assert services.failures.find("order-7", "2026-03-01") is None
    # Whoever knew of the failure before finds nothing to put back.
    with pytest.raises(ForgottenRecipientError):
        put_back(failed, services)
    assert queue[1].count() == 1


@pytest.mark.parametrize("status", [Status.SENT, Status.RETRYING])
def test_only_what_failed_is_put_back(services, status):
    delivery = Delivery("order-8", status, NOW, NOW)

    with pytest.raises(DeliveryNotRetriableError, match=status):
        put_back(delivery, services)


def test_what_went_with_its_recipient_is_not_put_back(services, failed, queue, alex):
    services.accounts.erase("msteams", alex.user_id)

    with pytest.raises(ForgottenRecipientError):
        put_back(failed, services)

    assert queue[1].count() == 0
    assert services.deliveries.find("order-7").status is Status.PERMANENT_FAILURE


def test_what_is_no_json_object_would_fail_again(services, queue):
    delivery = Delivery("order-9", Status.PERMANENT_FAILURE, NOW, NOW, failed_on="2026-03-01")
    services.failures.keep(delivery, Failure(queue[0], "not JSON"))

    with pytest.raises(DeliveryNotRetriableError):
        put_back(delivery, services)

    assert queue[1].count() == 0
