"""Accepting alerts, telling how far they are, and putting back what failed."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from SendAlert.request import AlertDeliveryQuery, AlertQuery, AlertRequest
from SendAlert.service import (
    accept_queued_alert,
    list_alert_deliveries,
    list_alerts,
    progress_when_quiet,
    reach_of,
    retry_alert,
)
from shared.deliveries.delivery import Delivery, Status
from shared.deliveries.rows import id_in_alert
from shared.errors import AlertOverError, InvalidRequestError, UnknownAlertError
from shared.messages.envelope import Envelope
from shared.messages.queue_names import SEND_ACTIVITY, SEND_ALERT
from shared.messages.queued_message import QueuedMessage
from shared.sending.alert_lifecycle import cancel_alert
from tests.SendAlert.alerting import recipients
from tests.support.builders import unique

NEWS = {"audience": {}, "activity": {"text": "News"}}


def queued(body):
    envelope = Envelope(id=unique("order"), accepted_at=datetime.now(UTC), traceparent="00-a-b-01")
    return QueuedMessage(SEND_ALERT, body, envelope)


def test_a_queued_alert_has_the_id_and_the_trace_of_its_message(services):
    message = queued(NEWS)

    accept_queued_alert(message, services)

    alert = services.alerts.find(message.envelope.id)
    assert (alert.version, alert.traceparent) == (1, "00-a-b-01")


def test_a_dry_run_has_nobody_to_answer_to_on_a_queue(services):
    message = queued({**NEWS, "dryRun": True})

    with pytest.raises(InvalidRequestError) as caught:
        accept_queued_alert(message, services)

    assert [each.field for each in caught.value.field_errors] == ["dryRun"]
    with pytest.raises(UnknownAlertError):
        services.alerts.find(message.envelope.id)


# How many people it would reach


def test_a_dry_run_counts_who_would_be_reached_and_writes_nothing(alerting, storage_calls):
    alerting.know(2, locale="de-AT")
    alerting.know(1, channel_id="slack")
    alerting.know(1, preferences={"mutedTopics": ["orders"]})
    storage_calls()

    reach = reach_of(AlertRequest.from_json({**NEWS, "topic": "orders"}), alerting.services)

    assert (reach.total, reach.suppressed, reach.is_estimate) == (3, 1, False)
    assert reach.by_channel == {"msteams": 2, "slack": 1}
    assert reach.by_locale == {"de-AT": 2, "en": 1}
    assert [call for call in storage_calls() if not call.startswith("GET")] == []


def test_a_dry_run_looks_recipients_up(alerting):
    [person] = alerting.know(1, locale="de")
    to = recipients(person.user_id, unique("29:stranger"))
    asked = AlertRequest.from_json({"recipients": to, "activity": {"text": "News"}})

    reach = reach_of(asked, alerting.services)

    assert (reach.total, reach.suppressed) == (2, 0)
    assert reach.by_locale == {"de": 1, "en": 1}


# Lists


def pages_of(query, read, **params):
    """All pages of a list."""
    page, token = read(query.from_params(params))
    pages = [page]
    while token:
        page, token = read(query.from_params({**params, "continuationToken": token}))
        pages.append(page)
    return pages


def test_alerts_are_listed_in_pages_each_with_its_newest_first(services, alerting):
    ids = [alerting.accept().id for _ in range(5)]

    pages = pages_of(AlertQuery, lambda query: list_alerts(query, services), pageSize="2")

    assert max(map(len, pages)) <= 2
    for page in pages:
        times = [each.created_at for each in page]
        assert times == sorted(times, reverse=True)
    assert sorted(each.id for page in pages for each in page) == sorted(ids)


def listed(alert, services, **params):
    """All that a list has, and the sizes of its pages."""
    pages = pages_of(
        AlertDeliveryQuery,
        lambda query: list_alert_deliveries(alert.id, query, services),
        **params,
    )
    return [each for page in pages for each in page], [len(page) for page in pages]


def test_all_deliveries_are_listed_in_pages_of_any_size_and_by_status(alerting):
    muted = alerting.know(2, preferences={"muted": True})
    people = alerting.know(5)
    alert = alerting.accept()
    alerting.run(alert)
    [message, *_] = alerting.worker.waiting[SEND_ACTIVITY].take()
    alerting.worker.handle(message)

    for params in ({}, {"pageSize": "1"}, {"pageSize": "2"}):
        deliveries, sizes = listed(alert, alerting.services, **params)

        assert max(sizes) <= int(params.get("pageSize", "100"))
        assert len({each.id for each in deliveries}) == len(deliveries) == 7
        assert Counter(each.status for each in deliveries) == {
            Status.SENT: 1,
            Status.SUPPRESSED: 2,
            Status.ACCEPTED: 4,
        }
    shown = {each.destination.user_id for each in deliveries if each.destination}
    assert {each.user_id for each in muted} < shown < {each.user_id for each in muted + people}
    assert len(listed(alert, alerting.services, status="suppressed", pageSize="1")[0]) == 2
    assert listed(alert, alerting.services, status="expired")[0] == []
    waiting = next(each for each in deliveries if each.status is Status.ACCEPTED)
    alerting.services.deliveries.record(
        replace(waiting, status=Status.RETRYING, code="Throttled", detail="Later")
    )
    cancel_alert(alert.id, alerting.services)
    cancelled, _ = listed(alert, alerting.services, status="cancelled")
    assert [(each.code, each.detail) for each in cancelled] == [(None, None)] * 4


# Retrying


def test_nothing_of_a_cancelled_alert_is_put_back(alerting):
    alert = alerting.accept()
    cancel_alert(alert.id, alerting.services)
    alerting.queue.clear()

    with pytest.raises(AlertOverError):
        retry_alert(alert.id, alerting.services)

    assert alerting.queue.count() == 0


def test_nothing_is_put_back_whose_records_are_being_removed(alerting):
    alert = alerting.send(audience={"interests": ["nothing"]})
    kept_for = timedelta(days=alerting.services.settings.delivery_retention_days)
    alerting.services.alerts.change(
        alert.id, lambda current: replace(current, started_at=datetime.now(UTC) - kept_for)
    )

    with pytest.raises(AlertOverError):
        retry_alert(alert.id, alerting.services)


# Stopping


def test_who_stops_an_alert_is_answered_when_nobody_sends_it_any_more(alerting):
    [person] = alerting.know(1)
    alert = alerting.accept()
    alerting.run(alert)
    now = datetime.now(UTC)

    def is_now(status):
        delivery_id = id_in_alert(alert.id, 0, person.key.id)
        found = Delivery(delivery_id, status, now, now, alert_id=alert.id, posting=status)
        alerting.services.deliveries.record(found)

    is_now(Status.SENDING)
    stopped = cancel_alert(alert.id, alerting.services)
    sleeps: list[float] = []

    def progress():
        sleeps.clear()
        return progress_when_quiet(
            stopped, alerting.services, clock=lambda: sum(sleeps), sleep=sleep
        )

    def sleep(seconds):
        sleeps.append(seconds)
        if len(sleeps) == ends_after:
            is_now(Status.SENT)

    ends_after = 100
    assert progress().counts[Status.SENDING] == 1
    assert sleeps == [1.0, *[0.25] * 4]
    ends_after = 3
    assert progress().counts[Status.SENT] == 1
    assert sleeps == [1.0, 0.25, 0.25]
