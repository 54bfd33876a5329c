"""The steps of an alert: each leads to the next, and taken twice it does nothing twice."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from SendAlert.fan_out import take_step
from SendAlert.service import retry_alert
from shared.accounts.erasure import erase
from shared.alerts.alert import AlertStatus
from shared.deliveries.delivery import Status
from shared.deliveries.rows import id_in_alert
from shared.errors import UnknownAlertError
from shared.messages.envelope import SEND_ACTIVITY, UPDATE_ACTIVITY, AlertChange, Step
from shared.sending.alert_lifecycle import edit_alert, recall_alert
from shared.throttling.lane import Lane
from shared.throttling.pacer import DISABLED
from shared.wiring import Services
from tests.SendAlert.alerting import (
    STORAGE,
    interrupted,
    key_in,
    put_as_it_was,
    texts,
    through,
    writes,
)
from tests.support.builders import unique
from tests.support.connector import is_send, is_start
from tests.support.lossy_storage import LossyStorage

NEW_TEXT = {"activity": {"text": "Edited"}}


def recipients(*user_ids):
    return [{"channelId": "msteams", "userId": each} for each in user_ids]


def statuses(alerting, alert, number=0):
    found = alerting.services.deliveries.page(alert.id, number)
    return {each.id.rpartition(":")[2]: each.status for each in found}


def delays(calls, queue="send-alert"):
    """For how many seconds messages were hidden when they were put on a queue."""
    put = [call for call in calls if f"/{queue}/messages" in call and call.startswith("POST")]
    return [int(call.partition("visibilitytimeout=")[2].partition("&")[0]) for call in put]


# Reading


def test_pages_are_read_one_after_the_other_until_all_are_read(alerting, connector):
    people = alerting.know(7)
    alert = alerting.accept()

    read = alerting.run(alert)

    pages = [alerting.page(alert, number) for number in range(3)]
    assert [each.members for each in pages] == [
        tuple(each.key.id for each in people[start : start + 3]) for start in (0, 3, 6)
    ]
    assert [(each.after, each.up_to) for each in pages[1:]] == [
        (pages[0].up_to, pages[1].up_to),
        (pages[1].up_to, pages[2].up_to),
    ]
    assert (read.next_page, read.found, read.read_share, read.is_read) == (3, 7, 1.0, True)
    assert read.status(datetime.now(UTC)) is AlertStatus.SENDING
    assert alerting.messages() == 7

    ended = alerting.finish(alert)

    assert ended.status(datetime.now(UTC)) is AlertStatus.DONE
    assert texts(connector) == {(f"a:{each.user_id}", "News"): 1 for each in people}
    assert alerting.counts(alert) == {"sent": 7, "current": 7}


def test_an_alert_to_nobody_ends(alerting):
    alert = alerting.send(audience={"interests": ["nothing at all"]})

    assert alert.status(datetime.now(UTC)) is AlertStatus.DONE
    assert (alert.found, alerting.counts(alert)) == (0, {})


def test_a_page_is_read_twice_and_everything_is_as_it_was(alerting, connector):
    people = alerting.know(4)
    alert = alerting.accept()
    first = alerting.take(alert, "read")
    page = alerting.page(alert)

    put_as_it_was(alert, alerting.services)
    second = alerting.take(alert, "read")

    assert alerting.page(alert) == page
    assert (second.next_page, second.found, second.started_at) == (1, 3, first.started_at)
    alerting.finish(alert)
    assert texts(connector) == {(f"a:{each.user_id}", "News"): 1 for each in people}
    assert alerting.counts(alert) == {"sent": 4, "current": 4}


def test_a_page_that_is_read_twice_after_all_was_sent_sends_nothing_more(alerting, connector):
    people = alerting.know(3)
    alert = alerting.accept()
    alerting.take(alert, "read")
    alerting.worker.run()

    put_as_it_was(alert, alerting.services)
    alerting.finish(alert)

    assert texts(connector) == {(f"a:{each.user_id}", "News"): 1 for each in people}
    assert alerting.counts(alert) == {"sent": 3, "current": 3}


def test_who_comes_after_a_page_was_read_first_is_in_none(alerting, connector):
    people = alerting.know(3)
    alert = alerting.accept()
    alerting.take(alert, "read")
    page = alerting.page(alert)
    # Some of so many have keys between those of the others.
    newcomers = alerting.know(40)
    assert any(key_in(alerting.services, each) < page.up_to for each in newcomers)

    put_as_it_was(alert, alerting.services)
    read = alerting.take(alert, "read")

    assert alerting.page(alert) == page
    # So many calls would not be in time, but these are not made.
    assert (read.next_page, read.found) == (1, 3)
    alerting.worker.run()
    assert texts(connector) == {(f"a:{each.user_id}", "News"): 1 for each in people}


def test_who_is_gone_when_a_page_is_read_again_ends_as_suppressed(alerting, connector):
    people = alerting.know(3, preferences={"interests": ["news"]})
    alert = alerting.accept(audience={"interests": ["news"]})
    stayed, left, forgotten = people
    died_before_shipping(alerting, alert)
    alerting.change(left, preferences={"interests": []})
    erase("msteams", forgotten.user_id, alerting.services.accounts, alerting.services.conversations)

    ended = alerting.finish(alert)

    assert alerting.page(alert).members == tuple(each.key.id for each in people)
    assert statuses(alerting, alert) == {
        stayed.key.id: Status.SENT,
        left.key.id: Status.SUPPRESSED,
        forgotten.key.id: Status.SUPPRESSED,
    }
    assert texts(connector) == {(f"a:{stayed.user_id}", "News"): 1}
    assert ended.ended_at is not None
    assert alerting.counts(alert) == {"sent": 1, "suppressed": 2, "current": 1}


def died_before_shipping(alerting, alert):
    """Have whoever reads the first page die when its members are noted, and no more."""
    alerting.take(alert, "read")
    alerting.worker.waiting[SEND_ACTIVITY].clear()
    alerting.queue.clear()
    put_as_it_was(alert, alerting.services)
    alerting.accept_again(alert)


def test_what_becomes_of_a_message_that_is_sent_already_counts(alerting, connector):
    [left] = alerting.know(1, preferences={"interests": ["news"]})
    alert = alerting.accept(audience={"interests": ["news"]})
    alerting.take(alert, "read")
    alerting.worker.run()
    alerting.change(left, preferences={})

    put_as_it_was(alert, alerting.services)
    alerting.finish(alert)

    assert statuses(alerting, alert) == {left.key.id: Status.SENT}
    assert alerting.counts(alert) == {"sent": 1, "current": 1}


@pytest.mark.parametrize("comes_first", ["stop", "start"])
def test_who_changes_their_mind_between_two_readings_has_one_end(alerting, connector, comes_first):
    muted, listening = {"muted": True}, {"muted": False}
    before, after = (listening, muted) if comes_first == "stop" else (muted, listening)
    [person] = alerting.know(1, preferences=before)
    alert = alerting.accept()
    alerting.take(alert, "read")
    alerting.change(person, preferences=after)

    put_as_it_was(alert, alerting.services)
    alerting.finish(alert)

    sent = sum(texts(connector).values())
    assert alerting.counts(alert) == ({"sent": 1, "current": 1} if sent else {"suppressed": 1})
    assert sent <= 1


def test_a_stranger_who_is_known_when_the_page_is_read_again_still_gets_it(alerting, connector):
    stranger = unique("29:stranger")
    alert = alerting.accept(recipients=recipients(stranger))
    alerting.take(alert, "read")
    # Their conversation is started, and then whoever reads the page dies before saying so.
    [message] = alerting.worker.waiting[SEND_ACTIVITY].take()
    alerting.worker.handle(message)
    [start] = alerting.worker.waiting["start-conversation"].take()
    alerting.worker.handle(start, "start-conversation")
    assert alerting.services.accounts.get("msteams", stranger) is not None

    put_as_it_was(alert, alerting.services)
    alerting.finish(alert)

    assert alerting.page(alert).members == ("r0",)
    assert texts(connector) == {(f"a:chat-with-{stranger}", "News"): 1}
    assert alerting.counts(alert) == {"sent": 1, "current": 1}


def test_who_died_before_saying_what_comes_next_is_followed_by_who_says_it(alerting):
    alerting.know(5)
    alert = alerting.accept()
    alerting.take(alert, "read")
    alerting.queue.clear()

    alerting.take(alert, "read")

    [step] = alerting.said()
    assert (step.kind, step.page, step.after) == ("read", 1, alerting.page(alert).up_to)
    assert alerting.messages() == 3


def test_who_died_after_the_last_page_is_followed_by_who_has_it_closed(alerting):
    alerting.know(2)
    alert = alerting.accept()
    alerting.take(alert, "read")
    alerting.queue.clear()

    alerting.take(alert, "read")

    assert [step.kind for step in alerting.said()] == ["close"]
    assert alerting.messages() == 2


def test_a_step_that_was_taken_long_ago_does_nothing(alerting):
    alerting.know(8)
    alert = alerting.accept()
    alerting.said()
    alerting.take(alert, "read")
    [second] = alerting.said()
    before = alerting.take(alert, **second.model_dump(exclude_unset=True))
    alerting.said()

    after = alerting.take(alert, "read")

    assert alerting.said() == []
    assert after == before
    assert alerting.messages() == 6


def test_of_two_who_read_a_page_at_once_one_says_what_comes_next(alerting, app_settings, connector):
    people = alerting.know(3)
    alert = alerting.accept()
    alerting.said()

    def overtake():
        alerting.take(alert, "read")

    is_noted = writes("alerts", alert.id)
    with interrupted(app_settings, alerting, is_noted, before=overtake) as overtaken:
        alerting.take(alert, "read", services=overtaken)

    assert [step.page for step in alerting.said()] == [1]
    read = alerting.services.alerts.find(alert.id)
    assert (read.next_page, read.found) == (1, 3)
    alerting.worker.run()
    assert texts(connector) == {(f"a:{each.user_id}", "News"): 1 for each in people}


def test_who_reads_a_page_further_than_another_has_noted_reads_it_as_noted(
    alerting, app_settings, connector
):
    people = alerting.know(4)
    alert = alerting.accept()
    alerting.said()

    def overtake():
        slower = replace(alerting.services, pacer=alerting.pacer(alerting.sending, 2))
        alerting.take(alert, "read", services=slower)

    def opens(request):
        return request.method == "POST" and b"upTo" in request.body

    with interrupted(app_settings, alerting, opens, before=overtake) as overtaken:
        alerting.take(alert, "read", services=overtaken)

    assert alerting.page(alert).members == tuple(each.key.id for each in people[:2])
    ended = alerting.finish(alert)
    assert ended.found == 4
    assert texts(connector) == {(f"a:{each.user_id}", "News"): 1 for each in people}
    assert alerting.counts(alert) == {"sent": 4, "current": 4}


def test_what_comes_next_is_said_though_storage_lost_the_answer(alerting, app_settings):
    alerting.know(3)
    alert = alerting.accept()
    alerting.said()

    with LossyStorage(app_settings[STORAGE]) as lossy:
        lossy.lose_answer(writes("alerts", alert.id))
        lossy_services = through(lossy, app_settings, alerting.services)
        read = alerting.take(alert, "read", services=lossy_services)

    assert (read.next_page, read.found) == (1, 3)
    assert [step.page for step in alerting.said()] == [1]


def test_an_alert_that_nobody_knows_has_no_steps(services):
    with pytest.raises(UnknownAlertError):
        take_step("nothing", Step(kind="read"), services)


def test_the_first_step_of_what_is_scheduled_waits_for_its_time(alerting, storage_calls):
    send_at = datetime.now(UTC) + timedelta(days=20)
    alert = alerting.accept(sendAt=send_at.isoformat())

    [first] = delays(storage_calls())
    alerting.take(alert, "read")
    [again] = delays(storage_calls())

    # As long as a queue can hide a message.
    assert first == again == 6 * 24 * 60 * 60
    assert alerting.services.audience_pages.find(alert.id, 0) is None


@pytest.mark.parametrize("how", ["cancelled_at", "recalled_at", "expires_at"])
def test_what_is_over_is_read_no_further(alerting, how):
    alerting.know(4)
    alert = alerting.accept()
    alerting.take(alert, "read")
    alerting.said()
    long_ago = datetime.now(UTC) - timedelta(minutes=1)
    alerting.services.alerts.change(alert.id, lambda current: replace(current, **{how: long_ago}))

    read = alerting.take(alert, "read", page=1, after=alerting.page(alert).up_to)

    assert (read.is_read, read.next_page) == (True, 1)
    assert [step.kind for step in alerting.said()] == ["close"]
    assert alerting.messages() == 3


def test_a_page_is_not_read_before_its_time(alerting, storage_calls):
    alerting.know(9)
    alert = alerting.accept()
    # The calls of two pages are all that is in time.
    for page in (0, 1):
        after = alerting.page(alert, page - 1).up_to if page else ""
        take_step(alert.id, Step(kind="read", page=page, after=after), alerting.services)
    storage_calls()

    after = alerting.page(alert, 1).up_to
    take_step(alert.id, Step(kind="read", page=2, after=after), alerting.services)

    assert alerting.services.audience_pages.find(alert.id, 2) is None
    assert alerting.messages() == 6
    [delay] = delays(storage_calls())
    assert delay > 0
    alerting.clock.sleep(delay)
    take_step(alert.id, Step(kind="read", page=2, after=after), alerting.services)
    assert alerting.messages() == 9


@pytest.fixture
def with_a_paused_lane(alerting, services):
    """Three people, for the tenant of one of whom an administrator has disabled the bot."""
    alerting.know(2)
    [disabled] = alerting.know(1, tenant_id="disabled")
    pacer = alerting.pacer(services, 3, clock=lambda: datetime.now(UTC))
    lane = Lane.of(f"{alerting.connector_url}/teams/", "disabled")
    pacer.pause(lane, probe_seconds=3600, reason=DISABLED)
    alerting.services = replace(alerting.services, pacer=pacer)
    return disabled


def test_a_tenant_that_is_paused_holds_up_no_page(alerting, with_a_paused_lane, storage_calls):
    alert = alerting.accept()
    storage_calls()

    alerting.take(alert, "read")

    calls = storage_calls()
    assert len(alerting.page(alert).members) == 3
    # The message to there waits for the end of the pause, and nothing else does.
    assert [delay > 3000 for delay in sorted(delays(calls, SEND_ACTIVITY))] == [False, False, True]
    assert [delay for delay in delays(calls) if delay > 60] == []


# Closing


def test_a_page_is_closed_when_all_its_members_have_ended(alerting):
    alerting.know(2)
    alert = alerting.accept()
    alerting.run(alert)
    first, second = alerting.worker.waiting[SEND_ACTIVITY].take()
    alerting.worker.handle(first)
    one = alerting.take(alert, "close")
    alerting.worker.handle(second)

    ended = alerting.take(alert, "close")

    assert (one.closed_pages, one.ended_at) == (0, None)
    assert (ended.closed_pages, ended.counts) == (1, {"sent": 2, "current": 2})
    assert ended.ended_at is not None


def test_whoever_closes_looks_again_after_ever_longer_and_no_more_in_the_end(
    alerting, storage_calls
):
    alerting.know(1)
    alert = alerting.accept()
    alerting.run(alert)
    storage_calls()

    for looks in range(10):
        alerting.take(alert, "close", checks=looks)

    assert delays(storage_calls()) == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    alerting.finish(alert)
    storage_calls()
    alerting.take(alert, "close")
    assert delays(storage_calls()) == []


def test_what_is_over_for_good_is_found_nowhere_else(alerting):
    alert = alerting.accept(recipients=recipients(unique("29:stranger")))
    assert alert.recipients_key is not None

    ended = alerting.finish(alert)

    assert ended.ended_at is not None
    large_values = alerting.services.queues.large_values
    assert large_values.fetch(ended.recipients_key) is None
    assert large_values.fetch(ended.content_key) is not None


# Changes


def sent_alert(alerting, count=2, **alert):
    alerting.know(count)
    sent = alerting.send(**alert)
    assert sent.ended_at is not None
    alerting.said()
    return sent


def changes(alerting, queue):
    """Whom changes on a queue are for, and which version they bring."""
    return [
        AlertChange.model_validate(message["_flow"]["change"])
        for message in alerting.worker.waiting[queue].take()
    ]


def test_an_edit_goes_through_all_pages_and_through_those_that_are_open_once_more(
    alerting, storage_calls
):
    alerting.know(7)
    alert = alerting.accept()
    alerting.run(alert)
    alerting.worker.run()
    # Of three pages, the second one has not been looked at yet.
    for number in (0, 2):
        counts = {"sent": len(alerting.page(alert, number).members)}
        assert alerting.services.audience_pages.close(alerting.page(alert, number), counts, 1)

    edit_alert(alert.id, NEW_TEXT, alerting.services)

    seen = []
    while steps := [step for step in alerting.said() if step.kind == "change"]:
        [step] = steps
        seen.append((step.page, step.is_last))
        storage_calls()
        alerting.take(alert, **step.model_dump(exclude_unset=True))
    assert seen == [(0, False), (1, False), (2, False), (3, False)]
    [delay] = delays(storage_calls())
    assert delay > alerting.services.settings.connector_timeout_seconds
    assert len(changes(alerting, UPDATE_ACTIVITY)) == 7


def test_what_had_ended_before_an_edit_is_gone_through_once(alerting, storage_calls):
    alert = sent_alert(alerting, 4)
    edit_alert(alert.id, NEW_TEXT, alerting.services)
    storage_calls()

    alerting.run(alert)

    assert [delay for delay in delays(storage_calls()) if delay > 10] == []
    assert len(changes(alerting, UPDATE_ACTIVITY)) == 4


def test_who_was_being_sent_to_when_it_was_edited_is_found_the_second_time(alerting, connector):
    people = alerting.know(2)
    alert = alerting.accept()
    alerting.run(alert)
    first, second = alerting.worker.waiting[SEND_ACTIVITY].take()
    alerting.worker.handle(first)
    # Whoever sends this one knows nothing of the edit yet.
    unaware = Services.of(alerting.sending.settings)
    unaware.alerts.current(alert.id)
    connector.block(times=1)
    with ThreadPoolExecutor() as pool:
        sending = pool.submit(alerting.worker.handle, second, services=unaware)
        connector.wait_for_waiting(1)
        edit_alert(alert.id, NEW_TEXT, alerting.services)
        alerting.run(alert)
        connector.release()
        sending.result()
    assert len(changes(alerting, UPDATE_ACTIVITY)) == 1

    alerting.take(alert, "change", version=2, is_last=True, first_open_page=0)
    alerting.finish(alert)

    assert {call.json["conversation"]["id"] for call in connector.requests[2:]} == {
        f"a:{each.user_id}" for each in people
    }
    assert alerting.counts(alert) == {"sent": 2, "current": 2}


def test_a_step_of_an_older_change_does_nothing(alerting):
    alert = sent_alert(alerting)
    for _ in range(2):
        edit_alert(alert.id, NEW_TEXT, alerting.services)
    first, second = alerting.said()

    alerting.take(alert, **first.model_dump(exclude_unset=True))
    assert changes(alerting, UPDATE_ACTIVITY) == alerting.said() == []
    alerting.take(alert, **second.model_dump(exclude_unset=True))
    assert {each.version for each in changes(alerting, UPDATE_ACTIVITY)} == {3}


def test_a_change_that_is_gone_through_twice_is_made_once(alerting, connector):
    alert = sent_alert(alerting, 3)
    edit_alert(alert.id, NEW_TEXT, alerting.services)
    [step] = alerting.said()

    for _ in range(2):
        alerting.take(alert, **step.model_dump(exclude_unset=True))
    alerting.finish(alert)

    edits = [call for call in connector.requests if call.method == "PUT"]
    assert len(edits) == len({call.path for call in edits}) == 3
    assert alerting.counts(alert) == {"sent": 3, "current": 3}


def test_an_edit_that_is_not_made_yet_when_the_alert_is_recalled_hinders_nothing(
    alerting, connector
):
    alert = sent_alert(alerting)
    edit_alert(alert.id, NEW_TEXT, alerting.services)
    [edit] = alerting.said()
    alerting.take(alert, **edit.model_dump(exclude_unset=True))
    assert alerting.messages(UPDATE_ACTIVITY) == 2

    recall_alert(alert.id, alerting.services)
    alerting.rest(alert)
    ended = alerting.finish(alert)

    deleted = [call.path for call in connector.requests if call.method == "DELETE"]
    assert len(deleted) == len(set(deleted)) == 2
    assert ended.ended_at is not None
    assert alerting.counts(alert) == {"sent": 2, "recalled": 2}


def test_what_the_channel_gave_no_id_for_is_not_changed(alerting, connector):
    alerting.know(1)
    connector.answer(202, when=is_send)
    alert = alerting.send()

    edit_alert(alert.id, NEW_TEXT, alerting.services)
    ended = alerting.finish(alert)

    assert [call.method for call in connector.requests] == ["POST"]
    assert ended.ended_at is not None
    assert alerting.counts(alert) == {"sent": 1}


def test_who_was_forgotten_holds_up_no_change(alerting, connector):
    [stayed, forgotten] = alerting.know(2)
    alert = alerting.send()
    erase("msteams", forgotten.user_id, alerting.services.accounts, alerting.services.conversations)

    edit_alert(alert.id, NEW_TEXT, alerting.services)
    ended = alerting.finish(alert)

    edits = [call for call in connector.requests if call.method == "PUT"]
    assert [call.json["conversation"]["id"] for call in edits] == [f"a:{stayed.user_id}"]
    assert ended.ended_at is not None
    assert alerting.counts(alert) == {"sent": 2, "current": 1}


# Retries


def fail_for(connector, *people, status=400, code="BadSyntax"):
    broken = {f"a:{each.user_id}" for each in people}
    connector.fail(
        status,
        code,
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
    alerting.said()
    return alert, (people[1], people[3])


def test_what_failed_is_put_back_and_counted_anew(alerting, connector, half_failed):
    alert, broken = half_failed
    before = len(connector.requests)

    retry_alert(alert.id, alerting.services)
    steps = alerting.said()
    assert [step.kind for step in steps] == ["retry"]
    alerting.take(alert, "retry")
    alerting.take(alert, "retry", page=1)

    reopened = alerting.services.alerts.find(alert.id)
    assert (reopened.ended_at, reopened.closed_pages, reopened.counts) == (None, 0, {})
    assert alerting.counts(alert) == {"sent": 2, "accepted": 2, "current": 2}
    ended = alerting.finish(alert)
    assert ended.ended_at is not None
    assert ended.counts == {"sent": 4, "current": 4}
    assert {call.json["conversation"]["id"] for call in connector.requests[before:]} == {
        f"a:{each.user_id}" for each in broken
    }


def test_what_is_put_back_keeps_who_it_is_for(alerting, half_failed):
    alert, broken = half_failed

    alerting.take(alert, "retry")

    delivery_id = id_in_alert(alert.id, 0, broken[0].key.id)
    accepted = alerting.services.deliveries.find(delivery_id)
    assert accepted.status is Status.ACCEPTED
    assert accepted.destination is not None
    assert accepted.destination.user_id == broken[0].user_id


def test_a_retry_that_is_taken_twice_puts_back_once(alerting, connector, half_failed):
    alert, _ = half_failed
    before = len(connector.requests)

    for _ in range(2):
        alerting.take(alert, "retry")

    assert alerting.messages() == 1
    alerting.finish(alert)
    assert len(connector.requests) == before + 2
    assert alerting.counts(alert) == {"sent": 4, "current": 4}


def test_who_died_before_reopening_a_page_is_followed_by_who_does(
    alerting, app_settings, half_failed
):
    alert, _ = half_failed
    retry_alert(alert.id, alerting.services)
    alerting.said()

    with LossyStorage(app_settings[STORAGE]) as storage:
        storage.answer(400, times=float("inf"), when=writes("pages"))
        with pytest.raises(Exception, match="Storage"):
            alerting.take(
                alert, "retry", services=through(storage, app_settings, alerting.services)
            )
    alerting.take(alert, "retry")
    alerting.take(alert, "retry", page=1)
    ended = alerting.finish(alert)

    assert ended.ended_at is not None
    assert alerting.counts(alert) == {"sent": 4, "current": 4}


def test_a_page_that_is_reopened_while_its_counts_are_added_up_is_counted_again(
    alerting, app_settings, connector
):
    [person] = alerting.know(1)
    fail_for(connector, person)
    alert = alerting.accept()
    alerting.run(alert)
    alerting.worker.run()

    def retry():
        retry_alert(alert.id, alerting.services)
        alerting.take(alert, "retry")

    # Whoever closes has closed the page, and not yet said so of the alert.
    with interrupted(app_settings, alerting, writes("pages", alert.id), after=retry) as slow:
        alerting.take(alert, "close", services=slow)
    ended = alerting.finish(alert)

    assert ended.ended_at is not None
    assert alerting.counts(alert) == {"sent": 1, "current": 1}


def test_a_page_that_is_changed_while_it_is_counted_is_not_closed(
    alerting, app_settings, connector
):
    [person] = alerting.know(1)
    fail_for(connector, person)
    alert = alerting.accept()
    alerting.run(alert)
    alerting.worker.run()

    def retry():
        retry_alert(alert.id, alerting.services)
        alerting.take(alert, "retry")

    with interrupted(app_settings, alerting, writes("pages", alert.id), before=retry) as slow:
        open_still = alerting.take(alert, "close", services=slow)

    assert (open_still.closed_pages, open_still.ended_at) == (0, None)
    assert alerting.page(alert).counts is None
    assert alerting.finish(alert).counts == {"sent": 1, "current": 1}


def test_a_change_that_failed_is_put_back_too(alerting, connector):
    alert = sent_alert(alerting)
    connector.fail(400, "BadSyntax", when=lambda call: call.method == "PUT")
    edit_alert(alert.id, NEW_TEXT, alerting.services)
    ended = alerting.finish(alert)
    assert ended.ended_at is not None
    assert alerting.counts(alert) == {"sent": 2, "current": 1}

    retry_alert(alert.id, alerting.services)
    ended = alerting.finish(alert)

    assert ended.ended_at is not None
    assert alerting.counts(alert) == {"sent": 2, "current": 2}
    assert len([call for call in connector.requests if call.method == "PUT"]) == 3


def test_what_failed_for_who_was_forgotten_is_not_put_back(alerting, half_failed):
    alert, broken = half_failed
    erase("msteams", broken[0].user_id, alerting.services.accounts, alerting.services.conversations)

    retry_alert(alert.id, alerting.services)
    ended = alerting.finish(alert)

    assert ended.ended_at is not None
    assert alerting.counts(alert) == {"sent": 3, "permanent-failure": 1, "current": 3}


def test_of_what_was_stopped_nothing_is_put_back(alerting, half_failed):
    alert, _ = half_failed
    retry_alert(alert.id, alerting.services)
    alerting.services.alerts.change(
        alert.id, lambda current: replace(current, cancelled_at=datetime.now(UTC))
    )

    alerting.take(alert, "retry")

    assert alerting.messages() == 0


# Conversations that are gone


def test_a_conversation_that_is_gone_is_started_again(alerting, connector):
    [person] = alerting.know(1)
    connector.fail(404, "ConversationNotFound", when=is_send)
    alert = alerting.accept()

    alerting.finish(alert)

    assert alerting.counts(alert) == {"sent": 1, "current": 1}
    assert [is_start(call) for call in connector.requests] == [False, True, False]
    assert connector.requests[-1].json["conversation"]["id"] == f"a:chat-with-{person.user_id}"
