from datetime import UTC, datetime

import pytest

from DeleteActivity.request import DeleteRequest
from DeleteActivity.service import delete_activity
from shared.accounts.account import Account, OneToOne
from shared.accounts.conversations import Conversation
from shared.alerts.alert import Alert
from shared.connector.errors import ConnectorError
from shared.deliveries.delivery import Delivery, Destination, Status
from shared.deliveries.rows import id_in_alert
from shared.messages.envelope import AlertChange, Envelope
from shared.messages.queue_names import DELETE_ACTIVITY
from shared.wire_models import parse
from tests.support.builders import on_its_way, unique
from tests.support.worker import Worker

SENT = {"conversationId": "a:1", "activityId": "f:7"}


@pytest.fixture
def worker(services, queue_reader):
    return Worker(services, queue_reader)


@pytest.fixture
def alex(services, connector):
    """Somebody who has an account, and a conversation with the bot."""
    service_url = f"{connector.url}/emea/"
    user_id = unique("29:alex")
    account = Account("msteams", user_id, service_url=service_url, conversation=OneToOne("a:1"))
    services.conversations.put(Conversation("a:1", "msteams", service_url, user_id=user_id))
    return services.accounts.change_or_make("msteams", user_id, lambda _stored: account).account


def from_queue(worker):
    return worker.services.deliveries.find(worker.handle(SENT, DELETE_ACTIVITY))


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (404, "ActivityNotFoundInConversation", ""),
        (404, "ConversationNotFound", ""),
        (400, "BadArgument", "not a known activity id"),
    ],
)
def test_from_a_queue_what_is_gone_already_is_as_it_was_wanted(
    worker, services, connector, alex, status, code, message
):
    connector.fail(status, code, message)

    delivery = from_queue(worker)

    assert (delivery.status, delivery.attempts, delivery.activity_id) == (Status.SENT, 1, "f:7")
    assert services.accounts.get("msteams", alex.user_id).account == alex


@pytest.mark.usefixtures("alex")
def test_over_http_it_is_told_that_it_was_gone(services, connector):
    connector.fail(404, "ActivityNotFoundInConversation")

    with pytest.raises(ConnectorError) as caught:
        delete_activity(parse(DeleteRequest, SENT), services)

    assert (caught.value.status, caught.value.code) == (404, "ActivityNotFoundInConversation")


@pytest.mark.usefixtures("alex")
def test_any_other_refusal_is_one(worker, connector):
    connector.fail(400, "BadSyntax")

    delivery = from_queue(worker)

    assert (delivery.status, delivery.code) == (Status.PERMANENT_FAILURE, "BadSyntax")


# A person's copy of an alert


@pytest.fixture
def copy(services, alex):
    """The delivery to Alex of an alert that was recalled since."""
    now = datetime.now(UTC)
    alert = Alert(unique("alert"), now, now, "", "", version=2, recalled_at=now)
    services.alerts.create(alert)
    delivery = Delivery(
        id_in_alert(alert.id, 0, alex.key.id),
        Status.SENT,
        now,
        now,
        destination=Destination("msteams", "", None, "a:1", alex.user_id, alex.key),
        activity_id="f:7",
        alert_id=alert.id,
        alert_version=1,
    )
    services.deliveries.record(delivery)
    return delivery


def recall(worker, copy):
    """Have the recall of a copy handled; return the recall's record, and the copy's."""
    envelope = Envelope(
        id=f"{copy.id}!2",
        accepted_at=datetime.now(UTC),
        posting="2",
        alert=copy.alert_id,
        change=AlertChange(delivery_id=copy.id, version=2),
    )
    message = on_its_way(worker.services, DELETE_ACTIVITY, {}, envelope)
    worker.handle(message, DELETE_ACTIVITY)
    return [worker.services.deliveries.find(each) for each in (envelope.id, copy.id)]


def test_a_copy_of_a_recalled_alert_is_deleted_once(worker, connector, copy):
    for _ in range(2):
        recalled, recalled_copy = recall(worker, copy)

        [request] = connector.requests
        assert str(request) == "DELETE /emea/v3/conversations/a%3A1/activities/f%3A7"
        assert recalled.status is recalled_copy.status is Status.SENT
        assert (recalled_copy.recalled, recalled_copy.alert_version) == (True, 2)


@pytest.mark.parametrize(("status", "is_recalled"), [(404, True), (403, False)])
def test_a_copy_that_is_gone_is_recalled_and_one_that_stays_is_not(
    worker, connector, copy, status, is_recalled
):
    connector.fail(status, "SomeCode")

    _, after = recall(worker, copy)

    assert after.recalled is is_recalled
