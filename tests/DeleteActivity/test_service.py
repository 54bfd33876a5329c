from datetime import UTC, datetime

import pytest

from DeleteActivity.request import DeleteRequest
from DeleteActivity.service import delete_activity, delete_at, delete_queued_activity
from shared.accounts.account import Account, OneToOne
from shared.accounts.conversations import Conversation
from shared.alerts.alert import Alert
from shared.connector.errors import ConnectorError, ConnectorRejectedError
from shared.deliveries.delivery import Delivery, Destination, Status
from shared.deliveries.rows import id_in_alert
from shared.errors import AlreadyDoneError, UnknownConversationError
from shared.messages.envelope import DELETE_ACTIVITY, AlertChange, Envelope, QueuedMessage, Sent
from shared.sending.recipient import target_in
from shared.wire_models import parse
from tests.support.builders import unique

SENT = {"conversationId": "a:1", "activityId": "f:7"}
GONE = ["ActivityNotFoundInConversation", "ConversationNotFound", "SomethingElse"]


@pytest.fixture
def conversation(services, connector):
    services.conversations.put(Conversation("a:1", "msteams", f"{connector.url}/emea/"))


def over_http(services, **body):
    delete_activity(parse(DeleteRequest, {**SENT, **body}), services)


def from_queue(services, **body):
    noted = Envelope(id=unique("order"), accepted_at=datetime.now(UTC))
    message = QueuedMessage(DELETE_ACTIVITY, {**SENT, **body}, noted)
    return delete_queued_activity(message, services)


@pytest.mark.usefixtures("conversation")
def test_an_activity_is_deleted_where_it_is(services, connector):
    over_http(services)
    assert from_queue(services) == Sent("f:7")

    assert (
        list(map(str, connector.requests))
        == ["DELETE /emea/v3/conversations/a%3A1/activities/f%3A7"] * 2
    )


@pytest.mark.usefixtures("conversation")
@pytest.mark.parametrize("code", GONE)
def test_from_a_queue_what_is_gone_already_is_as_it_was_wanted(services, connector, code):
    connector.fail(404, code)

    assert from_queue(services) == Sent("f:7")

    assert len(connector.requests) == 1


@pytest.mark.usefixtures("conversation")
@pytest.mark.parametrize("code", GONE)
def test_over_http_it_is_told_that_it_was_gone(services, connector, code):
    connector.fail(404, code)

    with pytest.raises(ConnectorRejectedError) as caught:
        over_http(services)

    assert (caught.value.status, caught.value.code) == (404, code)


@pytest.mark.usefixtures("conversation")
@pytest.mark.parametrize("status", [400, 403, 410, 500, 502])
@pytest.mark.parametrize("delete", [over_http, from_queue])
def test_any_other_refusal_is_one(services, connector, delete, status):
    connector.fail(status, "SomeCode")

    with pytest.raises(ConnectorError) as caught:
        delete(services)

    assert caught.value.code == "SomeCode"


@pytest.mark.parametrize("delete", [over_http, from_queue])
def test_in_a_conversation_that_nobody_knows_nothing_is_gone(services, connector, delete):
    with pytest.raises(UnknownConversationError):
        delete(services)

    assert connector.requests == []


@pytest.mark.usefixtures("conversation")
def test_who_has_the_target_can_hand_it_in(services, connector):
    delete_at(target_in("a:1", None, services), "8", services)

    assert connector.requests[0].path.endswith("/activities/8")


# What was delivered of an alert


@pytest.fixture
def delivery(services, connector):
    """What was delivered to somebody of an alert that was recalled since."""
    now = datetime.now(UTC)
    account = Account(
        "msteams",
        unique("29:alex"),
        service_url=f"{connector.url}/amer/",
        conversation=OneToOne("a:1"),
    )
    stored = services.accounts.change("msteams", account.user_id, lambda _stored: account).account
    alert = Alert(unique("alert"), now, now, "", "", version=2, recalled_at=now)
    services.alerts.create(alert)
    delivery = Delivery(
        id_in_alert(alert.id, 0, stored.key.id),
        Status.SENT,
        now,
        now,
        destination=Destination("msteams", "", None, "a:1", stored.user_id, stored.key),
        activity_id="f:7",
        alert_id=alert.id,
        alert_version=1,
    )
    services.deliveries.record(delivery)
    return delivery


def recall(delivery, services):
    delivery_id = f"{delivery.id}!2"
    envelope = Envelope(
        id=delivery_id,
        accepted_at=datetime.now(UTC),
        posting=delivery_id,
        alert=delivery.alert_id,
        change=AlertChange(delivery_id=delivery.id, version=2),
    )
    return delete_queued_activity(QueuedMessage(DELETE_ACTIVITY, {}, envelope), services)


def test_what_was_delivered_of_a_recalled_alert_is_deleted_once(services, connector, delivery):
    assert recall(delivery, services) == Sent("f:7")
    with pytest.raises(AlreadyDoneError):
        recall(delivery, services)

    [request] = connector.requests
    assert str(request) == "DELETE /amer/v3/conversations/a%3A1/activities/f%3A7"
    noted = services.deliveries.find(delivery.id)
    assert (noted.recalled, noted.alert_version, noted.status) == (True, 2, Status.SENT)


@pytest.mark.parametrize("code", GONE)
def test_what_is_gone_already_of_a_recalled_alert_is_as_it_was_wanted(
    services, connector, delivery, code
):
    connector.fail(404, code)

    assert recall(delivery, services) == Sent("f:7")

    assert services.deliveries.find(delivery.id).recalled


def test_what_could_not_be_recalled_is_not_noted_so(services, connector, delivery):
    connector.fail(403, "SomeCode")

    with pytest.raises(ConnectorError):
        recall(delivery, services)

    found = services.deliveries.find(delivery.id)
    assert (found.recalled, found.alert_version) == (False, 1)
