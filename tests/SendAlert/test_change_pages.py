"""The steps that visit the pages of an alert again: edits, recalls and retries of what failed."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from SendAlert.change_pages import change_page
from SendAlert.service import retry_alert
from shared.alerts.store import REMEMBERED_FOR
from shared.deliveries.delivery import Status
from shared.deliveries.rows import id_in_alert
from shared.errors import HeldBackError
from shared.messages.envelope import AlertChange, Step
from shared.messages.queue_names import DELETE_ACTIVITY, SEND_ACTIVITY, UPDATE_ACTIVITY
from shared.sending.alert_lifecycle import edit_alert, recall_alert
from shared.sending.redrive import put_back
from tests.SendAlert.alerting import STORAGE, interrupted, through
from tests.support.builders import remembering_alerts_by
from tests.support.connector import is_send
from tests.support.lossy_storage import LossyStorage, writes

PAGES = 40
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


def recall(alerting, alert):
    return recall_alert(alert.id, alerting.services)


def only_delivery(alerting, alert):
    [delivery] = alerting.services.deliveries.page(alert.id, 0)
    return delivery


def changes(alerting):
    """The edits of copies that are enqueued."""
    return [
        AlertChange.model_validate(message["_flow"]["change"])
        for message in alerting.worker.waiting[UPDATE_ACTIVITY].take()
    ]


def calls(connector, method):
    return [call for call in connector.requests if call.method == method]


# Edits and recalls


def send_to_seven(alerting):
    """Send an alert to three pages of people."""
    alerting.know(7)
    alert = alerting.accept()
    alerting.run(alert)
    alerting.worker.run()
    return alert


def go_round(alerting, alert):
    """Take the steps of a change until it ends; return the pages that they visited."""
    seen = []
    while steps := alerting.steps("change"):
        [step] = steps
        seen.append(step.page)
        alerting.take_again(alert, step)
    return seen


def test_an_edit_visits_each_page_once(alerting):
    alert = send_to_seven(alerting)

    edit(alerting, alert)

    assert go_round(alerting, alert) == [0, 1, 2, 3]
    assert len(changes(alerting)) == 7


def test_a_newer_edit_goes_round_the_pages_from_where_the_one_before_is(alerting):
    alert = send_to_seven(alerting)
    edit(alerting, alert)
    [first] = alerting.steps("change")
    alerting.take_again(alert, first)
    alerting.steps()
    edit(alerting, alert)

    # A first step does not say where it begins.
    assert go_round(alerting, alert) == [0, 2, 3, 0]
    reached = Counter(each.version for each in changes(alerting))
    assert reached == {2: 3, 3: 7}
    # The next one begins there, even where there is no such page any more.
    alerting.services.alerts.change(alert.id, lambda current: replace(current, change_page=9))
    recall(alerting, alert)
    assert go_round(alerting, alert) == [0, 0, 1, 2, 3]


@pytest.mark.soak
def test_copies_of_an_alert_that_changes_all_the_time_take_turns(alerting, connector):
    """Forty pages, whose calls take seven seconds each; a change every six, for ten minutes."""
    alerting.services = replace(alerting.services, pacer=alerting.pacer(alerting.sending, 1))
    alerting.know(PAGES)
    alert = alerting.send()
    clock = alerting.clock
    end = clock.now + timedelta(minutes=10)
    changes_at = [clock.now + n * timedelta(seconds=6) for n in range(100)]
    text, in_time = "", 0
    waiting: list[tuple[datetime, Step]] = []
    reached: list[str] = []
    while changes_at or waiting:
        waiting.sort(key=lambda each: each[0])
        if changes_at and (not waiting or changes_at[0] <= waiting[0][0]):
            clock.now = changes_at.pop(0)
            text = f"News at {clock.now}"
            edit_alert(alert.id, {"activity": {"text": text}}, alerting.services)
        else:
            clock.now, step = max(waiting[0][0], clock.now), waiting.pop(0)[1]
            try:
                change_page(alerting.services.alerts.find(alert.id), step, alerting.services)
            except HeldBackError as error:
                wait = timedelta(seconds=error.retry_after_seconds or 0)
                waiting.append((clock.now + wait, step))
                continue
            for message in alerting.worker.waiting[UPDATE_ACTIVITY].take():
                alerting.worker.handle(message, UPDATE_ACTIVITY)
            # Whoever is reached sees the alert as it is then.
            edits = calls(connector, "PUT")[len(reached) :]
            assert {call.json["text"] for call in edits} <= {text}
            reached += [call.json["conversation"]["id"] for call in edits]
            in_time = len(reached) if clock.now <= end else in_time
        waiting += [(clock.now, step) for step in alerting.steps("change")]

    # Each is reached once in each pass, and after the last change once more at most.
    assert in_time > 2 * PAGES
    assert len(set(reached[:PAGES])) == PAGES
    assert reached[PAGES:] == reached[: len(reached) - PAGES]
    assert len(reached) <= in_time + PAGES
    assert alerting.take(alert, "close").counts == {"sent": PAGES, "current": PAGES}


@pytest.mark.parametrize("is_known", [False, True], ids=["not known yet", "known"])
@pytest.mark.parametrize("is_retried", [False, True], ids=["sent", "put back"])
@pytest.mark.parametrize(
    ("change", "method", "counts"),
    [
        (edit, "PUT", {"sent": 1, "current": 1}),
        (recall, "DELETE", {"sent": 1, "recalled": 1}),
    ],
    ids=["edit", "recall"],
)
def test_a_copy_that_is_sent_while_its_alert_is_changed_is_changed_too(
    alerting, connector, is_retried, change, method, counts, is_known
):
    """The Connector answers after the change has visited all pages, or when it is still unknown."""
    [person] = alerting.know(1)
    if is_retried:
        fail_for(connector, person)
    alert = alerting.accept()
    alerting.run(alert)
    if is_retried:
        alerting.worker.run()
        assert alerting.take(alert, "close").ended_at is not None
        put_back(only_delivery(alerting, alert), alerting.services)
    [message] = alerting.worker.waiting[SEND_ACTIVITY].take()
    seconds = 0.0
    sender = remembering_alerts_by(lambda: seconds, alerting.sending)
    connector.block(times=1)
    with ThreadPoolExecutor() as pool:
        sending = pool.submit(alerting.worker.handle, message, services=sender)
        connector.wait_for_waiting(1)
        change(alerting, alert)
        if is_known:
            alerting.run(alert)
            seconds += REMEMBERED_FOR.total_seconds()
        connector.release()
        sending.result()
    changed_itself = alerting.messages(UPDATE_ACTIVITY) + alerting.messages(DELETE_ACTIVITY)
    assert changed_itself == is_known

    alerting.rest(alert)
    ended = alerting.finish(alert)

    assert [call.json.get("text") for call in calls(connector, "PUT")] == (
        ["Edited"] if method == "PUT" else []
    )
    assert len(calls(connector, "DELETE")) == (method == "DELETE")
    assert ended.ended_at is not None
    assert ended.counts == counts


def test_who_died_after_a_late_send_is_followed_by_who_changes_its_copy(alerting, connector):
    alerting.know(1)
    alert = alerting.accept()
    alerting.run(alert)
    [message] = alerting.worker.waiting[SEND_ACTIVITY].take()
    alerting.worker.handle(message)
    edit(alerting, alert)

    other = remembering_alerts_by(lambda: 0.0, alerting.sending)
    alerting.worker.handle(message, services=other)

    [change] = changes(alerting)
    assert change.version == 2
    assert len(calls(connector, "POST")) == 1


def test_a_change_brings_the_latest_version_until_that_goes_round_itself(alerting, sent):
    edit(alerting, sent)
    edit(alerting, sent)
    first, second = alerting.steps("change")

    alerting.take_again(sent, first)
    assert [each.version for each in changes(alerting)] == [3] * 3
    [overtaken] = alerting.steps("change")
    alerting.take_again(sent, second)
    assert [each.version for each in changes(alerting)] == [3]
    [onward] = alerting.steps("change")

    alerting.take_again(sent, overtaken)
    assert changes(alerting) == alerting.steps("change") == []
    assert (overtaken.page, onward.page, onward.first_page) == (1, 2, 1)


def test_a_copy_that_was_missed_holds_its_alert_up_for_minutes_at_most(alerting, connector):
    """Its process stood still, and so did the clock by which it remembers the alert."""
    alerting.know(1)
    alert = alerting.accept()
    alerting.run(alert)
    [message] = alerting.worker.waiting[SEND_ACTIVITY].take()
    stopped = remembering_alerts_by(lambda: 0.0, alerting.sending)
    stopped.alerts.current(alert.id)
    edit(alerting, alert)
    go_round(alerting, alert)
    alerting.worker.handle(message, services=stopped)
    assert alerting.messages(UPDATE_ACTIVITY) == 0
    alerting.steps()

    alerting.take(alert, "close", checks=8)
    for _ in range(2):
        [step] = alerting.steps("change")
        alerting.take_again(alert, step)
    # It leads to no third one.
    assert 9 in [step.checks for step in alerting.steps("close")]
    alerting.worker.run()
    assert [call.json["text"] for call in calls(connector, "PUT")] == ["Edited"]
    assert alerting.take(alert, "close").counts == {"sent": 1, "current": 1}


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
    alerting.services.accounts.erase("msteams", forgotten.user_id)

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
