"""An edit and a recall alike: one call to where the activity is, whoever the person is now."""

import pytest

from DeleteActivity.request import DeleteRequest
from DeleteActivity.service import delete_activity
from shared.accounts.account import Account, OneToOne
from shared.accounts.conversations import Conversation
from shared.deliveries.delivery import Status
from shared.errors import InvalidRequestError
from shared.messages.queue_names import DELETE_ACTIVITY, UPDATE_ACTIVITY
from shared.wire_models import ChannelAccount, parse
from tests.support.builders import unique
from tests.support.copies import make_known
from tests.support.worker import Worker
from UpdateActivity.request import UpdateRequest
from UpdateActivity.service import update_activity

SENT = {"conversationId": "a:1", "activityId": "7"}
EDIT = {**SENT, "activity": {"text": "News, corrected"}}


@pytest.mark.parametrize(("model", "asked"), [(UpdateRequest, EDIT), (DeleteRequest, SENT)])
def test_a_message_names_an_activity_and_an_edit_has_another(model, asked):
    body = {
        **asked,
        "id": "order-7-change",
        "channelId": "msteams",
        "expiresAt": "2099-01-31T10:00:00Z",
    }

    request = parse(model, body)

    assert request.to_json() | {"expiresAt": body["expiresAt"]} == body


@pytest.mark.parametrize(
    ("model", "body", "fields"),
    [
        (UpdateRequest, SENT, ["activity"]),
        (UpdateRequest, {**SENT, "activity": {"text": 5}}, ["activity.text"]),
        (UpdateRequest, {"activity": {"text": "News"}}, ["conversationId", "activityId"]),
        (UpdateRequest, {**EDIT, "conversationId": ""}, ["conversationId"]),
        (UpdateRequest, {**EDIT, "activityId": "x" * 1025}, ["activityId"]),
        (UpdateRequest, {**EDIT, "channelId": "no channel"}, ["channelId"]),
        (UpdateRequest, {**EDIT, "expiresAt": "tomorrow"}, ["expiresAt"]),
        (UpdateRequest, {**EDIT, "id": ""}, ["id"]),
        (
            UpdateRequest,
            {**EDIT, "recipient": {"channelId": "msteams", "userId": "29:alex"}},
            ["recipient"],
        ),
        (DeleteRequest, {}, ["conversationId", "activityId"]),
        (DeleteRequest, EDIT, ["activity"]),
    ],
)
def test_what_is_wrong_is_named(model, body, fields):
    with pytest.raises(InvalidRequestError) as caught:
        parse(model, body)

    assert [error.field for error in caught.value.field_errors] == fields


def edit(services):
    update_activity(parse(UpdateRequest, EDIT), services)


def recall(services):
    delete_activity(parse(DeleteRequest, SENT), services)


@pytest.fixture
def alex(services, connector):
    """Somebody who wants no alerts, has blocked the bot, and was in another conversation before."""
    account = Account(
        "msteams",
        unique("29:alex"),
        bot=ChannelAccount(id="28:bot"),
        service_url=f"{connector.url}/amer/",
        preferences={"muted": True},
        blocked=True,
        conversation=OneToOne("a:2"),
        former_conversation_ids=("a:1",),
    )
    services.conversations.put(
        Conversation("a:1", "msteams", f"{connector.url}/emea/", user_id=account.user_id)
    )
    return make_known(services, account)


@pytest.mark.parametrize(
    ("method", "over_http", "queue", "body"),
    [("PUT", edit, UPDATE_ACTIVITY, EDIT), ("DELETE", recall, DELETE_ACTIVITY, SENT)],
)
def test_an_activity_is_changed_where_it_was_sent_and_nobody_is_asked_whether_they_want_it(
    services, queue_reader, connector, alex, method, over_http, queue, body
):
    worker = Worker(services, queue_reader)

    over_http(services)
    delivery = services.deliveries.find(worker.handle(body, queue))

    call = f"{method} /emea/v3/conversations/a%3A1/activities/7"
    assert list(map(str, connector.requests)) == [call] * 2
    assert (delivery.status, delivery.activity_id) == (Status.SENT, "7")
    assert delivery.destination.conversation_id == "a:1"
    assert services.accounts.get("msteams", alex.user_id).account == alex
