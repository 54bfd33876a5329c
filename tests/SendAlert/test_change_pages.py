"""The steps that bring the copies of an alert to what it says now, page by page."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from SendAlert.change_pages import change_page
from shared.alerts.store import REMEMBERED_FOR
from shared.errors import HeldBackError
from shared.messages.envelope import Step
from shared.messages.queue_names import DELETE_ACTIVITY, SEND_ACTIVITY, UPDATE_ACTIVITY
from shared.sending.alert_lifecycle import edit_alert, recall_alert
from shared.sending.redrive import put_back
from tests.SendAlert.alerting import delays
from tests.SendAlert.changing import calls, changes, edit, fail_for, only_delivery, recall
from tests.support.builders import remembering_alerts_by

PAGES = 40


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
    assert go_round(alerting, alert) == [0, 1, 2, 3]


def test_a_step_that_is_given_out_twice_falls_behind_until_it_does_nothing(alerting, storage_calls):
    alert = send_to_seven(alerting)
    edit(alerting, alert)
    for _ in range(2):
        [step] = alerting.steps("change")
        alerting.take_again(alert, step)
    [third] = alerting.steps("change")
    changes(alerting)
    storage_calls()

    alerting.take_again(alert, step)
    assert delays(storage_calls()) == [30]
    alerting.take_again(alert, third)
    storage_calls()
    alerting.take_again(alert, step)

    assert delays(storage_calls()) == []
    assert len(changes(alerting)) == 1


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


def edit_too_large(alerting, alert):
    """Edit an alert to what cannot be said to whoever has a long name."""
    edit_alert(alert.id, {"activity": {"text": "${name}" * 60}}, alerting.services)


@pytest.mark.parametrize(
    ("change", "queue"),
    [(edit, UPDATE_ACTIVITY), (edit_too_large, UPDATE_ACTIVITY), (recall, DELETE_ACTIVITY)],
)
def test_who_died_after_a_late_send_is_followed_by_who_changes_its_copy(
    alerting, connector, change, queue
):
    alerting.know(1, name="x" * 1000)
    alert = alerting.accept()
    alerting.run(alert)
    [message] = alerting.worker.waiting[SEND_ACTIVITY].take()
    alerting.worker.handle(message)
    change(alerting, alert)

    other = remembering_alerts_by(lambda: 0.0, alerting.sending)
    alerting.worker.handle(message, services=other)

    [followed] = alerting.worker.waiting[queue].take()
    assert followed["_flow"]["change"]["version"] == 2
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


def test_while_a_change_goes_round_the_ends_are_not_counted_but_after_it(alerting, storage_calls):
    alerting.know(1)
    alert = alerting.accept()
    alerting.steps()
    alerting.take(alert, "read")
    [counting] = alerting.steps("close")

    for _ in range(2):
        edit(alerting, alert)
        [first] = alerting.steps("change")
        alerting.take_again(alert, first)
        storage_calls()
        alerting.take_again(alert, counting)
        assert delays(storage_calls()) == []
        [last] = alerting.steps("change")
        alerting.take_again(alert, last)
        [counting] = alerting.steps("close")
        storage_calls()
        alerting.take_again(alert, counting)
        assert delays(storage_calls()) == [1]
    alerting.worker.run()
    assert alerting.take_again(alert, counting).ended_at is not None


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
