"""The steps that put back what failed of an alert, page by page."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from SendAlert.service import retry_alert
from shared.deliveries.delivery import Status
from shared.deliveries.rows import id_in_alert
from shared.errors import StorageRefusedError
from shared.messages.queue_names import SEND_ACTIVITY, SEND_ALERT
from shared.sending.redrive import put_back
from tests.SendAlert.alerting import STORAGE, delays, interrupted, through
from tests.SendAlert.changing import calls, edit, fail_for, only_delivery, recall
from tests.support.lossy_storage import LossyStorage, writes


@pytest.fixture
def half_failed(alerting, connector):
    """An alert to four people on two pages that failed for one on each, and has ended."""
    people = alerting.know(4)
    fail_for(connector, people[1], people[3])
    alert = alerting.send()
    assert alerting.counts(alert) == {"sent": 2, "permanent-failure": 2, "current": 2}
    assert alert.ended_at is not None
    alerting.steps()
    return alert, (people[1], people[3])


def test_what_failed_is_put_back_once_and_counted_anew(alerting, connector, half_failed):
    alert, broken = half_failed
    before = len(connector.requests)

    retry_alert(alert.id, alerting.services)
    assert [step.page for step in alerting.steps("retry")] == [0]
    alerting.take(alert, "retry")
    alerting.take(alert, "retry")
    alerting.take(alert, "retry", page=1)

    reopened = alerting.services.alerts.find(alert.id)
    assert (reopened.ended_at, reopened.closed_pages, reopened.counts) == (None, 0, {})
    assert alerting.counts(alert) == {"sent": 2, "accepted": 2, "current": 2}
    accepted = alerting.services.deliveries.find(id_in_alert(alert.id, 0, broken[0].key.id))
    assert accepted.status is Status.ACCEPTED
    assert accepted.destination is not None
    assert accepted.destination.user_id == broken[0].user_id
    ended = alerting.finish(alert)
    assert ended.ended_at is not None
    assert ended.counts == {"sent": 4, "current": 4}
    sent_again = [call.json["conversation"]["id"] for call in connector.requests[before:]]
    assert sorted(sent_again) == sorted(f"a:{each.user_id}" for each in broken)


def test_who_died_before_reopening_a_page_is_followed_by_who_does(
    alerting, app_settings, half_failed
):
    alert, _ = half_failed
    retry_alert(alert.id, alerting.services)
    alerting.steps()

    with LossyStorage(app_settings[STORAGE]) as storage:
        storage.answer(400, times=float("inf"), when=writes("pages"))
        dying = through(storage, app_settings, alerting.services)
        with pytest.raises(Exception, match="Storage"):
            alerting.take(alert, "retry", services=dying)
    alerting.take(alert, "retry")
    alerting.take(alert, "retry", page=1)
    ended = alerting.finish(alert)

    assert ended.ended_at is not None
    assert alerting.counts(alert) == {"sent": 4, "current": 4}


def retry_all(alerting, alert):
    retry_alert(alert.id, alerting.services)
    alerting.take(alert, "retry")


def retry_one(alerting, alert):
    """Put a delivery back by its id, and have it sent."""
    put_back(only_delivery(alerting, alert), alerting.services)
    alerting.worker.run()


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("retry", [retry_all, retry_one])
def test_a_page_that_is_put_back_while_it_is_closed_is_counted_again(
    alerting, app_settings, connector, moment, retry
):
    """Right before or after its counts are written, which the alert does not have yet."""
    [person] = alerting.know(1)
    fail_for(connector, person)
    alert = alerting.accept()
    alerting.run(alert)
    alerting.worker.run()

    def put_back_meanwhile():
        retry(alerting, alert)

    closes = writes("pages", alert.id)
    with interrupted(app_settings, alerting, closes, **{moment: put_back_meanwhile}) as slow:
        still_open = alerting.take(alert, "close", services=slow)

    assert (still_open.closed_pages, still_open.ended_at) == (0, None)
    assert alerting.page(alert).counts is None
    assert alerting.finish(alert).counts == {"sent": 1, "current": 1}


def test_who_died_before_having_what_was_put_back_counted_is_followed_by_who_does(
    alerting, app_settings, connector, storage_calls
):
    [person] = alerting.know(1)
    fail_for(connector, person)
    alert = alerting.send()
    alerting.queue.clear()
    put_back(only_delivery(alerting, alert), alerting.services)
    [message] = alerting.worker.waiting[SEND_ACTIVITY].take()

    with LossyStorage(app_settings[STORAGE], "Queue") as storage:
        storage.answer(400, when=lambda request: SEND_ALERT in request.path)
        dying = through(storage, app_settings, alerting.services)
        with pytest.raises(StorageRefusedError):
            alerting.worker.handle(message, services=dying)
    storage_calls()
    alerting.worker.handle(message)

    assert delays(storage_calls()) == [5]
    assert alerting.take(alert, "close").counts == {"sent": 1, "current": 1}


@pytest.mark.parametrize(
    ("change", "method", "counted"), [(edit, "PUT", "current"), (recall, "DELETE", "recalled")]
)
def test_an_edit_or_a_recall_that_failed_is_put_back_too(
    alerting, connector, sent, change, method, counted
):
    connector.fail(400, "BadSyntax", when=lambda call: call.method == method)
    change(alerting, sent)
    alerting.rest(sent)
    alerting.finish(sent)
    assert alerting.counts(sent) == {"sent": 4, counted: 3}

    retry_alert(sent.id, alerting.services)
    ended = alerting.finish(sent)

    assert ended.ended_at is not None
    assert alerting.counts(sent) == {"sent": 4, counted: 4}
    assert (len(calls(connector, "POST")), len(calls(connector, method))) == (4, 5)


@pytest.mark.parametrize(("pages", "lost"), [(0, 1), (1, 3)])
def test_an_audience_is_read_on_by_all_chains_whose_steps_were_lost(
    alerting, connector, many_tenants, pages, lost
):
    alert = alerting.accept()
    for _ in range(pages):
        alerting.steps()
        alerting.take(alert, "read")
    assert len(alerting.steps("read")) == lost

    retry_alert(alert.id, alerting.services)
    ended = alerting.finish(alert)

    assert ended.ended_at is not None
    assert len(calls(connector, "POST")) == len(many_tenants)
    assert alerting.counts(alert) == {"sent": 50, "current": 50}


@pytest.mark.parametrize(("people", "kind"), [(4, "read"), (2, "close")])
def test_a_step_that_waited_while_its_alert_was_retried_does_nothing(
    alerting, storage_calls, people, kind
):
    alerting.know(people)
    alert = alerting.accept()
    alerting.steps()
    read = alerting.take(alert, "read")
    [waiting] = alerting.steps(kind)

    retry_alert(alert.id, alerting.services)
    for _ in range(read.next_page + 1):
        [step] = alerting.steps("retry")
        alerting.take_again(alert, step)
    [instead] = alerting.steps(kind)
    storage_calls()
    alerting.take_again(alert, waiting)

    assert delays(storage_calls()) == []
    alerting.take_again(alert, instead)
    ended = alerting.finish(alert)
    assert ended.ended_at is not None
    assert ended.counts == {"sent": people, "current": people}


def test_what_failed_for_who_was_forgotten_is_not_put_back(alerting, half_failed):
    alert, broken = half_failed
    alerting.services.accounts.erase("msteams", broken[0].user_id)

    retry_alert(alert.id, alerting.services)
    ended = alerting.finish(alert)

    assert ended.ended_at is not None
    assert alerting.counts(alert) == {"sent": 3, "permanent-failure": 1, "current": 3}


def test_nothing_of_a_stopped_alert_is_put_back(alerting, half_failed):
    alert, _ = half_failed
    retry_alert(alert.id, alerting.services)
    alerting.services.alerts.change(
        alert.id, lambda current: replace(current, cancelled_at=datetime.now(UTC))
    )

    alerting.take(alert, "retry")

    assert alerting.messages() == 0
