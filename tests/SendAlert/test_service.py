"""Accepting an alert, telling how far it is, and changing one's mind about it."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from SendAlert import service
from SendAlert.progress import progress_of
from SendAlert.request import AlertDeliveryQuery, AlertQuery, AlertRequest, EditRequest
from SendAlert.service import (
    accept_alert,
    accept_queued_alert,
    list_alert_deliveries,
    list_alerts,
    progress_when_quiet,
    reach_of,
)
from shared.alerts.alert import AlertStatus
from shared.connector.channel_features import KNOWN_CHANNELS
from shared.deliveries.delivery import Status
from shared.errors import (
    AlertExistsError,
    AlertOverError,
    AppError,
    InvalidRequestError,
    RequestTooLargeError,
    UnknownAlertError,
)
from shared.messages.envelope import SEND_ALERT, UPDATE_ACTIVITY, Envelope, QueuedMessage
from shared.sending import alert_lifecycle
from shared.settings import Settings
from shared.wiring import Services
from tests.SendAlert.alerting import STORAGE, texts, through
from tests.support.builders import unique
from tests.support.lossy_storage import LossyStorage

NEWS = {"activity": {"text": "News"}}
NEW_TEXT = EditRequest.from_json({"text": "Edited"})
MANY = 1000
WRITES = ("POST", "PUT", "PATCH", "DELETE")


def request(**alert):
    content = {} if "activities" in alert else NEWS
    to: dict[str, dict[str, str]] = {} if "recipients" in alert else {"audience": {}}
    return AlertRequest.from_json({**to, **content, **alert})


def accept(services, alert_id=None, **alert):
    return accept_alert(request(**alert), alert_id or unique("alert"), services)


def later(**time):
    return (datetime.now(UTC) + timedelta(**time)).isoformat()


def status_of(alert):
    return alert.status(datetime.now(UTC))


def named(*user_ids, channel_id="msteams"):
    return [{"channelId": channel_id, "userId": each} for each in user_ids]


def writing(calls):
    return [call for call in calls if call.startswith(WRITES)]


def find_alert(alert_id, services):
    return progress_of(services.alerts.find(alert_id), services)


def cancel_alert(alert_id, services):
    return progress_when_quiet(alert_lifecycle.cancel_alert(alert_id, services), services)


def recall_alert(alert_id, services):
    return progress_of(alert_lifecycle.recall_alert(alert_id, services), services)


def edit_alert(alert_id, edit, services):
    edited = alert_lifecycle.edit_alert(alert_id, edit.content_json(), services)
    return progress_of(edited, services)


def retry_alert(alert_id, services):
    return progress_of(service.retry_alert(alert_id, services), services)


# Accepting


def test_an_alert_is_accepted_with_all_that_was_asked_for(alerting):
    alert = alerting.accept(
        id="order-7",
        audience={"interests": ["news"], "channelId": "msteams", "locale": "de"},
        topic="orders",
        topicName="Orders",
        sendAt=later(hours=1),
        expiresAt=later(hours=2),
        data={"amount": 7},
        activity={"text": "${amount}"},
    )

    found = alerting.services.alerts.find(alert.id)
    assert found == alert
    assert (found.version, found.next_page, found.recipient_count) == (1, 0, None)
    assert (found.topic, found.topic_name, found.channel_ids) == ("orders", "Orders", ("msteams",))
    assert found.audience.interests == ("news",)
    assert status_of(found) is AlertStatus.SCHEDULED
    assert alerting.services.alerts.content(found).data == {"amount": 7}


def test_it_takes_as_many_calls_of_storage_for_a_thousand_people_as_for_ten(
    alerting, storage_calls
):
    alerting.accept()
    alerting.know(10)
    storage_calls()
    alerting.accept()
    for_ten = storage_calls()
    alerting.know(MANY)
    storage_calls()

    alerting.accept()

    assert len(storage_calls()) == len(for_ten) <= 4


@pytest.mark.parametrize(
    ("alert", "fields"),
    [
        ({"activity": {"text": "${1 + 1}"}}, ["activity.text"]),
        ({"activity": {"text": "${nothing}"}}, ["activity.text"]),
        ({"activity": {"text": "${topic}"}}, ["activity.text"]),
        (
            {"activities": {"en": {"text": "${a}"}, "de": {"text": "x", "speak": "${b}"}}},
            ["activities.en.text", "activities.de.speak"],
        ),
        ({"activity": {"text": "${list}"}, "data": {"list": []}}, ["activity.text"]),
        ({"activity": {"text": "x" * 60_000}}, ["activity.text"]),
        (
            {"activities": {"en": {"text": "x"}, "de": {"text": "x" * 60_000}}},
            ["activities.de.text"],
        ),
        ({"expiresAt": "2020-01-01T00:00:00Z"}, ["expiresAt"]),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_wrong_is_named_and_nothing_is_kept(services, storage_calls, alert, fields):
    storage_calls()

    with pytest.raises(InvalidRequestError) as caught:
        accept(services, **alert)

    assert [each.field for each in caught.value.field_errors] == fields
    assert storage_calls() == []


@pytest.mark.parametrize(
    ("target", "fits"),
    [
        ({"audience": {}}, False),
        ({"audience": {"channelId": "msteams"}}, False),
        ({"audience": {"channelId": "slack"}}, True),
        ({"recipients": named("U1", channel_id="slack")}, True),
        ({"recipients": [*named("U1", channel_id="slack"), *named("29:alex")]}, False),
    ],
)
def test_what_is_said_has_to_fit_each_channel_that_it_may_go_to(services, target, fits):
    alert = {**target, "activity": {"text": "x" * 60_000}}

    if fits:
        accept(services, **alert)
    else:
        with pytest.raises(RequestTooLargeError):
            accept(services, **alert)


@pytest.mark.parametrize(
    ("limits", "audience", "fits"),
    [
        ("my-own=10", {}, False),
        ("my-own=10", {"channelId": "slack"}, True),
        ("slack=10", {"channelId": "slack"}, False),
        ("msteams=200", {"channelId": "msteams"}, True),
    ],
)
def test_the_limits_of_the_settings_hold_too(app_settings, limits, audience, fits):
    assert "my-own" not in KNOWN_CHANNELS
    settings = {**app_settings, "LargestActivityKilobytes": limits}
    services = Services.of(Settings.from_environment(settings))

    def send():
        return accept(services, audience=audience, activity={"text": "x" * 10_000})

    if fits:
        send()
    else:
        with pytest.raises(RequestTooLargeError, match="10 KB"):
            send()


def test_a_name_is_no_placeholder_that_needs_a_value(alerting):
    alert = alerting.accept(
        activity={"text": "${name}, ${topic}, ${amount}, ${data.amount}"},
        topic="orders",
        data={"amount": 7},
    )

    assert alert.version == 1


@pytest.mark.parametrize(
    "alert",
    [
        {"sendAt": "9999-12-31T23:00:00Z"},
        {"audience": {"interests": ["x" * 1000] * 40}},
        {"topic": "\ud83d"},
    ],
    ids=["year 9999", "many interests", "half an emoji"],
)
def test_what_cannot_be_kept_is_refused(services, alert):
    with pytest.raises(InvalidRequestError):
        accept(services, **alert)


def test_the_same_alert_is_accepted_once(alerting):
    first = alerting.accept(id="order-7")
    again = alerting.accept(id="order-7")

    assert again == first
    assert alerting.services.alerts.content(first) is not None
    assert alerting.services.queues.large_values.fetch(first.content_key) is not None


def test_another_alert_with_its_id_is_refused_and_leaves_it_as_it_was(alerting):
    first = alerting.accept(id="order-7")

    with pytest.raises(AlertExistsError):
        alerting.accept(id="order-7", activity={"text": "Other"})

    assert alerting.services.alerts.find("order-7") == first


def test_what_is_kept_of_an_alert_that_was_there_already_is_dropped(alerting, storage_calls):
    alerting.accept(id="order-7", recipients=named("29:alex"))
    storage_calls()

    alerting.accept(id="order-7", recipients=named("29:alex"))

    calls = [call for call in storage_calls() if "/bodies" in call]
    assert [call.split()[0] for call in calls].count("DELETE") == 2


def test_of_many_who_send_the_same_alert_at_once_one_is_accepted(alerting, connector):
    people = alerting.know(2)
    with ThreadPoolExecutor(8) as pool:
        alerts = list(pool.map(lambda _: alerting.accept(id="order-7"), range(8)))

    assert len({alert.content_key for alert in alerts}) == 1
    alerting.finish(alerts[0])
    assert texts(connector) == {(f"a:{each.user_id}", "News"): 1 for each in people}


def test_an_alert_whose_acceptance_storage_did_not_tell_is_sent(alerting, app_settings, connector):
    [person] = alerting.know(1)
    alert_id = unique("alert")
    with LossyStorage(app_settings[STORAGE]) as lossy:
        lossy.lose_answer(
            lambda call: (
                call.method == "POST" and "/alerts" in call.path and alert_id.encode() in call.body
            )
        )
        alert = accept(through(lossy, app_settings, alerting.services), alert_id)

    alerting.finish(alert)

    assert texts(connector) == {(f"a:{person.user_id}", "News"): 1}


def test_who_sends_it_again_has_it_begin_when_the_first_time_it_did_not(alerting):
    alerting.accept(id="order-7")
    alerting.queue.clear()

    alerting.accept(id="order-7")
    assert [step.kind for step in alerting.said()] == ["read"]

    alerting.take(alerting.services.alerts.find("order-7"), "read")
    alerting.said()
    alerting.accept(id="order-7")
    assert alerting.said() == []


@pytest.mark.parametrize("members", [1, 3])
def test_who_is_named_twice_gets_it_once(alerting, connector, members):
    alerting.services = replace(alerting.services, pacer=alerting.pacer(alerting.services, members))
    [person] = alerting.know(1)
    stranger = unique("29:stranger")
    twice = named(person.user_id, stranger) * 2

    alerting.send(recipients=twice)
    alerting.worker.run()

    assert texts(connector) == {
        (f"a:{person.user_id}", "News"): 1,
        (f"a:chat-with-{stranger}", "News"): 1,
    }


def test_an_alert_comes_from_the_queue_with_the_id_and_the_trace_of_its_message(services):
    envelope = Envelope(id=unique("order"), accepted_at=datetime.now(UTC), traceparent="00-a-b-01")
    message = QueuedMessage(SEND_ALERT, {**NEWS, "audience": {}}, envelope)

    accept_queued_alert(message, services)

    alert = services.alerts.find(envelope.id)
    assert (alert.version, alert.traceparent) == (1, "00-a-b-01")


def test_a_dry_run_has_nobody_to_answer_to_on_a_queue(services):
    envelope = Envelope(id=unique("order"), accepted_at=datetime.now(UTC))
    message = QueuedMessage(SEND_ALERT, {**NEWS, "audience": {}, "dryRun": True}, envelope)

    with pytest.raises(InvalidRequestError) as caught:
        accept_queued_alert(message, services)

    assert [each.field for each in caught.value.field_errors] == ["dryRun"]
    with pytest.raises(UnknownAlertError):
        services.alerts.find(envelope.id)


# Whom it would reach


def test_whom_it_would_reach_is_counted_and_nothing_written(alerting, storage_calls):
    alerting.know(2, locale="de-AT")
    alerting.know(1, channel_id="slack")
    alerting.know(1, preferences={"muted": True})
    storage_calls()

    reach = reach_of(request(), alerting.services)

    assert (reach.total, reach.suppressed) == (3, 1)
    assert reach.by_channel == {"msteams": 2, "slack": 1}
    assert reach.by_locale == {"de-AT": 2, "en": 1}
    assert writing(storage_calls()) == []


def test_recipients_are_looked_up_for_whom_it_would_reach(alerting):
    [person] = alerting.know(1, locale="de")
    asked = request(recipients=named(person.user_id, unique("29:stranger")))

    reach = reach_of(asked, alerting.services)

    assert (reach.total, reach.suppressed) == (2, 0)
    assert reach.by_locale == {"de": 1, "en": 1}


def test_what_is_wrong_would_reach_nobody(services):
    with pytest.raises(InvalidRequestError):
        reach_of(request(activity={"text": "${nothing}"}), services)


# Lists


def test_alerts_are_listed_in_pages_the_newest_of_each_first(services, alerting):
    ids = [alerting.accept().id for _ in range(5)]

    found, token = [], None
    while True:
        params = {"pageSize": "2", **({"continuationToken": token} if token else {})}
        page, token = list_alerts(AlertQuery.from_params(params), services)
        assert [each.created_at for each in page] == sorted(
            (each.created_at for each in page), reverse=True
        )
        found += [each.id for each in page]
        if token is None:
            break

    assert sorted(found) == sorted(ids)


def test_a_token_that_is_none_of_this_list_is_named(services):
    with pytest.raises(InvalidRequestError) as caught:
        list_alerts(AlertQuery.from_params({"continuationToken": "!"}), services)

    assert [each.field for each in caught.value.field_errors] == ["continuationToken"]


def listed(alert, services, **params):
    """All that a list has, and the sizes of its pages."""
    deliveries, sizes, token = [], [], None
    while True:
        more: dict[str, str] = {"continuationToken": token} if token else {}
        query = AlertDeliveryQuery.from_params({**params, **more})
        page, token = list_alert_deliveries(alert.id, query, services)
        deliveries += page
        sizes.append(len(page))
        if token is None:
            return deliveries, sizes


def test_all_deliveries_are_listed_whatever_has_become_of_them(alerting):
    muted = alerting.know(2, preferences={"muted": True})
    people = alerting.know(5)
    alert = alerting.accept()
    alerting.run(alert)
    [message, *_] = alerting.worker.waiting["send-activity"].take()
    alerting.worker.handle(message)

    deliveries, _ = listed(alert, alerting.services)

    assert len({each.id for each in deliveries}) == len(deliveries) == 7
    assert Counter(each.status for each in deliveries) == {
        Status.SENT: 1,
        Status.SUPPRESSED: 2,
        Status.ACCEPTED: 4,
    }
    known = {each.destination.user_id for each in deliveries if each.destination}
    assert {each.user_id for each in muted} < known < {each.user_id for each in muted + people}


@pytest.mark.parametrize("size", [1, 2, 100])
def test_deliveries_are_listed_in_pages_of_the_size_that_is_wanted(alerting, size):
    alerting.know(5)
    alert = alerting.send()

    deliveries, sizes = listed(alert, alerting.services, pageSize=str(size))

    assert len({each.id for each in deliveries}) == len(deliveries) == 5
    assert max(sizes) <= size


def test_deliveries_are_listed_by_status(alerting):
    alerting.know(2)
    alerting.know(3, preferences={"muted": True})
    alert = alerting.send()

    assert len(listed(alert, alerting.services, status="suppressed")[0]) == 3
    assert len(listed(alert, alerting.services, status="sent", pageSize="1")[0]) == 2
    assert listed(alert, alerting.services, status="expired")[0] == []


def test_an_alert_that_was_not_begun_has_no_deliveries(alerting):
    alert = alerting.accept()

    assert listed(alert, alerting.services) == ([], [0])


# Cancelling


def test_what_is_scheduled_is_cancelled_and_over_at_once(alerting, storage_calls):
    alert = alerting.accept(sendAt=later(days=1), recipients=named("29:a", "29:b"))

    progress = cancel_alert(alert.id, alerting.services)

    assert status_of(progress.alert) is AlertStatus.CANCELLED
    assert progress.alert.ended_at == progress.alert.cancelled_at
    assert (progress.total, progress.counts) == (2, {"cancelled": 2})
    assert alerting.services.queues.large_values.fetch(alert.recipients_key) is None


def test_what_is_cancelled_says_what_went_out_and_sends_nothing_more(alerting, connector):
    alerting.know(5)
    alert = alerting.accept()
    alerting.take(alert, "read")
    [message, *others] = alerting.worker.waiting["send-activity"].take()
    alerting.worker.handle(message)

    progress = cancel_alert(alert.id, alerting.services)

    assert progress.counts == {"sent": 1, "current": 1, "cancelled": 2}
    assert progress.total == 3
    for each in others:
        alerting.worker.handle(each)
    assert len(connector.requests) == 1
    assert {each.status for each in alerting.services.deliveries.page(alert.id, 0)} == {
        Status.SENT,
        Status.CANCELLED,
    }


def test_what_was_cancelled_ends_as_cancelled_before_its_messages_are_seen(alerting):
    alerting.know(2)
    alert = alerting.accept()
    alerting.run(alert)
    cancel_alert(alert.id, alerting.services)
    alerting.rest(alert)

    ended = alerting.take(alert, "close")

    assert ended.ended_at is not None
    assert ended.counts == {"cancelled": 2}
    assert alerting.messages() == 2


def test_what_was_just_cancelled_has_not_ended(alerting):
    alerting.know(2)
    alert = alerting.accept()
    alerting.run(alert)
    cancel_alert(alert.id, alerting.services)

    assert alerting.take(alert, "close").ended_at is None


def test_what_has_ended_is_not_cancelled(alerting):
    alerting.know(1)
    alert = alerting.send()

    progress = cancel_alert(alert.id, alerting.services)

    assert progress.alert == alert
    assert status_of(progress.alert) is AlertStatus.DONE


# Recalling


def test_what_is_scheduled_is_recalled_and_over_at_once(alerting):
    alert = alerting.accept(sendAt=later(days=1), recipients=named("29:a"))
    alerting.queue.clear()

    progress = recall_alert(alert.id, alerting.services)

    assert status_of(progress.alert) is AlertStatus.RECALLED
    assert progress.alert.ended_at == progress.alert.recalled_at
    assert progress.counts == {"cancelled": 1}
    assert alerting.queue.count() == 0


def test_whom_a_recalled_alert_named_is_forgotten(alerting):
    alert = alerting.accept(sendAt=later(days=1), recipients=named("29:a"))

    recall_alert(alert.id, alerting.services)

    assert alerting.services.queues.large_values.fetch(alert.recipients_key) is None


def test_what_was_cancelled_before_it_began_stays_over_when_it_is_recalled(alerting):
    alert = alerting.accept(sendAt=later(days=1))
    cancel_alert(alert.id, alerting.services)

    recalled = recall_alert(alert.id, alerting.services).alert

    assert status_of(recalled) is AlertStatus.RECALLED
    assert recalled.ended_at is not None


def test_a_recall_deletes_what_was_delivered_and_stops_the_rest(alerting, connector):
    alerting.know(2)
    alert = alerting.accept()
    alerting.run(alert)
    first, second = alerting.worker.waiting["send-activity"].take()
    alerting.worker.handle(first)

    recalled = recall_alert(alert.id, alerting.services).alert

    assert (recalled.version, recalled.closed_pages, recalled.ended_at) == (2, 0, None)
    alerting.run(alert)
    # What this process knows of the alert may be a second old.
    fresh = replace(alerting.sending, alerts=Services.of(alerting.sending.settings).alerts)
    alerting.worker.handle(second, services=fresh)
    alerting.worker.run()
    assert [call.method for call in connector.requests] == ["POST", "DELETE"]
    assert alerting.counts(alert) == {"sent": 1, "cancelled": 1, "recalled": 1}


def test_a_recall_is_made_once_however_often_it_is_asked_for(alerting, connector):
    alerting.know(2)
    alert = alerting.send()

    recalls = [recall_alert(alert.id, alerting.services).alert for _ in range(2)]

    assert {each.version for each in recalls} == {2}
    alerting.rest(alert)
    ended = alerting.finish(alert)
    assert [call.method for call in connector.requests].count("DELETE") == 2
    assert ended.ended_at is not None
    assert alerting.counts(alert) == {"sent": 2, "recalled": 2}


# Editing


def test_an_edit_is_a_new_version_whose_ends_are_counted_anew(alerting):
    alerting.know(2)
    alert = alerting.send()

    progress = edit_alert(alert.id, NEW_TEXT, alerting.services)

    edited = progress.alert
    assert (edited.version, edited.ended_at, edited.closed_pages) == (2, None, 0)
    assert edited.counts == {}
    assert edited.content_key != alert.content_key
    assert (progress.counts["sent"], progress.counts["current"]) == (2, 0)
    ended = alerting.finish(alert)
    assert ended.counts == {"sent": 2, "current": 2}
    assert ended.ended_at is not None


def test_what_is_edited_twice_says_the_last(alerting, connector):
    [person] = alerting.know(1)
    alert = alerting.send()

    for text in ("First", "Second"):
        edit_alert(alert.id, EditRequest.from_json({"text": text}), alerting.services)
    ended = alerting.finish(alert)

    assert ended.version == 3
    edits = [call.json for call in connector.requests if call.method == "PUT"]
    assert edits[-1]["text"] == "Second"
    assert edits[-1]["conversation"]["id"] == f"a:{person.user_id}"
    assert alerting.counts(alert) == {"sent": 1, "current": 1}


def test_what_is_not_sent_yet_says_what_was_edited(alerting, connector):
    alerting.know(1)
    alert = alerting.accept()
    edit_alert(alert.id, NEW_TEXT, alerting.services)

    alerting.run(alert)
    alerting.worker.run()

    assert [call.json["text"] for call in connector.requests] == ["Edited"]
    assert alerting.counts(alert) == {"sent": 1, "current": 1}


def test_an_edit_without_data_keeps_that_of_the_alert(alerting, connector):
    alerting.know(1)
    alert = alerting.send(activity={"text": "${amount}"}, data={"amount": 7})

    edit_alert(alert.id, EditRequest.from_json({"text": "Now ${amount}"}), alerting.services)
    alerting.finish(alert)
    edit = {"activity": {"text": "Now ${amount}"}, "data": {"amount": 8}}
    edit_alert(alert.id, EditRequest.from_json(edit), alerting.services)
    alerting.finish(alert)

    edits = [call.json["text"] for call in connector.requests if call.method == "PUT"]
    assert edits == ["Now 7", "Now 8"]


@pytest.mark.parametrize(
    "edit",
    [
        {"text": "${nothing}"},
        {"activities": {"en": {"text": "x"}, "de": {"text": "x" * 60_000}}},
        {"activity": {"text": "${amount}"}, "data": {}},
    ],
)
def test_an_edit_that_is_wrong_changes_nothing(alerting, storage_calls, edit):
    alert = alerting.accept(activity={"text": "${amount}"}, data={"amount": 7})
    storage_calls()

    with pytest.raises(InvalidRequestError):
        edit_alert(alert.id, EditRequest.from_json(edit), alerting.services)

    assert writing(storage_calls()) == []
    assert alerting.services.alerts.find(alert.id) == alert


def test_an_edit_has_to_fit_the_channels_of_the_alert(alerting):
    large = EditRequest.from_json({"text": "x" * 60_000})

    slack = alerting.accept(audience={"channelId": "slack"})
    assert edit_alert(slack.id, large, alerting.services).alert.version == 2
    recipient = alerting.accept(recipients=named("29:alex"))
    with pytest.raises(RequestTooLargeError):
        edit_alert(recipient.id, large, alerting.services)


def test_what_was_cancelled_is_edited_where_it_was_delivered(alerting, connector):
    alerting.know(2)
    alert = alerting.accept()
    alerting.run(alert)
    [message, _] = alerting.worker.waiting["send-activity"].take()
    alerting.worker.handle(message)
    cancel_alert(alert.id, alerting.services)
    alerting.rest(alert)

    edited = edit_alert(alert.id, NEW_TEXT, alerting.services).alert
    assert status_of(edited) is AlertStatus.CANCELLED
    ended = alerting.finish(alert)

    assert [call.method for call in connector.requests] == ["POST", "PUT"]
    assert alerting.counts(ended) == {"sent": 1, "cancelled": 1, "current": 1}


def test_what_was_cancelled_before_it_began_stays_over_when_it_is_edited(alerting):
    alert = alerting.accept(sendAt=later(days=1))
    cancel_alert(alert.id, alerting.services)

    edit_alert(alert.id, NEW_TEXT, alerting.services)
    alerting.run(alert)

    ended = alerting.services.alerts.find(alert.id)
    assert status_of(ended) is AlertStatus.CANCELLED
    assert ended.ended_at is not None


def test_an_edit_of_what_has_not_begun_has_nobody_look_at_it_until_then(alerting):
    alert = alerting.accept(sendAt=later(days=1))
    edit_alert(alert.id, NEW_TEXT, alerting.services)
    alerting.run(alert)
    alerting.queue.clear()

    alerting.take(alert, "change", version=2, is_last=True)
    alerting.run(alert)

    assert alerting.queue.count() == 0


def test_what_was_recalled_is_not_edited(alerting, storage_calls):
    alerting.know(1)
    alert = alerting.send()
    recalled = recall_alert(alert.id, alerting.services).alert
    alerting.run(alert)

    with pytest.raises(AlertOverError):
        edit_alert(alert.id, NEW_TEXT, alerting.services)

    assert alerting.services.alerts.find(alert.id) == recalled
    assert alerting.messages(UPDATE_ACTIVITY) == 0


# Retrying


def test_a_retry_has_an_alert_end_anew(alerting):
    alerting.know(1)
    alert = alerting.send()

    retried = retry_alert(alert.id, alerting.services).alert

    assert retried.ended_at is None
    assert status_of(retried) is AlertStatus.SENDING
    alerting.run(alert)
    ended = alerting.take(alert, "close")
    assert ended.ended_at is not None
    assert ended.counts == {"sent": 1, "current": 1}


def test_of_what_was_recalled_the_recall_is_put_back_where_it_failed(alerting, connector):
    alerting.know(2)
    connector.fail(400, "BadSyntax", when=lambda call: call.method == "DELETE")
    alert = alerting.send()
    recall_alert(alert.id, alerting.services)
    alerting.rest(alert)
    assert alerting.counts(alerting.finish(alert)) == {"sent": 2, "recalled": 1}

    retry_alert(alert.id, alerting.services)
    ended = alerting.finish(alert)

    assert ended.ended_at is not None
    assert alerting.counts(alert) == {"sent": 2, "recalled": 2}
    assert [call.method for call in connector.requests].count("POST") == 2


def test_what_failed_is_not_put_back_of_what_was_recalled(alerting, connector):
    alerting.know(1)
    connector.fail(400, "BadSyntax")
    alert = alerting.send()
    recall_alert(alert.id, alerting.services)
    alerting.rest(alert)
    alerting.finish(alert)

    retry_alert(alert.id, alerting.services)
    ended = alerting.finish(alert)

    assert ended.ended_at is not None
    assert len(connector.requests) == 1


def test_nothing_is_put_back_of_what_was_cancelled(alerting):
    alert = alerting.accept(sendAt=later(days=1))
    cancel_alert(alert.id, alerting.services)
    alerting.queue.clear()

    with pytest.raises(AlertOverError):
        retry_alert(alert.id, alerting.services)

    assert alerting.queue.count() == 0


@pytest.mark.parametrize("act", [find_alert, cancel_alert, recall_alert, retry_alert])
def test_an_alert_that_nobody_knows_is_unknown(services, act):
    with pytest.raises(UnknownAlertError):
        act("nothing", services)


def test_an_edit_of_an_alert_that_nobody_knows_keeps_nothing(services, storage_calls):
    with pytest.raises(UnknownAlertError):
        edit_alert("nothing", NEW_TEXT, services)

    assert writing(storage_calls()) == []
    with pytest.raises(AppError):
        list_alert_deliveries("nothing", AlertDeliveryQuery.from_params({}), services)
