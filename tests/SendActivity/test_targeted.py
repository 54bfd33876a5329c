"""What is for one member of a group: nobody else sees it, whether sent, edited or recalled.

As in https://github.com/microsoft/teams.py/pull/264 and msteams-docs#14360.
"""

from urllib.parse import quote

import pytest

from DeleteActivity.triggers import delete_activity_http
from SendActivity.triggers import send_activity_http
from shared.accounts.account import Account, OneToOne
from shared.accounts.conversations import Conversation
from shared.deliveries.delivery import Status
from shared.messages.queue_names import DELETE_ACTIVITY, SEND_ACTIVITY, UPDATE_ACTIVITY
from StartConversation.triggers import start_conversation_http
from tests.support.builders import answer_of, http_request
from tests.support.worker import Worker
from UpdateActivity.triggers import update_activity_http

ONLY_FOR_ALEX = {"text": "Only for you", "recipient": {"id": "29:alex", "isTargeted": True}}
GROUP, CHAT, ELSEWHERE = "19:group@thread.v2", "a:1", "telegram-group"
TARGETED = {"isTargetedActivity": "true"}


@pytest.fixture(autouse=True)
def conversations(deployed, connector):
    """A group on Teams, a chat with one person, and a group where there is no such thing."""
    for conversation_id, channel_id in ((GROUP, "msteams"), (ELSEWHERE, "telegram")):
        group = Conversation(conversation_id, channel_id, connector.url, is_group=True)
        deployed.conversations.put(group)
    alex = Account("msteams", "29:alex", service_url=connector.url, conversation=OneToOne(CHAT))
    deployed.accounts.change_or_make("msteams", "29:alex", lambda _stored: alex)


@pytest.fixture
def worker(deployed, queue_reader):
    return Worker(deployed, queue_reader)


def send(conversation_id, activity, params=None):
    route = {"conversationId": conversation_id}
    return send_activity_http(http_request("POST", activity, route=route, params=params))


def ask_over_http(conversation_id):
    """Send, edit and recall; return the statuses."""
    route = {"conversationId": conversation_id, "activityId": "7"}
    edit = http_request("PUT", ONLY_FOR_ALEX, route=route, params=TARGETED)
    recall = http_request("DELETE", route=route, params=TARGETED)
    answers = (
        send(conversation_id, ONLY_FOR_ALEX),
        update_activity_http(edit),
        delete_activity_http(recall),
    )
    return [answer.status_code for answer in answers]


def ask_by_queue(worker, conversation_id):
    """Send, edit and recall; return what became of each message."""
    to = {"conversationId": conversation_id}
    change = {**to, "activityId": "7", "isTargeted": True}
    ids = [
        worker.handle({**to, "activity": ONLY_FOR_ALEX}, SEND_ACTIVITY),
        worker.handle({**change, "activity": {"text": "Corrected"}}, UPDATE_ACTIVITY),
        worker.handle(change, DELETE_ACTIVITY),
    ]
    return [worker.services.deliveries.find(each) for each in ids]


def test_it_is_for_one_member_whether_sent_edited_or_recalled(worker, connector):
    assert ask_over_http(GROUP) == [201, 200, 204]
    deliveries = ask_by_queue(worker, GROUP)

    group = f"/v3/conversations/{quote(GROUP, safe='')}/activities"
    calls = [
        f"POST {group}?isTargetedActivity=true",
        f"PUT {group}/7?isTargetedActivity=true",
        f"DELETE {group}/7?isTargetedActivity=true",
    ]
    assert [str(call) for call in connector.requests] == calls * 2
    assert connector.requests[0].json["recipient"] == ONLY_FOR_ALEX["recipient"]
    # Teams answers 400 to an edit that names a recipient.
    assert "recipient" not in connector.requests[1].json
    assert [(each.status, each.is_targeted) for each in deliveries] == [(Status.SENT, True)] * 3


@pytest.mark.parametrize("conversation_id", [CHAT, ELSEWHERE])
def test_where_it_cannot_be_it_is_refused_without_a_call(worker, connector, conversation_id):
    assert ask_over_http(conversation_id) == [422, 422, 422]
    codes = [each.code for each in ask_by_queue(worker, conversation_id)]

    assert codes == ["TargetedActivityNotSupported"] * 3
    assert connector.requests == []


def test_nothing_is_started_for_it(worker, connector):
    body = {"members": [{"id": "29:sam"}], "activity": ONLY_FOR_ALEX}
    status, problem = answer_of(start_conversation_http(http_request("POST", body)))
    to_sam = {"recipient": {"channelId": "msteams", "userId": "29:sam"}}
    delivery = worker.send({**to_sam, "activity": ONLY_FOR_ALEX})

    assert (status, [each["field"] for each in problem["errors"]]) == (400, ["activity"])
    assert delivery.code == "TargetedActivityNotSupported"
    assert connector.requests == []


@pytest.mark.parametrize(
    ("params", "recipient", "field"),
    [
        ({}, {"isTargeted": True}, "recipient"),
        ({}, {"id": "29:alex", "isTargeted": "true"}, "recipient.isTargeted"),
        (TARGETED, {"id": "29:alex"}, "recipient.isTargeted"),
        (
            {"isTargetedActivity": "1"},
            {"id": "29:alex", "isTargeted": True},
            "isTargetedActivity",
        ),
    ],
    ids=["no id", "no boolean", "not said in the body", "no flag"],
)
def test_what_leaves_open_who_sees_it_is_refused(connector, params, recipient, field):
    status, problem = answer_of(send(GROUP, {"text": "x", "recipient": recipient}, params))

    assert (status, [each["field"] for each in problem["errors"]]) == (400, [field])
    assert connector.requests == []
