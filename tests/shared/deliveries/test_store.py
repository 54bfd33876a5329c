"""Claims before the call, records after it, and what failed: kept, sealed and forgotten."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.accounts.account import Account
from shared.deliveries.delivery import Delivery, Destination, Status
from shared.deliveries.failures import Failure, Failures
from shared.deliveries.rows import id_in_alert, member_of
from shared.deliveries.store import DeliveryStore
from shared.errors import (
    AlreadyDoneError,
    DeliveryUnderWayError,
    ForgottenRecipientError,
    OutcomeUnknownError,
    StorageUnavailableError,
    UnknownDeliveryError,
)
from shared.settings import StorageAccount
from shared.storage.clients import Storage
from shared.storage.large_values import LargeValues
from shared.storage.personal_keys import PersonalKeys
from tests.support.builders import unique
from tests.support.lossy_storage import InterruptedStorage, LossyStorage, writes

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
STORAGE = "AzureWebJobsStorage"
SECONDS = 25


class Clock:
    """A clock that a test moves on, and a sleep that does so too."""

    def __init__(self):
        self.now = NOW
        self.sleeps = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.sleeps.append(seconds)
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock():
    return Clock()


def build(services, clock, *, storage=None, give_up_ambiguous=False):
    storage = storage or services.storage
    app_id = services.settings.app_id
    keys = PersonalKeys(storage)
    failures = Failures(storage, app_id, keys, LargeValues(storage))
    return DeliveryStore(
        storage,
        app_id,
        keys,
        failures,
        give_up_ambiguous=give_up_ambiguous,
        clock=clock,
        sleep=clock.sleep,
    )


@pytest.fixture
def deliveries(services, clock):
    return build(services, clock)


def a_delivery(**fields):
    return Delivery(
        **{
            "id": "order-7",
            "status": Status.SENDING,
            "created_at": NOW,
            "updated_at": NOW,
            "posting": "first",
            **fields,
        }
    )


def put_back(**fields):
    """The delivery as it is claimed for a message that was put on a queue again."""
    later = NOW + timedelta(hours=1)
    return a_delivery(**{"created_at": later, "posting": "again", **fields})


def claim(deliveries, delivery=None, *, is_new=False):
    return deliveries.claim(delivery or a_delivery(), seconds=SECONDS, is_new=is_new)


def settle(deliveries, claimed, status, **fields):
    result = replace(claimed.delivery, status=status, owner=None, until=None, **fields)
    deliveries.settle(claimed, result)


def fail(deliveries, services, message=None, **fields):
    """Have a delivery fail, as a message that was kept is recorded."""
    claimed = claim(deliveries, a_delivery(**fields))
    failed = replace(claimed.delivery, status=Status.PERMANENT_FAILURE)
    day = services.failures.keep(failed, Failure("send-activity", message or {"text": "News"}))
    settle(deliveries, claimed, Status.PERMANENT_FAILURE, code="Odd", failed_on=day)
    return day


# Claims


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
    clock.now += timedelta(seconds=7.5)

    for is_new in (True, False):
        with pytest.raises(DeliveryUnderWayError) as caught:
            claim(deliveries, is_new=is_new)
        assert caught.value.retry_after_seconds == SECONDS - 7.5
    assert deliveries.find("order-7").attempts == 1


def test_a_claim_that_ran_out_is_followed_by_another_try_that_may_be_the_second(deliveries, clock):
    first = claim(deliveries)
    clock.now += timedelta(seconds=SECONDS)

    second = claim(deliveries)

    assert second.delivery.ambiguous
    assert second.delivery.attempts == 2
    assert second.delivery.owner != first.delivery.owner
    assert deliveries.find("order-7") == second.delivery


def test_a_claim_that_ran_out_is_given_up_where_that_is_wanted(services, clock):
    careful = build(services, clock, give_up_ambiguous=True)
    settle(careful, claim(careful), Status.RETRYING, recreated=True)
    claim(careful)
    clock.now += timedelta(seconds=SECONDS)

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
        clock.now += timedelta(seconds=SECONDS)

    def take_over_and_fail():
        clock.now += timedelta(seconds=SECONDS)
        fail(deliveries, services, {"text": "Newer"}, posting="again")

    with InterruptedStorage(
        app_settings[STORAGE], writes("deliveries"), after=take_over_and_fail
    ) as storage:
        slow = Storage(StorageAccount.from_connection_string(storage.connection_string), threads=4)
        claim(build(services, clock, storage=slow), put_back())
        assert storage.interrupted == 1

    kept = services.failures.find("order-7", day)
    assert kept is not None
    assert kept.message == {"text": "Newer"}
    claim(deliveries, put_back(posting="third"))
    assert services.failures.find("order-7", day) is None


@pytest.fixture
def lossy(app_settings):
    with LossyStorage(app_settings[STORAGE]) as lossy:
        yield lossy


@pytest.fixture
def through_lossy(lossy, services, clock):
    """Deliveries in storage that does what it is asked, and may say that it did not."""
    account = StorageAccount.from_connection_string(lossy.connection_string)
    return build(services, clock, storage=Storage(account, threads=4))


@pytest.mark.parametrize("is_new", [True, False])
def test_a_first_claim_whose_answer_was_lost_is_ours(lossy, through_lossy, deliveries, is_new):
    lossy.lose_answer(lambda request: request.method == "POST" and b"order-7" in request.body)

    claimed = claim(through_lossy, is_new=is_new)

    assert deliveries.find("order-7") == claimed.delivery
    settle(deliveries, claimed, Status.SENT)
    assert deliveries.find("order-7").status is Status.SENT


def test_a_later_claim_whose_answer_was_lost_is_ours_with_all_that_was_before(
    lossy, through_lossy, deliveries, services
):
    day = fail(deliveries, services)
    lossy.lose_answer(lambda request: request.method == "PUT")

    claimed = claim(through_lossy, put_back())

    assert claimed.delivery.attempts == 2
    assert claimed.delivery.created_at == NOW
    assert services.failures.find("order-7", day) is None
    settle(deliveries, claimed, Status.SENT)
    assert deliveries.find("order-7").attempts == 2


# Results of calls


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
    clock.now += timedelta(seconds=SECONDS)
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
    assert len(clock.sleeps) > 1


def test_a_result_waits_no_longer_than_the_claim_lasts(deliveries, failing, clock):
    claimed = deliveries.claim(a_delivery(), seconds=2, is_new=True)
    slow, tries = failing(NOW + timedelta(days=1))

    with pytest.raises(StorageUnavailableError):
        settle(slow, claimed, Status.SENT)

    assert len({each for each in tries if each < claimed.delivery.until}) > 1
    assert len({each for each in tries if each >= claimed.delivery.until}) == 1


# Records without a call


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


def test_what_changes_all_the_time_is_left_to_the_host(lossy, through_lossy, deliveries, services):
    settle(deliveries, claim(deliveries), Status.RETRYING)
    changed = {"odata.error": {"code": "UpdateConditionNotSatisfied", "message": {"value": "x"}}}
    lossy.answer(412, changed, times=math.inf, when=lambda request: request.method == "PUT")

    with pytest.raises(StorageUnavailableError, match="too many at once"):
        claim(through_lossy)
    with pytest.raises(StorageUnavailableError, match="too many at once"):
        through_lossy.record(a_delivery(status=Status.RETRYING))


def test_a_record_whose_answer_was_lost_forgets_the_failure_all_the_same(
    lossy, through_lossy, deliveries, services
):
    day = fail(deliveries, services)
    lossy.lose_answer(lambda request: request.method == "PUT")

    through_lossy.record(put_back(status=Status.ACCEPTED))

    assert deliveries.find("order-7").status is Status.ACCEPTED
    assert services.failures.find("order-7", day) is None


# Who it was for


@pytest.fixture
def alex(services):
    """Where messages to somebody go who has an account."""
    user_id, conversation_id = unique("29:alex"), unique("a:chat")
    account = Account("msteams", user_id)
    written = services.accounts.change_or_make("msteams", user_id, lambda _stored: account).account
    return Destination("msteams", "https://x", "tenant", conversation_id, user_id, key=written.key)


def texts(services):
    """All that stands in the tables, with what is base64 and bytes in it."""
    rows = []
    for name in ("deliveries", "failures", "bodies"):
        for row in services.storage.table(name).list_entities():
            rows.append(
                b"|".join(
                    value if isinstance(value, bytes) else str(value).encode()
                    for value in row.values()
                )
            )
    return b"\n".join(rows)


def test_the_records_tell_nothing_of_somebody_who_has_an_account(deliveries, services, alex):
    message = {"recipient": {"userId": alex.user_id}, "activity": {"text": "Confidential!"}}
    fail(deliveries, services, message, destination=alex)

    stored = texts(services)

    assert b"order-7" in stored
    for secret in (alex.user_id, alex.conversation_id, "Confidential!"):
        assert secret.encode() not in stored
    found = deliveries.find("order-7")
    assert found.destination is not None
    assert found.destination.user_id == alex.user_id
    assert found.destination.conversation_id == alex.conversation_id
    assert services.failures.find("order-7", found.failed_on).message == message
    [listed] = services.failures.page(NOW, size=10)[0]
    assert listed.destination.user_id == alex.user_id


def test_nobody_can_tell_any_more_who_it_was_once_they_are_forgotten(deliveries, services, alex):
    day = fail(deliveries, services, {"text": "Confidential!"}, destination=alex)

    services.accounts.erase("msteams", alex.user_id)

    destination = deliveries.find("order-7").destination
    assert (destination.channel_id, destination.user_id) == ("msteams", None)
    assert destination.conversation_id is None
    assert services.failures.find("order-7", day) is None
    [listed] = services.failures.page(NOW, size=10)[0]
    assert listed.destination.user_id is None


def test_of_somebody_without_an_account_only_the_channel_is_recorded_and_a_group_is_nobody(
    deliveries, services, alex
):
    claim(deliveries, a_delivery(destination=replace(alex, key=None)))
    group = replace(alex, user_id=None, key=None)

    destination = deliveries.find("order-7").destination
    assert (destination.channel_id, destination.user_id) == ("msteams", None)
    assert alex.user_id.encode() not in texts(services)
    claim(deliveries, a_delivery(id="order-8", destination=group))
    assert deliveries.find("order-8").destination.conversation_id == alex.conversation_id


def test_a_record_that_knows_nobody_keeps_who_was_known(deliveries, alex):
    settle(deliveries, claim(deliveries, a_delivery(destination=alex)), Status.RETRYING)

    deliveries.record(a_delivery(status=Status.EXPIRED))

    assert deliveries.find("order-7").destination.user_id == alex.user_id


def test_what_failed_is_not_sent_to_somebody_who_was_forgotten_meanwhile(
    deliveries, services, alex
):
    fail(deliveries, services, {"text": "Confidential!"}, destination=alex)
    services.accounts.erase("msteams", alex.user_id)

    with pytest.raises(ForgottenRecipientError):
        claim(deliveries, put_back(destination=replace(alex, key=None)))

    assert deliveries.find("order-7").status is Status.PERMANENT_FAILURE


def test_a_message_with_which_the_process_dies_each_time_is_given_up_in_the_end(deliveries, clock):
    claim(deliveries)
    for _ in range(5):
        clock.now += timedelta(seconds=SECONDS)
        claim(deliveries)
    clock.now += timedelta(seconds=SECONDS)

    with pytest.raises(OutcomeUnknownError):
        claim(deliveries)

    assert deliveries.find("order-7").attempts == 6


# Of alerts


def of_alert(member, page=0, alert_id="alert-7", **fields):
    return a_delivery(id=id_in_alert(alert_id, page, member), alert_id=alert_id, **fields)


def members(count):
    return [f"{number:032x}" for number in range(count)]


def test_what_becomes_of_a_whole_page_is_recorded_in_few_calls(deliveries, storage_calls):
    deliveries.record(of_alert("r0", page=9, status=Status.SENT))
    results = [of_alert(each, status=Status.SUPPRESSED, code="x") for each in members(250)]
    storage_calls()

    deliveries.record_all(results)

    assert len(storage_calls()) == 3
    assert sorted(deliveries.page("alert-7", 0), key=lambda each: each.id) == results
    storage_calls()
    deliveries.record_all([])
    assert storage_calls() == []


def test_what_is_recorded_already_of_a_page_stays(deliveries):
    sent, sending, failed, *others = members(6)
    settle(deliveries, claim(deliveries, of_alert(sent)), Status.SENT)
    claimed = claim(deliveries, of_alert(sending))
    settle(deliveries, claim(deliveries, of_alert(failed)), Status.PERMANENT_FAILURE)

    deliveries.record_all([of_alert(each, status=Status.SUPPRESSED) for each in members(6)])

    found = {member_of(each.id): each.status for each in deliveries.page("alert-7", 0)}
    assert found == {
        sent: Status.SENT,
        sending: Status.SENDING,
        failed: Status.PERMANENT_FAILURE,
        **dict.fromkeys(others, Status.SUPPRESSED),
    }
    settle(deliveries, claimed, Status.SENT)
    assert deliveries.find(claimed.delivery.id).status is Status.SENT


def test_a_page_that_is_recorded_though_storage_lost_the_answer_is_recorded_once(
    lossy, through_lossy, deliveries, services
):
    lossy.lose_answer(lambda request: "/$batch" in request.path)
    results = [of_alert(each, status=Status.SUPPRESSED) for each in members(3)]

    through_lossy.record_all(results)

    assert deliveries.page("alert-7", 0) == results


def test_the_pages_of_alerts_are_apart(deliveries):
    for page, alert_id in [(0, "alert-7"), (1, "alert-7"), (0, "alert-8")]:
        deliveries.record(of_alert("r1", page, alert_id, status=Status.SENT))

    [found] = deliveries.page("alert-7", 1)
    assert found.id == "alert-7:1:r1"
    assert deliveries.page("alert-7", 2) == []


def test_a_page_is_read_in_one_call_and_tells_nobody(deliveries, alex, storage_calls):
    settle(deliveries, claim(deliveries, of_alert("r1", destination=alex)), Status.SENT)
    storage_calls()

    [found] = deliveries.page("alert-7", 0)

    assert len(storage_calls()) == 1
    assert (found.destination.channel_id, found.destination.user_id) == ("msteams", None)
    [told] = deliveries.with_recipients([found])
    assert told.destination.user_id == alex.user_id
    assert replace(told, destination=None) == replace(found, destination=None)


def test_who_was_forgotten_or_never_recorded_is_not_told(deliveries, services, alex):
    settle(deliveries, claim(deliveries, of_alert("r1", destination=alex)), Status.SENT)
    services.accounts.erase("msteams", alex.user_id)
    never = of_alert("r2", status=Status.ACCEPTED)

    forgotten, unrecorded = deliveries.with_recipients([*deliveries.page("alert-7", 0), never])

    assert forgotten.destination.user_id is None
    assert unrecorded == never


def test_what_a_person_sees_by_now_is_noted_and_all_else_stays(deliveries, alex):
    settle(
        deliveries,
        claim(deliveries, of_alert("r1", destination=alex)),
        Status.SENT,
        activity_id="activity-1",
        alert_version=1,
    )
    before = deliveries.find("alert-7:0:r1")

    deliveries.note_change("alert-7:0:r1", 2, "activity-8", recalled=False)
    assert deliveries.find("alert-7:0:r1") == replace(
        before, alert_version=2, activity_id="activity-8"
    )
    deliveries.note_change("alert-7:0:r1", 3, "activity-8", recalled=True)
    assert deliveries.find("alert-7:0:r1") == replace(
        before, alert_version=3, activity_id="activity-8", recalled=True
    )
    # Nothing is noted of what is not recorded.
    deliveries.note_change("alert-7:0:r2", 2, "activity-8", recalled=False)
    assert deliveries.get("alert-7:0:r2") is None


def test_a_note_is_made_though_the_row_is_changed_meanwhile(
    deliveries, services, clock, app_settings
):
    settle(deliveries, claim(deliveries, of_alert("r1")), Status.SENT)

    def note_another():
        deliveries.note_change("alert-7:0:r1", 2, "activity-7", recalled=False)

    with InterruptedStorage(
        app_settings[STORAGE], writes("deliveries"), before=note_another
    ) as storage:
        slow = Storage(StorageAccount.from_connection_string(storage.connection_string), threads=4)
        build(services, clock, storage=slow).note_change(
            "alert-7:0:r1", 3, "activity-8", recalled=True
        )
        assert storage.interrupted == 1

    noted = deliveries.find("alert-7:0:r1")
    assert (noted.alert_version, noted.activity_id, noted.recalled) == (3, "activity-8", True)


def test_a_note_is_made_though_storage_lost_the_answer(lossy, through_lossy, deliveries, services):
    settle(deliveries, claim(deliveries, of_alert("r1")), Status.SENT)
    lossy.lose_answer(lambda request: request.method == "PUT")

    through_lossy.note_change("alert-7:0:r1", 2, "activity-8", recalled=False)

    assert deliveries.find("alert-7:0:r1").alert_version == 2


def test_an_answer_tells_what_is_known_and_nothing_of_our_own(alex):
    little = Delivery("order-7", Status.ACCEPTED, NOW, NOW, posting="first")
    assert little.to_json() == {
        "id": "order-7",
        "status": "accepted",
        "attempts": 0,
        "createdAt": NOW.isoformat(),
        "updatedAt": NOW.isoformat(),
    }
    later = NOW + timedelta(seconds=1)
    whole = replace(
        of_alert("r1", destination=alex, attempts=2, code="Odd", detail="d", correlation_id="c"),
        updated_at=later,
        activity_id="7",
        recreated=True,
        ambiguous=True,
        owner="me",
        until=NOW,
        failed_on="2026-03-01",
        alert_version=3,
        recalled=True,
    )
    assert whole.to_json() == {
        "id": "alert-7:0:r1",
        "status": "sending",
        "channelId": "msteams",
        "recipient": {"channelId": "msteams", "userId": alex.user_id},
        "conversationId": alex.conversation_id,
        "attempts": 2,
        "code": "Odd",
        "detail": "d",
        "correlationId": "c",
        "activityId": "7",
        "recreated": True,
        "ambiguous": True,
        "alertId": "alert-7",
        "alertVersion": 3,
        "recalled": True,
        "createdAt": NOW.isoformat(),
        "updatedAt": later.isoformat(),
    }
