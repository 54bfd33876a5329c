"""What is for one member of a group: nobody else sees it, whether sent, edited or recalled.

As in https://github.com/microsoft/teams.py/pull/264 and msteams-docs#14360.
"""

from urllib.parse import quote
from uuid import uuid4

import pytest

ONLY_FOR_ALEX = {"text": "Only for you", "recipient": {"id": "29:alex", "isTargeted": True}}
NOT_SUPPORTED = "TargetedActivityNotSupported"


def group_on(app, channel_id):
    """A group that the bot is in."""
    group_id = f"19:{uuid4()}@thread.v2"
    app.remember(channel_id, f"29:{uuid4()}", conversation={"id": group_id, "isGroup": True})
    return group_id


def path_of(conversation_id, activity_id=None):
    path = f"/api/conversations/{quote(conversation_id, safe='')}/activities"
    return path if activity_id is None else f"{path}/{activity_id}"


def messages_to(conversation_id):
    """What asks for a send, an edit and a recall on their queues."""
    to = {"conversationId": conversation_id}
    change = {**to, "activityId": "7", "isTargeted": True}
    return {
        "send-activity": {"id": str(uuid4()), **to, "activity": ONLY_FOR_ALEX},
        "update-activity": {"id": str(uuid4()), **change, "activity": {"text": "Corrected"}},
        "delete-activity": {"id": str(uuid4()), **change},
    }


def ask_over_http(app, conversation_id):
    """Send, edit and recall; return the statuses."""
    one = f"{path_of(conversation_id, '7')}?isTargetedActivity=true"
    answers = (
        app.post(path_of(conversation_id), ONLY_FOR_ALEX),
        app.put(one, ONLY_FOR_ALEX),
        app.host.request("DELETE", one),
    )
    return [answer.status for answer in answers]


def test_it_is_for_one_member_whether_sent_edited_or_recalled(app):
    group_id = group_on(app, "msteams")
    messages = messages_to(group_id)

    assert ask_over_http(app, group_id) == [201, 200, 204]
    for queue, message in messages.items():
        app.enqueue(queue, message)
        app.settle()

    group = f"/v3/conversations/{quote(group_id, safe='')}/activities"
    calls = [
        f"POST {group}?isTargetedActivity=true",
        f"PUT {group}/7?isTargetedActivity=true",
        f"DELETE {group}/7?isTargetedActivity=true",
    ]
    assert [str(call) for call in app.calls] == calls * 2
    assert app.calls[0].json["recipient"] == ONLY_FOR_ALEX["recipient"]
    # Teams answers 400 to an edit that names a recipient.
    assert "recipient" not in app.calls[1].json
    for message in messages.values():
        delivery = app.delivery(message["id"])
        assert (delivery["status"], delivery["isTargeted"]) == ("sent", True)


@pytest.mark.parametrize("channel_id", ["telegram", "msteams"])
def test_where_it_cannot_be_it_is_refused_without_a_call(app, user, channel_id):
    if channel_id == "msteams":
        # A chat with one person alone.
        conversation_id = f"a:{user}"
        app.remember(channel_id, user, conversation={"id": conversation_id})
    else:
        conversation_id = group_on(app, channel_id)
    messages = messages_to(conversation_id)

    assert ask_over_http(app, conversation_id) == [422, 422, 422]
    for queue, message in messages.items():
        app.enqueue(queue, message)
        app.settle()
        [poison] = app.storage.take_poison(queue)
        assert poison["failure"]["code"] == NOT_SUPPORTED

    assert app.calls == []


def test_nothing_is_started_for_it(app, user):
    to_person = {"recipient": {"channelId": "msteams", "userId": user}}
    started = app.start(members=[{"id": user}], activity=ONLY_FOR_ALEX)
    app.enqueue("send-activity", {**to_person, "activity": ONLY_FOR_ALEX})
    app.settle()

    [poison] = app.storage.take_poison("send-activity")
    assert poison["failure"]["code"] == NOT_SUPPORTED
    assert [each["field"] for each in started.json()["errors"]] == ["activity"]
    assert (started.status, app.calls) == (400, [])


def test_an_alert_is_for_each_person_alone_already(app, user):
    alert = {"recipients": [{"channelId": "msteams", "userId": user}]}
    several = {"en": {"text": "News"}, "de": ONLY_FOR_ALEX}

    refused = app.post("/api/alerts", {**alert, "activities": several})

    [error] = refused.json()["errors"]
    assert (refused.status, error["field"]) == (400, "activities.de.recipient.isTargeted")


@pytest.mark.parametrize(
    ("query", "recipient", "field"),
    [
        ("", {"isTargeted": True}, "recipient"),
        ("", {"id": "29:alex", "isTargeted": "true"}, "recipient.isTargeted"),
        ("?isTargetedActivity=true", {"id": "29:alex"}, "recipient.isTargeted"),
        ("?isTargetedActivity=1", {"id": "29:alex", "isTargeted": True}, "isTargetedActivity"),
    ],
)
def test_what_leaves_open_who_sees_it_is_refused(app, query, recipient, field):
    group_id = group_on(app, "msteams")

    refused = app.post(f"{path_of(group_id)}{query}", {"text": "x", "recipient": recipient})

    [error] = refused.json()["errors"]
    assert (refused.status, error["field"], app.calls) == (400, field, [])
