from dataclasses import replace
from datetime import UTC, datetime

import pytest

from shared.accounts.account import Account, OneToOne
from shared.accounts.conversations import Conversation
from shared.alerts.alert import Alert
from shared.deliveries.delivery import Delivery, Destination, Status
from shared.deliveries.rows import id_in_alert
from shared.errors import AlreadyDoneError, RequestTooLargeError
from shared.messages.envelope import UPDATE_ACTIVITY, AlertChange, Envelope, QueuedMessage, Sent
from shared.sending.recipient import target_in
from shared.wire_models import Activity, ChannelAccount, parse
from tests.support.builders import unique
from tests.support.worker import Worker
from UpdateActivity.request import UpdateRequest
from UpdateActivity.service import update_activity, update_at, update_queued_activity

BOT = ChannelAccount(id="28:bot", name="News")
THREAD = "19:x@thread.tacv2;messageid=1"


@pytest.fixture
def keep(services, connector):
    """Caches a conversation."""

    def run(conversation_id="a:1", channel_id="msteams"):
        services.conversations.put(
            Conversation(conversation_id, channel_id, f"{connector.url}/emea/", bot=BOT)
        )

    return run


@pytest.fixture
def update(services):
    def run(**body):
        edit = {"conversationId": "a:1", "activityId": "7", "activity": {"text": "News"}, **body}
        return update_activity(parse(UpdateRequest, edit), services)

    return run


def test_another_activity_takes_the_place_of_the_one_that_was_sent(update, keep, connector):
    keep(THREAD)

    updated_id = update(conversationId=THREAD, activityId="f:1;x@y")

    [request] = connector.requests
    assert updated_id == "f:1;x@y"
    assert str(request) == (
        "PUT /emea/v3/conversations/19%3Ax%40thread.tacv2%3Bmessageid%3D1/activities/f%3A1%3Bx%40y"
    )
    assert request.json == {
        "type": "message",
        "text": "News",
        "id": "f:1;x@y",
        "from": {"id": "28:bot", "name": "News"},
        "conversation": {"id": THREAD},
    }


def test_an_activity_passes_through_whole_but_for_its_id(update, keep, connector):
    keep()
    card = {"contentType": "x/card", "content": {"deep": [1, {"é": None}]}, "unknown": True}

    update(activity={"id": "8", "attachments": [card], "more": {"a": 1}})

    sent = connector.requests[0].json
    assert (sent["id"], sent["attachments"], sent["more"]) == ("7", [card], {"a": 1})


@pytest.mark.parametrize(
    ("answer", "updated_id"), [({"id": "8"}, "8"), ({}, "7"), (None, "7"), ({"id": ""}, "7")]
)
def test_its_id_is_the_one_in_the_answer_else_the_one_it_had(
    update, keep, connector, answer, updated_id
):
    keep()
    connector.answer(202, answer)

    assert update() == updated_id


@pytest.mark.parametrize(
    ("channel_id", "fits"), [("msteams", False), ("webchat", True), ("my-own", True)]
)
def test_what_a_channel_does_not_take_is_not_sent(update, keep, connector, channel_id, fits):
    keep(channel_id=channel_id)

    if fits:
        update(activity={"text": "x" * 60_000})
    else:
        with pytest.raises(RequestTooLargeError):
            update(activity={"text": "x" * 60_000})

    assert len(connector.requests) == fits


def test_what_is_said_is_what_there_is_to_say_when_the_call_is_made(services, keep, connector):
    keep()
    versions = iter(["first", "second"])

    def say():
        return parse(Activity, {"text": next(versions)})

    assert update_at(target_in("a:1", None, services), "7", say, services) == "7"

    assert connector.requests[0].json["text"] == "second"


def test_a_queued_message_tells_the_id_that_the_activity_has_now(services, keep, connector):
    keep()
    connector.answer(200, {"id": "8"})
    body = {"conversationId": "a:1", "activityId": "7", "activity": {"text": "News"}}
    noted = Envelope(id="order-7-edit", accepted_at=datetime.now(UTC))

    assert update_queued_activity(QueuedMessage(UPDATE_ACTIVITY, body, noted), services) == (
        Sent("8")
    )


# What was delivered of an alert


@pytest.fixture
def delivered(services, connector):
    """An alert that was edited after it was delivered to Alex, and the delivery."""
    now = datetime.now(UTC)
    account = Account(
        "msteams",
        unique("29:alex"),
        name="Alex",
        bot=BOT,
        service_url=f"{connector.url}/amer/",
        conversation=OneToOne("a:1"),
    )
    stored = services.accounts.change("msteams", account.user_id, lambda _stored: account).account
    content_key = services.alerts.keep({"activity": {"text": "Hello ${name}"}}, None)
    alert = Alert(unique("alert"), now, now, fingerprint="", content_key=content_key, version=2)
    services.alerts.create(alert)
    delivery = Delivery(
        id_in_alert(alert.id, 0, stored.key.id),
        Status.SENT,
        now,
        now,
        destination=Destination("msteams", "", None, "a:1", stored.user_id, stored.key),
        activity_id="7",
        alert_id=alert.id,
        alert_version=1,
    )
    services.deliveries.record(delivery)
    return alert, delivery


def change_of(delivery, version=2):
    delivery_id = f"{delivery.id}!{version}"
    envelope = Envelope(
        id=delivery_id,
        accepted_at=datetime.now(UTC),
        posting=delivery_id,
        alert=delivery.alert_id,
        change=AlertChange(delivery_id=delivery.id, version=version),
    )
    return QueuedMessage(UPDATE_ACTIVITY, {}, envelope)


def test_an_edit_of_an_alert_is_made_for_each_person_where_it_was_delivered(
    services, connector, delivered
):
    _, delivery = delivered

    assert update_queued_activity(change_of(delivery), services) == Sent("7")

    [request] = connector.requests
    assert str(request) == "PUT /amer/v3/conversations/a%3A1/activities/7"
    assert request.json == {
        "type": "message",
        "text": "Hello Alex",
        "summary": "Hello Alex",
        "id": "7",
        "from": {"id": "28:bot", "name": "News"},
        "conversation": {"id": "a:1"},
    }
    noted = services.deliveries.find(delivery.id)
    assert (noted.alert_version, noted.activity_id, noted.recalled) == (2, "7", False)


def test_an_edit_brings_the_version_of_now_and_the_next_one_nothing(services, connector, delivered):
    alert, delivery = delivered
    content_key = services.alerts.keep({"activity": {"text": "Newest"}}, None)
    services.alerts.change(
        alert.id, lambda current: replace(current, version=3, content_key=content_key)
    )

    update_queued_activity(change_of(delivery, 2), services)
    with pytest.raises(AlreadyDoneError):
        update_queued_activity(change_of(delivery, 3), services)

    assert [call.json["text"] for call in connector.requests] == ["Newest"]


def test_what_was_recalled_meanwhile_is_not_edited_but_left_to_the_recall(
    services, connector, delivered
):
    alert, delivery = delivered
    services.alerts.change(
        alert.id, lambda current: replace(current, version=3, recalled_at=datetime.now(UTC))
    )

    with pytest.raises(AlreadyDoneError):
        update_queued_activity(change_of(delivery, 2), services)

    assert connector.requests == []
    assert not services.deliveries.find(delivery.id).recalled


def test_an_edit_that_fails_is_recorded_by_itself_and_the_delivery_as_it_was(
    services, connector, delivered, queue_reader
):
    _, delivery = delivered
    connector.fail(400, "BadSyntax")
    message = change_of(delivery)
    worker = Worker(services, queue_reader)

    worker.handle({"_flow": message.envelope.to_json()}, UPDATE_ACTIVITY)

    failed = services.deliveries.find(message.envelope.id)
    assert (failed.status, failed.code) == (Status.PERMANENT_FAILURE, "BadSyntax")
    found = services.deliveries.find(delivery.id)
    assert (found.status, found.alert_version) == (Status.SENT, 1)


def test_an_edit_that_the_queue_gives_out_twice_is_made_once(
    services, connector, delivered, queue_reader
):
    _, delivery = delivered
    worker = Worker(services, queue_reader)

    for _ in range(2):
        worker.handle({"_flow": change_of(delivery).envelope.to_json()}, UPDATE_ACTIVITY)

    assert len(connector.requests) == 1
    assert services.deliveries.find(f"{delivery.id}!2").status is Status.SENT
    assert worker.failures(UPDATE_ACTIVITY) == []


def test_what_was_sent_of_a_stopped_alert_is_edited_all_the_same(services, connector, delivered):
    alert, delivery = delivered
    services.alerts.change(
        alert.id, lambda current: replace(current, cancelled_at=datetime.now(UTC))
    )

    assert update_queued_activity(change_of(delivery), services) == Sent("7")

    assert len(connector.requests) == 1
