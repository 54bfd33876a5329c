"""Accepting, editing and stopping an alert."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.alerts.alert import AlertStatus
from shared.alerts.store import REMEMBERED_FOR
from shared.deliveries.delivery import Status
from shared.errors import (
    AlertExistsError,
    AlertOverError,
    InvalidRequestError,
    RequestTooLargeError,
)
from shared.messages.queue_names import SEND_ACTIVITY, UPDATE_ACTIVITY
from shared.sending import alert_lifecycle, outdated_copies
from shared.sending.alert_lifecycle import cancel_alert, edit_alert, recall_alert
from shared.settings import Settings
from tests.SendAlert.alerting import Alerting, delays, recipients, texts
from tests.support.builders import telling, unique

NEW_TEXT = {"activity": {"text": "Edited"}}
LARGE = {"activity": {"text": "x" * 60_000}}
ANSWERS = {"options": [{"id": "take", "title": "I take it"}]}
# It fits, but not with a button.
NEARLY_LARGE = {"activity": {"text": "x" * (100 * 512 - 300)}}


@pytest.fixture
def alerting(services, queue_reader, connector, monkeypatch):
    """Sends alerts whose audience is read in pages of three."""
    # A change goes round as soon as a test takes its steps.
    monkeypatch.setattr(alert_lifecycle, "KNOWN_AFTER_SECONDS", 0)
    return Alerting(services, queue_reader, connector.url)


def later(**time):
    return (datetime.now(UTC) + timedelta(**time)).isoformat()


def status_of(alert):
    return alert.status(datetime.now(UTC))


def edit(alert_id, services):
    return edit_alert(alert_id, NEW_TEXT, services)


def is_kept(alerting, key):
    return alerting.services.queues.large_values.fetch(key) is not None


def rows(calls, table, method):
    return [call for call in calls if call.startswith(f"{method} /{table}")]


def send_one_of_two(alerting):
    """Send an alert to one of two people; return it, and the message to the other."""
    alerting.know(2)
    alert = alerting.accept()
    alerting.run(alert)
    first, second = alerting.worker.waiting[SEND_ACTIVITY].take()
    alerting.worker.handle(first)
    return alert, second


# Accepting


def test_an_alert_is_accepted_with_all_that_was_asked_for(alerting):
    alert = alerting.accept(
        audience={"interests": ["news"], "channelId": "msteams", "locale": "de"},
        topic="orders",
        topicName="Orders",
        sendAt=later(hours=1),
        expiresAt=later(hours=2),
        data={"amount": 7},
        activity={"text": "${name} ${topic} ${amount}"},
    )

    found = alerting.services.alerts.find(alert.id)
    assert found == alert
    assert (found.version, found.next_page, found.recipient_count) == (1, 0, None)
    assert (found.topic, found.topic_name, found.channel_ids) == ("orders", "Orders", ("msteams",))
    assert found.audience.interests == ("news",)
    assert status_of(found) is AlertStatus.SCHEDULED
    assert alerting.services.alerts.content(found).data == {"amount": 7}


def test_accepting_an_alert_reads_nothing_of_its_audience(alerting, storage_calls):
    alerting.accept()
    storage_calls()

    alerting.accept()

    calls = storage_calls()
    assert len(calls) == 3
    assert not [call for call in calls if "/accounts" in call]


@pytest.mark.parametrize(
    ("alert", "fields"),
    [
        ({"activity": {"text": "${topic}"}}, ["activity.text"]),
        ({"activities": {"en": {"text": "x"}, "de": {"text": "${b}"}}}, ["activities.de.text"]),
        ({"activities": {"en": {"text": "x"}, "de": LARGE["activity"]}}, ["activities.de.text"]),
        (
            {"activities": {"en": {"text": "x"}, "de": {"speak": "x"}}, "answers": ANSWERS},
            ["activities.de.text"],
        ),
        ({**NEARLY_LARGE, "answers": ANSWERS}, ["activity"]),
        # Storage cannot hold it.
        ({"topic": "\ud83d"}, ["topic"]),
    ],
)
def test_an_alert_that_cannot_be_sent_is_refused_and_not_kept(
    alerting, storage_calls, alert, fields
):
    storage_calls()

    with pytest.raises(InvalidRequestError) as caught:
        alerting.accept(**alert)

    assert [each.field for each in caught.value.field_errors] == fields
    assert storage_calls() == []


def test_an_edit_keeps_the_question_and_needs_room_for_its_buttons(alerting):
    alerting.accept(**NEARLY_LARGE)
    alert = alerting.accept(answers=ANSWERS)

    edited = edit_alert(alert.id, NEW_TEXT, alerting.services)

    assert edited.question == alert.question is not None
    with pytest.raises(RequestTooLargeError):
        edit_alert(alert.id, NEARLY_LARGE, alerting.services)


@pytest.mark.parametrize(
    ("limits", "target", "fits"),
    [
        ("", {"audience": {}}, False),
        ("", {"audience": {"channelId": "slack"}}, True),
        ("", {"recipients": [*recipients("U1", channel_id="slack"), *recipients("29:a")]}, False),
        ("msteams=300", {"audience": {"channelId": "msteams"}}, True),
        ("slack=10", {"audience": {"channelId": "slack"}}, False),
        ("msteams=300,my-own=10", {"audience": {}}, False),
    ],
)
def test_an_activity_has_to_fit_each_channel_that_it_may_go_to(
    alerting, app_settings, limits, target, fits
):
    settings = Settings.from_environment({**app_settings, "LargestActivityKilobytes": limits})
    alerting.services = replace(alerting.services, settings=settings)

    if fits:
        alerting.accept(**target, **LARGE)
    else:
        with pytest.raises(RequestTooLargeError):
            alerting.accept(**target, **LARGE)


def test_an_alert_is_accepted_once(alerting, storage_calls):
    first = alerting.accept(id="order-7", recipients=recipients("29:alex"))
    storage_calls()

    again = alerting.accept(id="order-7", recipients=recipients("29:alex"))

    assert again == replace(first, chain=again.chain, updated_at=again.updated_at)
    # What was kept for the second one.
    assert len(rows(storage_calls(), "bodies", "DELETE")) == 2
    with pytest.raises(AlertExistsError):
        alerting.accept(id="order-7", recipients=recipients("29:mia"))
    assert len(rows(storage_calls(), "bodies", "DELETE")) == 2
    assert alerting.services.alerts.find("order-7") == again
    assert is_kept(alerting, first.content_key)
    assert is_kept(alerting, first.recipients_key)


def test_of_many_who_send_the_same_alert_at_once_one_is_accepted(alerting, connector):
    people = alerting.know(2)
    with ThreadPoolExecutor(8) as pool:
        alerts = list(pool.map(lambda _: alerting.accept(id="order-7"), range(8)))

    assert len({alert.content_key for alert in alerts}) == 1
    alerting.finish(alerts[0])
    assert texts(connector) == {(f"a:{each.user_id}", "News"): 1 for each in people}


def test_an_alert_that_did_not_begin_begins_when_it_is_sent_again(alerting):
    alert = alerting.accept(id="order-7")
    alerting.queue.clear()

    alerting.accept(id="order-7")
    assert [step.kind for step in alerting.steps()] == ["read"]

    alerting.take(alert, "read")
    alerting.steps()
    alerting.accept(id="order-7")
    assert alerting.steps("read") == []


def test_a_scheduled_alert_that_is_sent_again_and_again_is_read_by_one_chain_of_steps(alerting):
    alerting.know(4)
    alert = alerting.accept(id="order-7", sendAt=later(days=1))
    for _ in range(3):
        alerting.accept(id="order-7", sendAt=alert.send_at.isoformat())
    alerting.queue.clear()
    chains = [alerting.services.alerts.find("order-7").chain, alert.chain]
    alerting.services.alerts.change("order-7", lambda current: replace(current, send_at=None))

    for chain in chains:
        alerting.take(alert, "read", chain=chain)

    assert [(step.chain, step.page) for step in alerting.steps("read")] == [(chains[0], 1)]


# Cancelling


@pytest.mark.parametrize(
    ("stop", "status"),
    [(cancel_alert, AlertStatus.CANCELLED), (recall_alert, AlertStatus.RECALLED)],
)
@pytest.mark.parametrize("dies", [False, True], ids=["lives", "dies"])
def test_an_alert_that_is_stopped_before_it_begins_is_over_at_once_and_that_is_told(
    alerting, queue_reader, stop, status, dies
):
    queue = unique("outcomes")
    alerting.services = telling(alerting.services, queue)
    alert = alerting.accept(sendAt=later(days=1), recipients=recipients("29:a", "29:b"))
    alerting.queue.clear()

    if dies:
        # As soon as it is recorded; then its first step finds it ended, once that is due.
        stop(alert.id, replace(alerting.services, outcomes=None))
        alerting.accept_again(alert)
        alerting.run(alert)
    else:
        stop(alert.id, alerting.services)

    ended = alerting.services.alerts.find(alert.id)
    assert (status_of(ended), ended.ended_at) == (status, ended.stopped_at)
    assert alerting.queue.count() == 0
    assert not is_kept(alerting, alert.recipients_key)
    [event] = queue_reader(queue).take()
    assert (event["type"], event["subject"]) == ("alert.ended", alert.id)
    assert event["data"]["version"] == ended.version
    counts = {status: count for status, count in event["data"]["counts"].items() if count}
    assert counts == alerting.counts(alert) == {"cancelled": 2}


def test_nothing_more_is_sent_of_a_cancelled_alert_whose_copies_can_still_be_edited(
    alerting, connector
):
    alert, message = send_one_of_two(alerting)

    cancelled = cancel_alert(alert.id, alerting.services)

    assert alerting.counts(alert) == {"sent": 1, "current": 1, "cancelled": 1}
    # Somebody may be sending still, who does not know of it.
    assert cancelled.ended_at is None
    assert alerting.take(alert, "close").ended_at is None
    alerting.rest(alert)
    ended = alerting.take(alert, "close")
    assert ended.counts == {"sent": 1, "current": 1, "cancelled": 1}
    assert ended.ended_at is not None
    alerting.worker.handle(message, services=replace(alerting.sending))
    found = alerting.services.deliveries.page(alert.id, 0)
    assert {each.status for each in found} == {Status.SENT, Status.CANCELLED}

    assert status_of(edit(alert.id, alerting.services)) is AlertStatus.CANCELLED
    alerting.finish(alert)

    assert [call.method for call in connector.requests] == ["POST", "PUT"]
    assert alerting.counts(alert) == {"sent": 1, "cancelled": 1, "current": 1}


def test_an_alert_that_has_ended_is_not_cancelled(alerting):
    alerting.know(1)
    alert = alerting.send()

    assert cancel_alert(alert.id, alerting.services) == alert
    assert status_of(alert) is AlertStatus.DONE


# Recalling


def test_a_recall_deletes_the_copies_and_stops_the_rest(alerting, connector):
    alert, message = send_one_of_two(alerting)

    recalled = recall_alert(alert.id, alerting.services)

    assert (recalled.version, recalled.closed_pages, recalled.ended_at) == (2, 0, None)
    alerting.run(alert)
    # What this process knows of the alert may be a second old.
    fresh = replace(alerting.sending)
    alerting.worker.handle(message, services=fresh)
    alerting.worker.run()
    assert [call.method for call in connector.requests] == ["POST", "DELETE"]
    assert alerting.counts(alert) == {"sent": 1, "cancelled": 1, "recalled": 1}


def test_an_alert_is_recalled_once_however_often_that_is_asked_for_and_not_edited_any_more(
    alerting, connector, storage_calls
):
    alerting.know(2)
    alert = alerting.send()

    recalls = [recall_alert(alert.id, alerting.services) for _ in range(2)]

    assert {each.version for each in recalls} == {2}
    alerting.rest(alert)
    ended = alerting.finish(alert)
    assert [call.method for call in connector.requests].count("DELETE") == 2
    assert ended.ended_at is not None
    assert alerting.counts(alert) == {"sent": 2, "recalled": 2}

    storage_calls()
    with pytest.raises(AlertOverError):
        edit(alert.id, alerting.services)
    assert alerting.services.alerts.find(alert.id) == ended
    assert alerting.messages(UPDATE_ACTIVITY) == 0
    assert len(rows(storage_calls(), "bodies", "DELETE")) == 1


# Editing


def test_an_edit_is_a_new_version_that_is_counted_anew_and_of_two_edits_the_last_holds(
    alerting, connector
):
    [person] = alerting.know(1)
    alert = alerting.send()

    for text in ("First", "Second"):
        edited = edit_alert(alert.id, {"activity": {"text": text}}, alerting.services)

    assert (edited.version, edited.ended_at, edited.closed_pages) == (3, None, 0)
    assert edited.counts == {}
    assert alerting.counts(alert) == {"sent": 1}
    ended = alerting.finish(alert)
    edits = [call.json for call in connector.requests if call.method == "PUT"]
    assert edits[-1]["text"] == "Second"
    assert edits[-1]["conversation"]["id"] == f"a:{person.user_id}"
    assert ended.counts == alerting.counts(alert) == {"sent": 1, "current": 1}
    assert ended.ended_at is not None


def test_an_edit_that_comes_again_is_no_other_version(alerting, storage_calls):
    alert = alerting.accept()
    edits = [
        edit_alert(alert.id, NEW_TEXT, alerting.services, edit_id=edit_id)
        for edit_id in ("first", "first", "second")
    ]

    assert [edited.version for edited in edits] == [2, 2, 3]
    # Whoever came first may have died before the change was on the queue.
    assert [step.version for step in alerting.steps("change")] == [2, 2, 3]
    # What was kept for the repeated one.
    assert len(rows(storage_calls(), "bodies", "DELETE")) == 1
    assert is_kept(alerting, edits[1].content_key)


@pytest.mark.parametrize(
    ("change", "seconds"),
    [
        (edit, outdated_copies.KNOWN_AFTER_SECONDS),
        (recall_alert, outdated_copies.KNOWN_AFTER_SECONDS),
        (cancel_alert, 5),
    ],
)
def test_what_follows_a_change_waits_until_all_who_send_know_of_it(
    alerting, storage_calls, monkeypatch, change, seconds
):
    alert = alerting.accept()
    assert seconds > REMEMBERED_FOR.total_seconds()
    monkeypatch.setattr(alert_lifecycle, "KNOWN_AFTER_SECONDS", seconds)
    storage_calls()

    change(alert.id, alerting.services)

    assert delays(storage_calls()) == [seconds]


def test_a_copy_that_is_sent_after_an_edit_is_the_edited_one(alerting, connector):
    alerting.know(1)
    alert = alerting.accept()
    edit_alert(alert.id, NEW_TEXT, alerting.services)

    alerting.run(alert)
    alerting.worker.run()

    assert [call.json["text"] for call in connector.requests] == ["Edited"]
    assert alerting.counts(alert) == {"sent": 1, "current": 1}


def test_an_edit_without_data_keeps_the_alerts_own(alerting):
    alert = alerting.accept(activity={"text": "${amount}"}, data={"amount": 7})

    def data_after(edit):
        edited = edit_alert(alert.id, {"activity": {"text": "${amount}"}, **edit}, services)
        return services.alerts.content(edited).data

    services = alerting.services
    assert data_after({}) == {"amount": 7}
    assert data_after({"data": {"amount": 8}}) == {"amount": 8}
    assert data_after({}) == {"amount": 8}


@pytest.mark.parametrize("edit", [{"activity": {"text": "${amount}"}, "data": {}}, LARGE])
def test_an_edit_that_cannot_be_sent_changes_nothing(alerting, storage_calls, edit):
    alert = alerting.accept(
        recipients=recipients("29:alex"), activity={"text": "${amount}"}, data={"amount": 7}
    )
    storage_calls()

    with pytest.raises(InvalidRequestError):
        edit_alert(alert.id, edit, alerting.services)

    assert [call for call in storage_calls() if not call.startswith("GET")] == []
    assert alerting.services.alerts.find(alert.id) == alert


@pytest.mark.parametrize(
    ("change", "status"), [(edit, AlertStatus.CANCELLED), (recall_alert, AlertStatus.RECALLED)]
)
def test_an_alert_that_was_cancelled_before_it_began_stays_over(alerting, change, status):
    alert = alerting.accept(sendAt=later(days=1))
    cancel_alert(alert.id, alerting.services)

    change(alert.id, alerting.services)
    ended = alerting.run(alert)

    assert status_of(ended) is status
    assert ended.ended_at is not None


def test_an_edit_of_an_alert_that_has_not_begun_enqueues_no_checks_for_its_end(alerting):
    alert = alerting.accept(sendAt=later(days=1))
    edit_alert(alert.id, NEW_TEXT, alerting.services)
    alerting.run(alert)
    alerting.queue.clear()

    alerting.take(alert, "change", version=2)
    alerting.run(alert)

    assert alerting.queue.count() == 0


@pytest.mark.parametrize("change", [edit, recall_alert])
def test_an_alert_whose_records_are_being_removed_is_not_changed(alerting, change):
    alert = alerting.accept()
    kept_for = timedelta(days=alerting.services.settings.delivery_retention_days)
    long_ago = datetime.now(UTC) - kept_for
    alerting.services.alerts.change(
        alert.id, lambda current: replace(current, started_at=long_ago, is_read=True)
    )

    with pytest.raises(AlertOverError):
        change(alert.id, alerting.services)

    assert alerting.services.alerts.find(alert.id).version == 1
