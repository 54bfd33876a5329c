"""Claims before the call: who gets one, and who gets the next."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.deliveries.delivery import Status
from shared.errors import (
    AlreadyDoneError,
    DeliveryUnderWayError,
    OutcomeUnknownError,
    UnknownDeliveryError,
)
from tests.shared.deliveries.recording import (
    NOW,
    SECONDS,
    STORAGE,
    a_delivery,
    build,
    claim,
    fail,
    put_back,
    settle,
)
from tests.support.builders import storage_at
from tests.support.lossy_storage import InterruptedStorage, writes


def test_a_new_delivery_is_claimed(deliveries, storage_calls):
    with pytest.raises(UnknownDeliveryError):
        deliveries.find("order-7")
    claim(deliveries, a_delivery(id="the first makes the table"), is_new=True)
    storage_calls()
    for is_new, methods in ((True, ["POST"]), (False, ["GET", "POST"])):
        claimed = claim(deliveries, a_delivery(id=f"order-{is_new}"), is_new=is_new)

        assert [call.split()[0] for call in storage_calls()] == methods
        found = deliveries.find(f"order-{is_new}")
        assert found == claimed.delivery
        assert (found.status, found.attempts) == (Status.SENDING, 1)
        assert found.until == NOW + timedelta(seconds=SECONDS)
        assert found.created_at == NOW
        storage_calls()


def test_bots_do_not_see_each_others_deliveries(deliveries, services, clock):
    claim(deliveries)
    another = replace(services, settings=replace(services.settings, app_id="another bot"))

    assert claim(build(another, clock)).delivery.attempts == 1


def test_while_somebody_has_the_claim_nobody_else_gets_it(deliveries, clock):
    claim(deliveries)
    clock.pass_by(7.5)

    for is_new in (True, False):
        with pytest.raises(DeliveryUnderWayError) as caught:
            claim(deliveries, is_new=is_new)
        assert caught.value.retry_after_seconds == SECONDS - 7.5
    assert deliveries.find("order-7").attempts == 1


def test_a_claim_that_ran_out_is_followed_by_another_five_times_at_most_each_time_it_is_posted(
    deliveries, clock
):
    for delivery, made in ((a_delivery(), 0), (put_back(), 6)):
        claimed = claim(deliveries, delivery)
        for attempts in range(made + 2, made + 7):
            clock.pass_by(SECONDS)
            claimed = claim(deliveries, delivery)
            # The call may be made a second time.
            assert (claimed.delivery.ambiguous, claimed.delivery.attempts) == (True, attempts)
            assert deliveries.find("order-7") == claimed.delivery
        clock.pass_by(SECONDS)

        with pytest.raises(OutcomeUnknownError):
            claim(deliveries, delivery)

        assert deliveries.find("order-7") == claimed.delivery
        failed = replace(delivery, status=Status.TEMPORARY_FAILURE, updated_at=clock.now)
        deliveries.record(failed)
        deliveries.record(put_back(status=Status.ACCEPTED, updated_at=clock.now))


def test_a_claim_that_ran_out_is_given_up_where_that_is_wanted(services, clock):
    careful = build(services, clock, give_up_ambiguous=True)
    settle(careful, claim(careful), Status.RETRYING, recreated=True)
    claim(careful)
    clock.pass_by(SECONDS)

    with pytest.raises(OutcomeUnknownError):
        claim(careful)

    assert careful.find("order-7").status is Status.SENDING
    # That can be recorded, with all that was before, and put back.
    careful.record(put_back(status=Status.TEMPORARY_FAILURE, updated_at=clock.now))
    found = careful.find("order-7")
    assert (found.status, found.ambiguous) == (Status.TEMPORARY_FAILURE, True)
    assert (found.attempts, found.created_at, found.recreated) == (2, NOW, True)
    assert claim(careful, put_back(posting="third")).delivery.attempts == 3


def test_a_message_is_claimed_again_only_where_its_delivery_is_not_over(deliveries):
    on_its_way = {Status.ACCEPTED, Status.RETRYING}
    for_good = {Status.SENT, Status.CANCELLED}
    for status in set(Status) - {Status.SENDING}:
        same, again = a_delivery(id=status.value), put_back(id=status.value)
        settle(deliveries, claim(deliveries, same), status)

        assert deliveries.is_done(same) is (status not in on_its_way), status
        assert deliveries.is_done(again) is (status in for_good), status
        # What comes again is claimed where it is on its way, what is put back unless it is sent.
        for delivery, is_new in ((same, True), (again, False)):
            if deliveries.is_done(delivery):
                with pytest.raises(AlreadyDoneError):
                    claim(deliveries, delivery, is_new=is_new)
                assert deliveries.find(status.value).status is status
            else:
                claimed = claim(deliveries, delivery, is_new=is_new)
                assert (claimed.delivery.attempts, claimed.delivery.created_at) == (2, NOW)
                assert not claimed.delivery.ambiguous
                break


def test_attempts_add_up_and_what_happened_once_stays_told(deliveries, clock):
    settle(deliveries, claim(deliveries), Status.RETRYING, ambiguous=True, recreated=True)
    settle(deliveries, claim(deliveries), Status.RETRYING)
    settle(deliveries, claim(deliveries), Status.SENT, activity_id="activity-1")

    found = deliveries.find("order-7")
    assert (found.attempts, found.activity_id) == (3, "activity-1")
    assert found.ambiguous
    assert found.recreated


def test_a_claim_on_what_failed_forgets_the_failure(deliveries, services):
    day = fail(deliveries, services)
    assert services.failures.find("order-7", day) is not None

    claim(deliveries, put_back())

    assert services.failures.find("order-7", day) is None
    assert deliveries.find("order-7").failed_on is None
    assert services.failures.page(NOW, size=10) == ([], None)


@pytest.mark.parametrize("before", ["failed", "died"])
def test_a_claim_that_comes_late_forgets_no_failure_that_came_after_it(
    deliveries, services, clock, app_settings, before
):
    day = fail(deliveries, services)
    if before == "died":
        claim(deliveries, put_back())
        clock.pass_by(SECONDS)

    def take_over_and_fail():
        clock.pass_by(SECONDS)
        fail(deliveries, services, {"text": "Newer"}, posting="again")

    with InterruptedStorage(
        app_settings[STORAGE], writes("deliveries"), after=take_over_and_fail
    ) as storage:
        slow = storage_at(storage.connection_string)
        claim(build(services, clock, storage=slow), put_back())
        assert storage.interrupted == 1

    kept = services.failures.find("order-7", day)
    assert kept is not None
    assert kept.message == {"text": "Newer"}
    claim(deliveries, put_back(posting="third"))
    assert services.failures.find("order-7", day) is None
