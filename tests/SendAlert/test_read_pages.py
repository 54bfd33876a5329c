"""The steps that read an audience page by page; taken twice, they do nothing twice."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from SendAlert.fan_out import take_step
from SendAlert.progress import close_pages
from SendAlert.request import AlertDeliveryQuery
from SendAlert.service import list_alert_deliveries
from shared.alerts.alert import AlertStatus
from shared.deliveries.delivery import Delivery, Status
from shared.messages.envelope import Step
from shared.messages.queue_names import SEND_ACTIVITY
from shared.sending.alert_lifecycle import cancel_alert, recall_alert
from shared.storage.tables import Table
from shared.throttling.lane import Lane
from tests.SendAlert.alerting import (
    STORAGE,
    delays,
    interrupted,
    put_as_it_was,
    recipients,
    texts,
    through,
)
from tests.support.lossy_storage import InterruptedStorage, writes


@pytest.fixture
def at_once(monkeypatch):
    """Whoever finds a page read has the next one read at once."""
    monkeypatch.setattr("SendAlert.read_pages.OVERTAKEN_SECONDS", 0)


def news_to(people):
    return {(f"a:{each.user_id}", "News"): 1 for each in people}


def opens_a_page(request):
    return request.method == "POST" and b"upTo" in request.body


def test_pages_are_read_one_after_the_other_until_all_are_read(alerting, connector):
    people = alerting.know(7)
    alert = alerting.accept()

    read = alerting.run(alert)

    pages = [alerting.page(alert, number) for number in range(3)]
    assert [each.members for each in pages] == [
        tuple(each.key.id for each in people[start : start + 3]) for start in (0, 3, 6)
    ]
    assert [each.after for each in pages] == ["", pages[0].up_to, pages[1].up_to]
    assert (read.next_page, read.found, read.read_share, read.is_read) == (3, 7, 1.0, True)
    assert read.status(datetime.now(UTC)) is AlertStatus.SENDING
    assert alerting.messages() == 7

    ended = alerting.finish(alert)

    assert ended.status(datetime.now(UTC)) is AlertStatus.DONE
    assert texts(connector) == news_to(people)
    assert alerting.counts(alert) == {"sent": 7, "current": 7}


def test_an_alert_to_nobody_ends(alerting):
    alert = alerting.send(audience={"interests": ["nothing at all"]})

    assert alert.status(datetime.now(UTC)) is AlertStatus.DONE
    assert (alert.found, alerting.counts(alert)) == (0, {})


@pytest.mark.parametrize("is_sent", [False, True])
def test_a_page_that_is_read_twice_is_sent_once(alerting, connector, is_sent):
    people = alerting.know(4)
    alert = alerting.accept()
    first = alerting.take(alert, "read")
    page = alerting.page(alert)
    if is_sent:
        alerting.worker.run()

    put_as_it_was(alert, alerting.services)
    second = alerting.take(alert, "read")

    assert alerting.page(alert) == page
    assert (second.found, second.ranges, second.started_at) == (3, first.ranges, first.started_at)
    alerting.finish(alert)
    assert texts(connector) == news_to(people)
    assert alerting.counts(alert) == {"sent": 4, "current": 4}


def test_a_member_who_is_gone_when_a_page_is_read_again_ends_as_suppressed(alerting, connector):
    people = alerting.know(4, preferences={"interests": ["news"]})
    alerting.services = replace(alerting.services, pacer=alerting.pacer(alerting.sending, 4))
    alert = alerting.accept(audience={"interests": ["news"]})
    alerting.take(alert, "read")
    # Of these messages one is sent, and the others were never enqueued.
    for message in alerting.worker.waiting[SEND_ACTIVITY].take():
        if message["recipient"]["userId"] == people[3].user_id:
            alerting.worker.handle(message)
    put_as_it_was(alert, alerting.services)
    for left in (people[1], people[3]):
        alerting.change(left, preferences={"interests": []})
    alerting.services.accounts.erase("msteams", people[2].user_id)

    ended = alerting.finish(alert)

    found = alerting.services.deliveries.page(alert.id, 0)
    status_of = {each.id.rpartition(":")[2]: each.status for each in found}
    assert [status_of[each.key.id] for each in people] == [
        Status.SENT,
        Status.SUPPRESSED,
        Status.SUPPRESSED,
        Status.SENT,
    ]
    assert texts(connector) == news_to([people[0], people[3]])
    assert ended.ended_at is not None
    assert alerting.counts(alert) == {"sent": 2, "suppressed": 2, "current": 2}


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


@pytest.mark.parametrize(("people", "next_step"), [(5, ("read", 1)), (2, ("close", 0))])
def test_who_died_before_enqueuing_the_next_step_is_followed_by_who_does(
    alerting, at_once, people, next_step
):
    alerting.know(people)
    alert = alerting.accept()
    alerting.take(alert, "read")
    messages = alerting.messages()
    alerting.queue.clear()

    alerting.take(alert, "read")

    [step] = alerting.steps()
    assert (step.kind, step.page) == next_step
    assert alerting.messages() == messages


def test_a_step_that_is_given_out_twice_falls_behind_until_it_does_nothing(alerting, storage_calls):
    alerting.know(8)
    alert = alerting.accept()
    alerting.steps()
    alerting.take(alert, "read")
    [second] = alerting.steps()
    storage_calls()
    alerting.take(alert, "read")
    [delay] = delays(storage_calls())
    assert delay == 30
    before = alerting.take_again(alert, second)
    storage_calls()

    after = alerting.take(alert, "read")

    assert delays(storage_calls()) == []
    assert after == before
    assert alerting.messages() == 6


@pytest.mark.parametrize(
    "overtaken_at", [opens_a_page, writes("alerts")], ids=["opening", "noting"]
)
def test_of_two_who_read_a_page_at_once_one_enqueues_the_next_step(
    alerting, app_settings, connector, overtaken_at
):
    people = alerting.know(3)
    alert = alerting.accept()
    alerting.steps()

    def overtake():
        alerting.take(alert, "read")

    with interrupted(app_settings, alerting, overtaken_at, before=overtake) as overtaken:
        alerting.take(alert, "read", services=overtaken)

    # The other falls behind.
    assert [step.page for step in alerting.steps()] == [1]
    assert alerting.services.alerts.find(alert.id).found == 3
    alerting.worker.run()
    assert texts(connector) == news_to(people)


def test_who_reads_further_than_another_has_recorded_reads_the_recorded_page(
    alerting, app_settings, connector
):
    people = alerting.know(4)
    alert = alerting.accept()
    alerting.steps()

    def overtake():
        slower = replace(alerting.services, pacer=alerting.pacer(alerting.sending, 2))
        alerting.take(alert, "read", services=slower)

    with interrupted(app_settings, alerting, opens_a_page, before=overtake) as overtaken:
        alerting.take(alert, "read", services=overtaken)

    assert alerting.page(alert).members == tuple(each.key.id for each in people[:2])
    assert alerting.finish(alert).found == 4
    assert texts(connector) == news_to(people)
    assert alerting.counts(alert) == {"sent": 4, "current": 4}


@pytest.mark.parametrize("is_written_over", [False, True])
def test_the_next_step_is_enqueued_though_storage_lost_the_answer(
    alerting, at_once, app_settings, is_written_over
):
    alerting.know(3)
    alert = alerting.accept()
    alerting.steps()

    def write_over():
        if is_written_over:
            alerting.services.alerts.change(alert.id, lambda now: replace(now, reopenings=1))

    is_noted = writes("alerts", alert.id)
    with InterruptedStorage(app_settings[STORAGE], is_noted, after=write_over) as lossy:
        lossy.lose_answer(is_noted)
        lossy_services = through(lossy, app_settings, alerting.services)
        read = alerting.take(alert, "read", services=lossy_services)

    assert (read.found, read.reopenings) == (3, is_written_over)
    assert [step.page for step in alerting.steps()] == [1]


def test_the_first_step_of_a_scheduled_alert_waits_for_its_time(alerting, storage_calls):
    send_at = datetime.now(UTC) + timedelta(days=20)
    alert = alerting.accept(sendAt=send_at.isoformat())

    [first] = delays(storage_calls())
    alerting.take(alert, "read")
    [again] = delays(storage_calls())

    # As long as a queue can hide a message.
    assert first == again == 6 * 24 * 60 * 60
    days = alerting.services.settings.delivery_retention_days
    assert alert.until == send_at + timedelta(days=days)
    assert alerting.services.audience_pages.find(alert.id, 0) is None


def test_an_alert_that_is_held_up_for_long_is_kept_with_what_it_needs(alerting):
    services = alerting.services
    alert = alerting.accept(recipients=recipients("29:alex"))
    keys = (alert.content_key, alert.recipients_key)
    soon = datetime.now(UTC) + timedelta(days=1)
    services.alerts.change(alert.id, lambda current: replace(current, until=soon))
    for key in keys:
        services.queues.large_values.keep_longer(key, until=soon)
    # Who waits for its turn has a step taken again and again.
    services.alerts.change(
        alert.id, lambda current: replace(current, send_at=soon - timedelta(hours=1))
    )

    kept = alerting.take(alert, "read")

    days = timedelta(days=services.settings.delivery_retention_days)
    assert kept.until > datetime.now(UTC) + days - timedelta(days=1)
    table = Table(services.storage, "bodies")
    for key in keys:
        assert {row["until"] for row in table.partition(key)} == {kept.until}


def test_a_page_that_is_read_while_its_alert_is_stopped_is_counted(alerting, app_settings):
    alerting.know(2)
    alert = alerting.accept()
    alerting.steps()
    ended = []

    def stop():
        cancel_alert(alert.id, alerting.services)
        alerting.rest(alert)
        ended.append(alerting.take(alert, "close").ended_at)

    with interrupted(app_settings, alerting, opens_a_page, before=stop) as late:
        alerting.take(alert, "read", services=late)

    assert ended != [None]
    assert alerting.finish(alert).counts == {"cancelled": 2}


@pytest.mark.parametrize("over", ["cancelled_at", "recalled_at", "expires_at"])
def test_an_alert_that_is_over_is_read_no_further(alerting, over):
    alerting.know(4)
    alert = alerting.accept()
    alerting.take(alert, "read")
    alerting.steps()
    long_ago = datetime.now(UTC) - timedelta(minutes=1)
    alerting.services.alerts.change(alert.id, lambda current: replace(current, **{over: long_ago}))

    read = alerting.take(alert, "read", page=1)

    assert (read.is_read, read.ranges, read.found) == (True, (), 3)
    assert [step.kind for step in alerting.steps()] == ["close"]
    assert alerting.messages() == 3


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize(
    ("over", "status"),
    [("expires_at", "expired"), ("cancelled_at", "cancelled"), ("recalled_at", "cancelled")],
)
def test_a_page_whose_reader_died_before_its_alert_was_over_is_counted(
    alerting, over, status, number
):
    people = alerting.know(7)
    alert = alerting.accept(recipients=recipients(*(each.user_id for each in people)))
    for page in range(number + 1):
        alerting.worker.run()
        before = alerting.services.alerts.find(alert.id)
        alerting.take(alert, "read", page=page)
    # Of these messages one is sent, and the others were never enqueued.
    alerting.worker.handle(alerting.worker.waiting[SEND_ACTIVITY].take()[0])
    long_ago = datetime.now(UTC) - timedelta(minutes=1)
    put_as_it_was(replace(before, **{over: long_ago}), alerting.services)
    alerting.take(alert, "close")
    alerting.steps()

    alerting.take(alert, "read", page=number)
    ended = alerting.finish(alert)

    sent = 3 * number + 1
    assert ended.ended_at is not None
    assert {name: count for name, count in ended.final_counts.items() if count} == {
        "sent": sent,
        status: 7 - sent,
    }
    assert alerting.counts(alert) == {"sent": sent, "current": sent, status: 7 - sent}


def test_a_page_is_not_read_before_its_time(alerting, storage_calls):
    alerting.know(9)
    alert = alerting.accept()
    # The calls of two pages are all that can be enqueued now.
    for page in (0, 1):
        take_step(alert.id, Step(kind="read", page=page), alerting.services)
    storage_calls()

    third = Step(kind="read", page=2)
    take_step(alert.id, third, alerting.services)

    assert alerting.services.audience_pages.find(alert.id, 2) is None
    assert alerting.messages() == 6
    [delay] = delays(storage_calls())
    assert delay > 0
    alerting.clock.sleep(delay)
    take_step(alert.id, third, alerting.services)
    assert alerting.messages() == 9


def test_a_tenant_that_is_paused_holds_up_no_page(alerting, services, storage_calls):
    alerting.know(2)
    alerting.know(1, tenant_id="paused")
    pacer = alerting.pacer(services, 3, clock=lambda: datetime.now(UTC))
    lane = Lane.of(f"{alerting.connector_url}/teams/", "paused")
    pacer.throttled(lane, None, 600)
    alerting.services = replace(alerting.services, pacer=pacer)
    alert = alerting.accept()
    storage_calls()

    alerting.take(alert, "read")

    calls = storage_calls()
    assert len(alerting.page(alert).members) == 3
    # The message to the paused tenant waits for the end of the pause, and nothing else does.
    assert [delay > 300 for delay in sorted(delays(calls, SEND_ACTIVITY))] == [False, False, True]
    assert [delay for delay in delays(calls) if delay > 60] == []


# Reading in several chains


@pytest.mark.parametrize("named", [False, True])
def test_where_calls_take_less_than_reading_several_chains_read(
    alerting, at_once, connector, many_tenants, named
):
    everybody = {"recipients": recipients(*(each.user_id for each in many_tenants))}
    alert = alerting.accept(**(everybody if named else {}))
    alerting.steps()
    alerting.take(alert, "read")
    begun = alerting.steps()
    # Who took the first step died before it had enqueued all of these.
    alerting.take(alert, "read")
    again = alerting.steps()
    # Steps may be given out twice, in any order.
    for step in (begun[1], *begun, *again):
        read = alerting.take_again(alert, step)

    assert [step.page for step in begun] == [step.page for step in again] == [1, 2, 3]
    assert min(each.page for each in read.ranges) > 3
    assert read.read_share < 1
    ended = alerting.finish(alert)
    assert (ended.read_share, ended.ranges, ended.found) == (1.0, (), 50)
    assert ended.status(datetime.now(UTC)) is AlertStatus.DONE
    assert texts(connector) == news_to(many_tenants)
    assert alerting.counts(alert) == {"sent": 50, "current": 50}


def test_what_is_closed_is_counted_once_while_other_ranges_are_read(alerting, many_tenants):
    alert = alerting.accept()
    alerting.steps()
    alerting.take(alert, "read")
    _, second, _ = alerting.steps()
    alerting.take_again(alert, second)
    alerting.worker.run()
    alert = alerting.services.alerts.find(alert.id)
    sent = alert.found

    closed = close_pages(alert, alerting.services, limit=10)

    # The page of the first range comes before that of the second one.
    assert (closed.closed_pages, closed.counts) == (1, {"sent": 5, "current": 5})
    assert alerting.counts(alert) == {"sent": sent, "current": sent}


def test_of_a_stopped_alert_no_range_is_read_on_and_all_copies_are_found(
    alerting, app_settings, many_tenants
):
    alert = alerting.accept()
    alerting.steps()
    alerting.take(alert, "read")
    first, *others = alerting.steps()
    alerting.take_again(alert, others[-1])
    alerting.worker.run()
    sent = alerting.services.alerts.find(alert.id).found
    closed = []

    def stop():
        cancel_alert(alert.id, alerting.services)
        alerting.rest(alert)
        closed.append(alerting.take(alert, "close"))

    with interrupted(app_settings, alerting, opens_a_page, before=stop) as late:
        alerting.take_again(alert, first, services=late)

    # The page that was being read has nobody who was sent anything, and is counted too.
    assert [(each.ended_at is not None, each.counts["sent"]) for each in closed] == [(True, sent)]
    for step in others:
        alerting.take_again(alert, step)
    ended = alerting.finish(alert)
    assert ended.found > sent
    assert ended.counts == {"sent": sent, "current": sent, "cancelled": ended.found - sent}
    assert len(all_deliveries(alerting, alert)) == ended.found
    recall_alert(alert.id, alerting.services)
    alerting.rest(alert)
    assert alerting.finish(alert).counts["recalled"] == sent


def all_deliveries(alerting, alert):
    listed: list[Delivery] = []
    token = None
    while token is not None or not listed:
        query = AlertDeliveryQuery.model_validate({"continuationToken": token})
        shown, token = list_alert_deliveries(alert.id, query, alerting.services)
        listed += shown
    return listed


def test_what_the_version_before_has_begun_goes_on(alerting, connector):
    """One chain has read the first page, and has left it to another step to put it."""
    people = alerting.know(5)
    alert = alerting.accept()
    alerting.take(alert, "read")
    alerting.worker.waiting[SEND_ACTIVITY].clear()
    alerting.queue.clear()
    read = alerting.services.alerts.find(alert.id)
    put_as_it_was(replace(read, ranges=(), next_page=1), alerting.services)

    alerting.take(alert, "put", page=0)
    assert alerting.steps() == []
    alerting.take(alert, "read", page=1, chain=alert.chain)
    ended = alerting.finish(alert)

    assert (ended.next_page, ended.found) == (2, 5)
    assert texts(connector) == news_to(people)
    assert alerting.counts(alert) == {"sent": 5, "current": 5}
