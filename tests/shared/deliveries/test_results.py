"""What became of a delivery: recorded after its call, or without one."""

import math
from datetime import timedelta

import pytest

from shared.deliveries.delivery import Status
from shared.errors import (
    DeliveryUnderWayError,
    StorageUnavailableError,
)
from tests.shared.deliveries.recording import (
    NOW,
    SECONDS,
    a_delivery,
    claim,
    fail,
    put_back,
    settle,
)


def test_a_result_is_recorded_and_the_claim_is_over(deliveries):
    settle(
        deliveries,
        claim(deliveries),
        Status.TEMPORARY_FAILURE,
        code="ConnectorTimeout",
        detail="It did not answer",
        correlation_id="abc.1",
    )

    found = deliveries.find("order-7")
    assert (found.status, found.code) == (Status.TEMPORARY_FAILURE, "ConnectorTimeout")
    assert (found.detail, found.correlation_id) == ("It did not answer", "abc.1")
    assert found.until is None


def test_a_result_that_is_late_leaves_it_to_whoever_has_the_claim_by_now(deliveries, clock):
    slow = claim(deliveries)
    clock.pass_by(SECONDS)
    claim(deliveries)

    settle(deliveries, slow, Status.SENT)

    assert deliveries.find("order-7").status is Status.SENDING
    assert deliveries.find("order-7").ambiguous


@pytest.fixture
def failing(lossy, through_lossy, clock, monkeypatch):
    """Deliveries in storage that writes nothing until the clock says so; and when it was asked."""
    monkeypatch.setattr("urllib3.Retry.sleep", lambda *_: None)
    tries = []

    def fail(until):
        def is_down(request):
            if request.method != "PUT":
                return False
            tries.append(clock.now)
            return clock.now < until

        lossy.answer(503, {}, times=math.inf, when=is_down)
        return through_lossy, tries

    return fail


def test_a_result_waits_for_storage_as_long_as_the_claim_lasts(deliveries, failing, clock):
    claimed = claim(deliveries)
    slow, _ = failing(NOW + timedelta(seconds=2))

    settle(slow, claimed, Status.SENT)

    assert deliveries.find("order-7").status is Status.SENT
    assert clock.now >= NOW + timedelta(seconds=2)
    assert len(clock.slept) > 1


def test_a_result_waits_no_longer_than_the_claim_lasts(deliveries, failing, clock):
    claimed = deliveries.claim(a_delivery(), seconds=2, is_new=True)
    slow, tries = failing(NOW + timedelta(days=1))

    with pytest.raises(StorageUnavailableError):
        settle(slow, claimed, Status.SENT)

    assert len({each for each in tries if each < claimed.delivery.until}) > 1
    assert len({each for each in tries if each >= claimed.delivery.until}) == 1


def test_what_needed_no_call_is_recorded_without_an_attempt(deliveries):
    deliveries.record(a_delivery(status=Status.SUPPRESSED, code="Suppressed", attempts=3))
    found = deliveries.find("order-7")
    assert (found.status, found.code, found.attempts) == (Status.SUPPRESSED, "Suppressed", 0)

    # The attempts that were made stay.
    settle(deliveries, claim(deliveries, a_delivery(id="order-8")), Status.RETRYING)
    deliveries.record(a_delivery(id="order-8", status=Status.EXPIRED, attempts=3))
    found = deliveries.find("order-8")
    assert (found.status, found.attempts) == (Status.EXPIRED, 1)


def test_a_record_does_not_overwrite_what_is_done_or_about_to_be_done(deliveries):
    claimed = claim(deliveries)
    deliveries.record(a_delivery(status=Status.RETRYING))
    # Who has the claim may have died, so this may be the only one left to say how it ends.
    with pytest.raises(DeliveryUnderWayError):
        deliveries.record(a_delivery(status=Status.SUPPRESSED))
    settle(deliveries, claimed, Status.SENT)
    assert deliveries.find("order-7").status is Status.SENT

    deliveries.record(a_delivery(status=Status.RETRYING))
    deliveries.record(put_back(status=Status.ACCEPTED))
    assert deliveries.find("order-7").status is Status.SENT


def test_a_record_of_what_failed_and_is_put_back_forgets_the_failure(deliveries, services):
    day = fail(deliveries, services)

    deliveries.record(put_back(status=Status.ACCEPTED))

    assert deliveries.find("order-7").status is Status.ACCEPTED
    assert services.failures.find("order-7", day) is None
