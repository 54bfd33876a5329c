from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.accounts.account import Account, OneToOne
from shared.accounts.conversations import Conversation
from shared.alerts.alert import Alert
from shared.deliveries.delivery import Status
from shared.messages.queue_names import DELETE_ACTIVITY
from shared.storage.leases import Leases
from tests.support.builders import unique
from tests.support.copies import change_copy, deliver_copy, make_known
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
    return make_known(services, account)


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
    return deliver_copy(services, alert, alex, activity_id="f:7")


def test_a_copy_of_a_recalled_alert_is_deleted_once(worker, connector, copy):
    for _ in range(2):
        recalled, recalled_copy = change_copy(worker, DELETE_ACTIVITY, copy)

        [request] = connector.requests
        assert str(request) == "DELETE /emea/v3/conversations/a%3A1/activities/f%3A7"
        assert recalled.status is recalled_copy.status is Status.SENT
        assert (recalled_copy.recalled, recalled_copy.alert_version) == (True, 2)


@pytest.mark.parametrize(("status", "is_recalled"), [(404, True), (403, False)])
def test_a_copy_that_is_gone_is_recalled_and_one_that_stays_is_not(
    worker, connector, copy, status, is_recalled
):
    connector.fail(status, "SomeCode")

    _, after = change_copy(worker, DELETE_ACTIVITY, copy)

    assert after.recalled is is_recalled


@pytest.mark.parametrize(("seconds_ago", "calls"), [(5, 1), (11, 0)])
def test_a_copy_is_changed_only_where_that_ends_while_it_is_held(
    worker, copy, connector, seconds_ago, calls
):
    slow = Leases(
        worker.services.storage, clock=lambda: datetime.now(UTC) - timedelta(seconds=seconds_ago)
    )
    worker.services = replace(worker.services, leases=slow)

    change, _ = change_copy(worker, DELETE_ACTIVITY, copy)

    assert len(connector.requests) == change.attempts == calls
    assert change.status is (Status.SENT if calls else Status.RETRYING)
