from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.accounts.account import Account, OneToOne
from shared.accounts.conversations import Conversation
from shared.alerts.alert import Alert
from shared.deliveries.delivery import Status
from shared.errors import RequestTooLargeError
from shared.messages.queue_names import UPDATE_ACTIVITY
from shared.storage.leases import Leases
from shared.wire_models import ChannelAccount, parse
from tests.support.builders import unique
from tests.support.copies import change_copy, deliver_copy, make_known
from tests.support.worker import Worker
from UpdateActivity.request import UpdateRequest
from UpdateActivity.service import update_activity

BOT = ChannelAccount(id="28:bot", name="News")
THREAD = "19:x@thread.tacv2;messageid=1"


@pytest.fixture
def update(services, connector):
    """Edits an activity in a conversation of a channel."""

    def run(activity, channel_id="msteams", activity_id="7"):
        services.conversations.put(
            Conversation(THREAD, channel_id, f"{connector.url}/emea/", bot=BOT)
        )
        edit = {"conversationId": THREAD, "channelId": channel_id, "activityId": activity_id}
        return update_activity(parse(UpdateRequest, {**edit, "activity": activity}), services)

    return run


def test_another_activity_takes_the_place_of_the_one_that_was_sent(update, connector):
    card = {"contentType": "x/card", "content": {"deep": [1, {"é": None}]}, "unknown": True}

    updated = update({"id": "8", "attachments": [card]}, activity_id="f:1;x@y")

    [request] = connector.requests
    assert updated.activity_id == "f:1;x@y"
    assert str(request) == (
        "PUT /emea/v3/conversations/19%3Ax%40thread.tacv2%3Bmessageid%3D1/activities/f%3A1%3Bx%40y"
    )
    assert request.json == {
        "type": "message",
        "attachments": [card],
        "id": "f:1;x@y",
        "from": {"id": "28:bot", "name": "News"},
        "conversation": {"id": THREAD},
    }


@pytest.mark.parametrize(("answer", "updated_id"), [({"id": "8"}, "8"), ({}, "7")])
def test_its_id_is_the_one_in_the_answer_else_the_one_it_had(update, connector, answer, updated_id):
    connector.answer(202, answer)

    assert update({"text": "News"}).activity_id == updated_id


def test_what_a_channel_does_not_take_is_not_sent(update, connector):
    with pytest.raises(RequestTooLargeError):
        update({"text": "x" * 60_000})
    update({"text": "x" * 60_000}, "webchat")

    assert len(connector.requests) == 1


# A person's copy of an alert


@pytest.fixture
def worker(services, queue_reader):
    return Worker(services, queue_reader)


@pytest.fixture
def copy(services, connector):
    """The delivery to Alex of an alert that was edited afterwards, and stopped."""
    now = datetime.now(UTC)
    account = Account(
        "msteams",
        unique("29:alex"),
        name="Alex",
        bot=BOT,
        service_url=f"{connector.url}/amer/",
        conversation=OneToOne("a:1"),
    )
    content_key = services.alerts.keep({"activity": {"text": "Hello ${name}"}}, None)
    alert = Alert(
        unique("alert"), now, now, "", content_key=content_key, version=2, cancelled_at=now
    )
    services.alerts.create(alert)
    return deliver_copy(services, alert, make_known(services, account), activity_id="7")


def test_a_copy_is_edited_once_where_it_was_delivered(worker, copy, connector):
    connector.answer(200, {"id": "8"})

    for _ in range(2):
        edited, edited_copy = change_copy(worker, UPDATE_ACTIVITY, copy)

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
        assert (edited.status, edited.activity_id) == (Status.SENT, "8")
        assert (edited_copy.alert_version, edited_copy.activity_id) == (2, "8")
    assert worker.failures(UPDATE_ACTIVITY) == []


def test_an_edit_that_fails_is_recorded_by_itself_and_the_copy_as_it_was(worker, copy, connector):
    connector.fail(400, "BadSyntax")

    failed, same_copy = change_copy(worker, UPDATE_ACTIVITY, copy)

    assert (failed.status, failed.code) == (Status.PERMANENT_FAILURE, "BadSyntax")
    assert (same_copy.status, same_copy.alert_version) == (Status.SENT, 1)


@pytest.mark.parametrize(("seconds_ago", "calls"), [(5, 1), (11, 0)])
def test_a_copy_is_changed_only_where_that_ends_while_it_is_held(
    worker, copy, connector, seconds_ago, calls
):
    slow = Leases(
        worker.services.storage, clock=lambda: datetime.now(UTC) - timedelta(seconds=seconds_ago)
    )
    worker.services = replace(worker.services, leases=slow)

    change, _ = change_copy(worker, UPDATE_ACTIVITY, copy)

    assert len(connector.requests) == change.attempts == calls
    assert change.status is (Status.SENT if calls else Status.RETRYING)
