"""A person's share of an alert, said as the alert is when its turn comes."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.accounts.account import OneToOne
from shared.alerts.alert import Alert
from shared.deliveries.delivery import Status
from shared.deliveries.rows import id_in_alert
from shared.errors import (
    CancelledError,
    RequestTooLargeError,
    SuppressedError,
)
from shared.messages.account_snapshot import snapshot_of
from shared.messages.envelope import Envelope
from shared.messages.queue_names import SEND_ACTIVITY, START_CONVERSATION
from shared.messages.queued_message import QueuedMessage
from shared.throttling.lane import Lane
from shared.throttling.pacer import Pacer
from tests.SendActivity.sending import START_FOR_ALEX, TO_ALEX, handle
from tests.support.builders import on_its_way, remembering_alerts_by, unique
from tests.support.clocks import FakeClock
from tests.support.connector import is_send, is_start
from tests.support.worker import Worker


@pytest.fixture
def alert(services):
    """An alert that greets people by name."""
    now = datetime.now(UTC)
    said = {"activities": {"en": {"text": "Hello ${name}"}, "de": {"text": "Hallo ${name}"}}}
    alert = Alert(
        unique("alert"),
        now,
        now,
        fingerprint="",
        content_key=services.alerts.keep(said, None),
        topic="news",
    )
    services.alerts.create(alert)
    return alert


@pytest.fixture
def alex(services, know):
    """The account of Alex, who has told their name and language."""
    know(name="Alex", locale="de-AT", tenant_id="tenant")
    return services.accounts.get("msteams", "29:alex").account


def of_alert(alert, account=None, member="r1", **envelope):
    """A message of an alert, with a snapshot of the account when it is given."""
    delivery_id = id_in_alert(alert.id, 0, member)
    noted = Envelope(
        **{
            "id": delivery_id,
            "accepted_at": datetime.now(UTC),
            "posting": delivery_id,
            "alert": alert.id,
            "reference": snapshot_of(account) if account else None,
            **envelope,
        }
    )
    return QueuedMessage(SEND_ACTIVITY, {"id": delivery_id, **TO_ALEX}, noted)


@pytest.mark.parametrize("has_snapshot", [True, False])
def test_a_person_gets_their_share_of_an_alert(services, alert, alex, connector, has_snapshot):
    sent = handle(of_alert(alert, alex if has_snapshot else None), services)

    [request] = connector.requests
    assert request.path == "/amer/v3/conversations/a%3A1/activities"
    assert request.json == {
        "type": "message",
        "text": "Hallo Alex",
        "summary": "Hallo Alex",
        "locale": "de",
        "from": {"id": "28:bot", "name": "News"},
        "conversation": {"id": "a:1"},
    }
    assert (sent.activity_id, sent.alert_version) == ("activity-1", 1)
    to = sent.message.destination
    assert (to.tenant_id, to.key) == ("tenant", alex.key)


def test_a_snapshot_spares_the_look_up(services, alert, alex, storage_calls):
    services = remembering_alerts_by(lambda: 0.0, services)
    handle(of_alert(alert, alex), services)
    storage_calls()

    handle(of_alert(alert, alex, member="r2"), services)

    # What is left is the claim, and now and then slots.
    calls = [call for call in storage_calls() if "/lanes" not in call]
    assert [call.split("(")[0] for call in calls] == ["POST /deliveries"]


def test_whether_a_person_wants_an_alert_was_asked_when_a_fresh_snapshot_was_made(
    services, alert, alex, know, connector
):
    know(preferences={"mutedTopics": ["NEWS"]})
    long_ago = datetime.now(UTC) - timedelta(minutes=1)

    for unknown in (of_alert(alert), of_alert(alert, alex, accepted_at=long_ago)):
        with pytest.raises(SuppressedError):
            handle(unknown, services)
    handle(of_alert(alert, alex), services)

    assert len(connector.requests) == 1


def test_a_start_for_an_alert_names_its_topic(services, alert):
    services.alerts.change(alert.id, lambda current: replace(current, topic_name="Orders"))

    handled = handle(of_alert(alert), services)

    assert handled.start == {**START_FOR_ALEX, "topicName": "Orders"}


def cancel(services, alert):
    services.alerts.change(
        alert.id, lambda current: replace(current, cancelled_at=datetime.now(UTC))
    )


def test_nothing_is_sent_of_what_was_cancelled(services, alert, alex, storage_calls):
    cancel(services, alert)
    storage_calls()

    with pytest.raises(CancelledError):
        handle(of_alert(alert, alex), services)

    assert not any("/deliveries" in call for call in storage_calls())


@pytest.fixture
def meanwhile(services, connector):
    """Services with which something happens while a message waits for its turn."""

    def arrange(happens):
        clock = FakeClock()

        def sleep(seconds):
            clock.sleep(seconds)
            happens()

        pacer = Pacer(services.storage, unique("pace"), rate_per_second=1, clock=clock, sleep=sleep)
        # The next slot is a second away.
        pacer.reserve(Lane.of(connector.url, "tenant"))
        return remembering_alerts_by(lambda: clock.now.timestamp(), services, pacer=pacer)

    return arrange


def test_what_is_edited_while_it_waits_its_turn_is_said_as_it_is_then(
    services, meanwhile, alert, alex, connector
):
    content_key = services.alerts.keep({"activity": {"text": "Edited"}}, None)

    def edit():
        services.alerts.change(
            alert.id, lambda current: replace(current, version=2, content_key=content_key)
        )

    sent = handle(of_alert(alert, alex), meanwhile(edit))

    assert [call.json["text"] for call in connector.requests] == ["Edited"]
    assert sent.alert_version == 2


def test_what_is_cancelled_while_it_waits_its_turn_is_not_sent(
    services, meanwhile, queue_reader, alert, alex, connector
):
    worker = Worker(meanwhile(lambda: cancel(services, alert)), queue_reader)
    message = of_alert(alert, alex)

    worker.handle(on_the_wire(worker, message))

    delivery = services.deliveries.find(message.envelope.id)
    assert (delivery.status, delivery.attempts) == (Status.CANCELLED, 0)
    assert connector.requests == []


def test_what_is_too_large_for_a_person_by_their_own_name_is_not_sent(
    services, alert, know, connector
):
    know(name="x" * 1000)
    content_key = services.alerts.keep({"activity": {"text": "${name}" * 60}}, None)
    services.alerts.change(alert.id, lambda current: replace(current, content_key=content_key))

    with pytest.raises(RequestTooLargeError):
        handle(of_alert(alert), services)

    assert connector.requests == []


# A snapshot is good for the first try alone


@pytest.fixture
def worker(services, queue_reader):
    return Worker(services, queue_reader)


def on_the_wire(worker, message):
    return on_its_way(worker.services, message.queue, message.body, message.envelope)


def secrets_of(account):
    """What must not stand in what lies about: the key, and what else is in a snapshot."""
    return ["keyId", "conversationId", account.conversation.id]


def test_what_comes_back_is_looked_up(worker, alert, alex, know, connector):
    connector.fail(503, "Busy", headers={"Retry-After": "0"})
    worker.handle(on_the_wire(worker, of_alert(alert, alex)))
    [back] = worker.waiting[SEND_ACTIVITY].take()
    assert not any(secret in json.dumps(back) for secret in secrets_of(alex))
    know(conversation=OneToOne("a:2"))

    worker.handle(back)

    assert connector.requests[-1].json["conversation"]["id"] == "a:2"


def test_a_start_for_a_person_who_was_reached_before_has_no_snapshot(
    worker, alert, alex, connector
):
    connector.fail(404, "ConversationNotFound", when=is_send)

    worker.handle(on_the_wire(worker, of_alert(alert, alex)))

    [start] = worker.waiting[START_CONVERSATION].take()
    assert not any(secret in json.dumps(start) for secret in secrets_of(alex))
    worker.handle(start, START_CONVERSATION)
    worker.run()
    assert [is_start(call) for call in connector.requests] == [False, True, False]
    assert connector.requests[-1].json["conversation"]["id"] == "a:chat-with-29:alex"
