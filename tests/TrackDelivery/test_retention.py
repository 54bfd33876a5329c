"""Removing what is old: page by page, from where the last run was cut short."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.alerts.alert import Alert
from shared.alerts.audience_pages import AudiencePage
from shared.alerts.incidents import Incident
from shared.alerts.question import Answer
from shared.deliveries.delivery import Delivery, Status
from shared.deliveries.failures import Failure
from shared.deliveries.rows import id_in_alert
from shared.deliveries.store import Claim
from shared.errors import UnknownAlertError, UnknownDeliveryError
from shared.messages.queue_names import QUEUES, SEND_ACTIVITY
from shared.storage.queues import Queue
from shared.storage.tables import Table, key_of
from tests.support.builders import services_of, unique
from tests.support.lossy_storage import LossyStorage
from TrackDelivery import retention
from TrackDelivery.retention import remove_old_rows

STORAGE = "AzureWebJobsStorage"


@pytest.fixture
def strict(app_settings, queue_reader):
    """A bot that keeps records for a day; what other tests left is gone."""
    services = services_of(app_settings, DeliveryRetentionDays="1")
    for queue in QUEUES:
        queue_reader(queue).clear()
        queue_reader(f"{queue}-poison").clear()
    # Some of them are kept for longer, and looked through first.
    services.storage.table("alerts").delete_table()
    remove_a_day_later(services)
    return services


def remove_a_day_later(services, **limits):
    remove_old_rows(services, now=datetime.now(UTC) + timedelta(days=1, minutes=1), **limits)


def record(services, count):
    now = datetime.now(UTC)
    deliveries = [Delivery(f"order-{n}", Status.EXPIRED, now, now) for n in range(count)]
    for each in deliveries:
        services.deliveries.record(each)
    return deliveries


def left(services):
    found = 0
    for number in itertools.count():
        try:
            services.deliveries.find(f"order-{number}")
        except UnknownDeliveryError:
            if number > 10:
                return found
        else:
            found += 1
    return found


def ticking(step=1.0):
    """A clock that goes on each time somebody looks."""
    return itertools.count(0.0, step).__next__


def test_what_is_old_is_removed_and_what_is_young_is_kept(strict, app_settings):
    [delivery, *_] = record(strict, 3)
    day = strict.failures.keep(delivery, Failure(SEND_ACTIVITY, {"text": "News"}))

    remove_old_rows(services_of(app_settings))
    assert left(strict) == 3
    assert strict.failures.find(delivery.id, day) is not None
    remove_a_day_later(strict)
    assert left(strict) == 0
    assert strict.failures.page(datetime.now(UTC) - timedelta(days=1), size=10) == ([], None)


def test_what_is_on_its_way_is_kept_for_a_day(strict):
    key = strict.queues.large_values.keep("on its way")
    lease = strict.leases.acquire("start", "29:alex", seconds=60)
    strict.leases.acquire("start", "29:sam", seconds=0)
    answers, leases = (Table(strict.storage, name) for name in ("idempotency", "leases"))
    answers.put({"PartitionKey": "key", "RowKey": "answer"})

    def there():
        found = answers.get("key", "answer"), leases.get(key_of("start", "29:sam"), "lease")
        return [each is not None for each in found]

    remove_old_rows(strict)
    assert strict.queues.large_values.fetch(key) == "on its way"
    assert there() == [True, True]
    remove_a_day_later(strict)
    assert there() == [False, False]
    assert strict.leases.acquire("start", "29:alex", seconds=60) is None
    strict.leases.release(lease)


@pytest.fixture
def small_pages(strict, monkeypatch):
    monkeypatch.setattr(retention, "_PAGE_SIZE", 2)


def test_a_run_that_is_cut_short_is_resumed_by_the_next(strict, small_pages, storage_calls):
    record(strict, 7)
    storage_calls()

    # A look at each poison queue and at the alerts comes first.
    remove_a_day_later(strict, most_seconds=len(QUEUES) + 4, clock=ticking())

    first = storage_calls()
    assert any(call.startswith("GET /deliveries()") and "top=2" in call for call in first)
    assert 0 < left(strict) < 7
    assert Table(strict.storage, "retention").get("deliveries", "retention") is not None
    assert not any("/failures" in call for call in first)
    storage_calls()

    remove_a_day_later(strict)

    resumed = [call for call in storage_calls() if call.startswith("GET /deliveries()")]
    assert "NextPartitionKey" in resumed[0]
    assert left(strict) == 0
    assert Table(strict.storage, "retention").get("deliveries", "retention") is None


def test_a_run_without_time_removes_nothing(strict):
    record(strict, 1)

    remove_a_day_later(strict, most_seconds=0, clock=ticking())

    assert left(strict) == 1


class OvertakenStorage(LossyStorage):
    """Has somebody do something just before the first row is removed."""

    def __init__(self, connection_string, overtake):
        self._overtake = [overtake]
        super().__init__(connection_string)

    def default_answer(self, request):
        if request.method == "DELETE" and self._overtake:
            self._overtake.pop()()
        return super().default_answer(request)


def test_what_changed_since_it_was_found_is_kept(strict, app_settings):
    [delivery] = record(strict, 1)

    def put_back():
        later = replace(delivery, posting="another")
        changed.append(strict.deliveries.claim(later, seconds=25, is_new=False))

    changed: list[Claim] = []
    with OvertakenStorage(app_settings[STORAGE], put_back) as overtaken:
        settings = {STORAGE: overtaken.connection_string, "DeliveryRetentionDays": "1"}
        remove_a_day_later(services_of(app_settings, **settings))

    assert changed
    assert strict.deliveries.find(delivery.id).status is Status.SENDING


# Alerts


def an_alert(services, send_at=None):
    now = datetime.now(UTC)
    said = services.alerts.keep({"activity": {"text": "News"}}, send_at)
    alert = Alert(
        unique("alert"),
        now,
        now,
        fingerprint="",
        content_key=said,
        send_at=send_at,
        until=services.alerts.kept_until(send_at) if send_at else None,
    )
    services.alerts.create(alert)
    page = AudiencePage(alert.id, 0, "", "", now, ("r0",), {}, share=1.0)
    services.audience_pages.open(page)
    return alert


def remove_in(services, days):
    remove_old_rows(services, now=datetime.now(UTC) + timedelta(days=days))


def test_an_alert_and_its_pages_are_kept_for_as_long_as_its_deliveries(strict):
    alert = an_alert(strict)

    remove_in(strict, 0.9)
    assert strict.alerts.find(alert.id) == alert
    assert strict.audience_pages.find(alert.id, 0) is not None

    remove_in(strict, 1.1)
    with pytest.raises(UnknownAlertError):
        strict.alerts.find(alert.id)
    assert strict.audience_pages.find(alert.id, 0) is None


def test_what_is_to_be_sent_some_day_is_kept_until_then(strict):
    now, later = an_alert(strict), an_alert(strict, datetime.now(UTC) + timedelta(days=300))

    remove_in(strict, 200)

    assert strict.alerts.find(later.id) == later
    # What an alert says is kept until a time which is not over, whatever the run takes for now.
    assert None not in (strict.alerts.content(now), strict.alerts.content(later))


def test_what_was_kept_until_a_time_that_is_over_is_removed(strict):
    checks = strict.queues.large_values
    over = checks.keep("over", until=datetime.now(UTC) - timedelta(seconds=1))
    not_over = checks.keep("not over", until=datetime.now(UTC) + timedelta(hours=1))

    remove_in(strict, 7.9)
    assert (checks.fetch(over), checks.fetch(not_over)) == ("over", "not over")
    remove_in(strict, 8.1)
    assert (checks.fetch(over), checks.fetch(not_over)) == (None, "not over")


def test_what_a_message_may_need_is_kept_for_as_long_as_it_waits(strict, queue_reader):
    key = strict.queues.large_values.keep("waits")
    Queue(strict.storage, SEND_ACTIVITY).send("{}")

    remove_in(strict, 40)
    assert strict.queues.large_values.fetch(key) == "waits"
    queue_reader(SEND_ACTIVITY).clear()
    remove_in(strict, 40)
    assert strict.queues.large_values.fetch(key) is None


def test_what_was_recorded_of_an_alert_is_kept_until_it_has_ended(strict):
    alert = an_alert(strict)
    keep_until = datetime.now(UTC) + timedelta(days=50)
    strict.alerts.change(alert.id, lambda current: replace(current, until=keep_until))
    now = datetime.now(UTC)
    strict.deliveries.record(
        Delivery(id_in_alert(alert.id, 0, "r0"), Status.SENT, now, now, alert_id=alert.id)
    )
    strict.answers.record(Answer("yes", now, id_in_alert(alert.id, 0, "r0"), "key"), after=0)

    def is_recorded():
        page = strict.audience_pages.find(alert.id, 0)
        answers, _ = strict.answers.page(alert.id, 10, None)
        return page is not None, len(strict.deliveries.page(alert.id, 0)), len(answers)

    remove_in(strict, 40)
    assert is_recorded() == (True, 1, 1)
    strict.alerts.change(alert.id, lambda current: replace(current, ended_at=now))
    remove_in(strict, 40)
    assert is_recorded() == (False, 0, 0)


def test_an_incident_is_kept_for_a_day_more_as_a_repeat_is_noted_once_a_day(strict):
    name = ("generic", "{}", unique("backup"))
    heard_of = Incident(*name, "firing", "backups", "Backup failed", datetime.now(UTC))
    strict.incidents.change(*name, lambda known: heard_of)

    remove_in(strict, 1.9)
    assert strict.incidents.find(*name) is not None
    remove_in(strict, 2.1)
    assert strict.incidents.find(*name) is None


# Queues


def test_failed_messages_and_outcomes_are_removed_with_their_records_and_young_ones_are_kept(
    strict, app_settings
):
    app_settings["OutcomeQueue"] = unique("outcomes")
    strict = services_of(app_settings, DeliveryRetentionDays="1")
    names = [*(f"{queue}-poison" for queue in QUEUES), app_settings["OutcomeQueue"]]
    queues = [Queue(strict.storage, name) for name in names]
    for queue in queues:
        queue.send("{}")
        queue.send("{}")

    remove_old_rows(services_of(app_settings))
    assert [queue.count() for queue in queues] == [2] * len(queues)
    remove_a_day_later(strict)
    assert [queue.count() for queue in queues] == [0] * len(queues)
