"""The steps that visit the pages of an alert again: edits, recalls and retries of what failed."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from SendAlert.service import retry_alert
from shared.accounts.erasure import erase
from shared.deliveries.delivery import Status
from shared.deliveries.rows import id_in_alert
from shared.messages.envelope import AlertChange
from shared.messages.queue_names import SEND_ACTIVITY, UPDATE_ACTIVITY
from shared.sending.alert_lifecycle import edit_alert, recall_alert
from shared.wiring import Services
from tests.SendAlert.alerting import STORAGE, delays, interrupted, through, writes
from tests.support.connector import is_send
from tests.support.lossy_storage import LossyStorage

NEW_TEXT = {"activity": {"text": "Edited"}}


@pytest.fixture
def sent(alerting):
    """An alert that was sent to four people on two pages, and has ended."""
    alerting.know(4)
    alert = alerting.send()
    assert alert.ended_at is not None
    alerting.steps()
    return alert


def edit(alerting, alert):
    return edit_alert(alert.id, NEW_TEXT, alerting.services)


def changes(alerting):
    """The edits of copies that are enqueued."""
    return [
        AlertChange.model_validate(message["_flow"]["change"])
        for message in alerting.worker.waiting[UPDATE_ACTIVITY].take()
    ]


def calls(connector, method):
    return [call for call in connector.requests if call.method == method]


# Edits and recalls


def test_an_edit_visits_all_pages_and_the_open_ones_once_more(alerting, storage_calls):
    alerting.know(7)
    alert = alerting.accept()
    alerting.run(alert)
    alerting.worker.run()
    # Of three pages, the second one has not been closed yet.
    for number in (0, 2):
        counts = {"sent": len(alerting.page(alert, number).members)}
        assert alerting.services.audience_pages.close(alerting.page(alert, number), counts, 1)

    edit(alerting, alert)

    seen = []
    while steps := alerting.steps("change"):
        [step] = steps
        seen.append((step.page, step.is_last))
        storage_calls()
        alerting.take_again(alert, step)
    assert seen == [(0, False), (1, False), (2, False), (3, False)]
    [delay] = delays(storage_calls())
    assert delay > alerting.services.settings.connector_timeout_seconds
    assert len(changes(alerting)) == 7


def test_pages_that_had_ended_before_an_edit_are_visited_once(alerting, sent, storage_calls):
    edit(alerting, sent)
    storage_calls()

    alerting.run(sent)

    assert [delay for delay in delays(storage_calls()) if delay > 10] == []
    assert len(changes(alerting)) == 4


def test_who_was_being_sent_to_during_an_edit_is_found_the_second_time(alerting, connector):
    people = alerting.know(2)
    alert = alerting.accept()
    alerting.run(alert)
    first, second = alerting.worker.waiting[SEND_ACTIVITY].take()
    alerting.worker.handle(first)
    # Whoever sends the second message does not know of the edit yet.
    unaware = Services.of(alerting.sending.settings)
    unaware.alerts.current(alert.id)
    connector.block(times=1)
    with ThreadPoolExecutor() as pool:
        sending = pool.submit(alerting.worker.handle, second, services=unaware)
        connector.wait_for_waiting(1)
        edit(alerting, alert)
        alerting.run(alert)
        connector.release()
        sending.result()
    assert len(changes(alerting)) == 1

    alerting.take(alert, "change", version=2, is_last=True, first_open_page=0)
    alerting.finish(alert)

    assert {call.json["conversation"]["id"] for call in connector.requests[2:]} == {
        f"a:{each.user_id}" for each in people
    }
    assert alerting.counts(alert) == {"sent": 2, "current": 2}


def test_a_step_of_an_older_change_does_nothing(alerting, sent):
    edit(alerting, sent)
    edit(alerting, sent)
    first, second = alerting.steps("change")

    alerting.take_again(sent, first)
    assert changes(alerting) == alerting.steps("change") == []
    alerting.take_again(sent, second)
    assert {each.version for each in changes(alerting)} == {3}


def test_a_page_that_is_visited_twice_has_each_copy_edited_once(alerting, connector, sent):
    edit(alerting, sent)
    [step] = alerting.steps("change")

    alerting.take_again(sent, step)
    alerting.take_again(sent, step)
    alerting.finish(sent)

    edits = calls(connector, "PUT")
    assert len(edits) == len({call.path for call in edits}) == 4
    assert alerting.counts(sent) == {"sent": 4, "current": 4}


def test_an_edit_that_is_enqueued_when_the_alert_is_recalled_is_dropped(alerting, connector, sent):
    edit(alerting, sent)
    [step] = alerting.steps("change")
    alerting.take_again(sent, step)
    assert alerting.messages(UPDATE_ACTIVITY) == 3

    recall_alert(sent.id, alerting.services)
    alerting.rest(sent)
    ended = alerting.finish(sent)

    deleted = [call.path for call in calls(connector, "DELETE")]
    assert len(deleted) == len(set(deleted)) == 4
    assert calls(connector, "PUT") == []
    assert ended.ended_at is not None
    assert alerting.counts(sent) == {"sent": 4, "recalled": 4}


def test_who_was_forgotten_holds_up_no_edit(alerting, connector):
    [stayed, forgotten] = alerting.know(2)
    alert = alerting.send()
    erase("msteams", forgotten.user_id, alerting.services.accounts, alerting.services.conversations)

    edit(alerting, alert)
    ended = alerting.finish(alert)

    edited = [call.json["conversation"]["id"] for call in calls(connector, "PUT")]
    assert edited == [f"a:{stayed.user_id}"]
    assert ended.ended_at is not None
    assert alerting.counts(alert) == {"sent": 2, "current": 1}


# Retries


def fail_for(connector, *people):
    broken = {f"a:{each.user_id}" for each in people}
    connector.fail(
        400,
        "BadSyntax",
        times=len(people),
        when=lambda call: is_send(call) and call.json["conversation"]["id"] in broken,
    )


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


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_page_that_is_put_back_while_it_is_closed_is_counted_again(
    alerting, app_settings, connector, moment
):
    """Right before or after its counts are written, which the alert does not have yet."""
    [person] = alerting.know(1)
    fail_for(connector, person)
    alert = alerting.accept()
    alerting.run(alert)
    alerting.worker.run()

    def retry():
        retry_alert(alert.id, alerting.services)
        alerting.take(alert, "retry")

    closes = writes("pages", alert.id)
    with interrupted(app_settings, alerting, closes, **{moment: retry}) as slow:
        still_open = alerting.take(alert, "close", services=slow)

    assert (still_open.closed_pages, still_open.ended_at) == (0, None)
    assert alerting.page(alert).counts is None
    assert alerting.finish(alert).counts == {"sent": 1, "current": 1}


def test_an_edit_that_failed_is_put_back_too(alerting, connector, sent):
    connector.fail(400, "BadSyntax", when=lambda call: call.method == "PUT")
    edit(alerting, sent)
    alerting.finish(sent)
    assert alerting.counts(sent) == {"sent": 4, "current": 3}

    retry_alert(sent.id, alerting.services)
    ended = alerting.finish(sent)

    assert ended.ended_at is not None
    assert alerting.counts(sent) == {"sent": 4, "current": 4}
    assert len(calls(connector, "PUT")) == 5


def test_what_failed_for_who_was_forgotten_is_not_put_back(alerting, half_failed):
    alert, broken = half_failed
    erase("msteams", broken[0].user_id, alerting.services.accounts, alerting.services.conversations)

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


def test_of_a_recalled_alert_the_failed_recalls_are_put_back(alerting, connector, sent):
    connector.fail(400, "BadSyntax", when=lambda call: call.method == "DELETE")
    recall_alert(sent.id, alerting.services)
    alerting.rest(sent)
    alerting.finish(sent)
    assert alerting.counts(sent) == {"sent": 4, "recalled": 3}

    retry_alert(sent.id, alerting.services)
    ended = alerting.finish(sent)

    assert ended.ended_at is not None
    assert alerting.counts(sent) == {"sent": 4, "recalled": 4}
    assert len(calls(connector, "POST")) == 4
