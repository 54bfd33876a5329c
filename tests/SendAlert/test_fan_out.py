"""The steps of an alert on their queue, its end, and who is told of it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from SendAlert.service import retry_alert
from shared.deliveries.delivery import Status
from shared.messages.envelope import Step
from shared.sending.alert_lifecycle import edit_alert
from tests.SendAlert.alerting import (
    delays,
    recipients,
)
from tests.support.builders import telling, unique


def test_a_step_keeps_its_names_on_the_queue():
    wire = {"kind": "change", "page": 3, "version": 2, "looks": 4}

    step = Step.model_validate(wire)

    assert step == Step(kind="change", page=3, version=2, checks=4)
    assert step.to_json() == wire


# Closing


def test_the_end_is_checked_for_after_ever_longer_delays(alerting, storage_calls):
    alerting.know(1)
    alert = alerting.accept()
    alerting.run(alert)
    storage_calls()

    for checks in (0, 1, 5, 6, 1000):
        alerting.take(alert, "close", checks=checks)

    assert delays(storage_calls()) == [1, 2, 32, 60, 60]
    alerting.finish(alert)
    storage_calls()
    alerting.take(alert, "close")
    assert delays(storage_calls()) == []


def test_of_an_alert_that_has_ended_the_recipients_are_dropped_and_the_content_kept(alerting):
    alert = alerting.accept(recipients=recipients(unique("29:stranger")))
    large_values = alerting.services.queues.large_values
    assert large_values.fetch(alert.recipients_key or "") is not None

    ended = alerting.finish(alert)

    assert ended.ended_at is not None
    assert large_values.fetch(ended.recipients_key or "") is None
    assert large_values.fetch(ended.content_key) is not None


# Telling other systems


@pytest.fixture
def told(alerting, queue_reader):
    """Takes the ends of alerts that other systems were told."""
    queue = unique("outcomes")
    alerting.services = telling(alerting.services, queue)
    return queue_reader(queue)


def final(**counts):
    return {status.value: counts.get(status.value, 0) for status in Status}


def test_the_end_of_an_alert_is_told_once_in_each_version(alerting, told):
    alerting.know(2)
    alert = alerting.accept()
    alerting.run(alert)
    assert told.count() == 0

    alerting.finish(alert)
    [first] = told.take()
    edit_alert(alert.id, {"activity": {"text": "Edited"}}, alerting.services)
    alerting.finish(alert)
    [second] = told.take()

    assert (first["type"], first["subject"]) == ("alert.ended", alert.id)
    assert first["data"] == {"version": 1, "counts": final(sent=2)}
    assert second["data"] == {"version": 2, "counts": final(sent=2)}
    assert first["id"] != second["id"]


def test_the_end_is_told_by_whoever_finds_the_alert_ended(alerting, told):
    alerting.know(1)
    alert = alerting.accept()
    alerting.run(alert)
    alerting.worker.run()
    # Who closes it dies as soon as the end is recorded.
    alerting.take(alert, "close", services=replace(alerting.services, outcomes=None))
    assert told.count() == 0

    alerting.take(alert, "close")
    alerting.take(alert, "close")

    first, second = told.take()
    assert first == second


def test_an_alert_that_ends_again_after_a_retry_is_told_with_its_new_counts(
    alerting, told, connector
):
    alerting.know(2)
    connector.fail(400, "BadArgument")
    alert = alerting.send()
    [first] = told.take()

    retry_alert(alert.id, alerting.services)
    alerting.finish(alert)

    *_, last = told.take()
    assert first["data"]["counts"] == final(**{"sent": 1, "permanent-failure": 1})
    assert last["data"]["counts"] == final(sent=2)
    assert last["id"] == first["id"]


@pytest.mark.parametrize(("stop", "status"), [("cancelled_at", "cancelled"), (None, "expired")])
def test_who_was_not_read_when_an_alert_was_over_is_counted_at_its_end(
    alerting, told, stop, status
):
    alert = alerting.accept(recipients=recipients("29:a", "29:b"))
    long_ago = alert.created_at - timedelta(minutes=1)
    over = {stop or "expires_at": long_ago}
    alerting.services.alerts.change(alert.id, lambda current: replace(current, **over))

    alerting.run(alert)

    [event] = told.take()
    assert event["data"]["counts"] == final(**{status: 2})
    assert alerting.counts(alert) == {status: 2}
