import pytest

from tests.support.connector import is_start

ONE = [{"id": "1"}]
NOT_SUPPORTED = "ConversationNotSupported"
NO_GROUPS = "GroupConversationNotSupported"

KNOWN_NOT_TO = [
    ({"channelId": "webchat", "members": ONE}, NOT_SUPPORTED),
    ({"channelId": "webchat", "isGroup": True, "members": ONE}, NOT_SUPPORTED),
    ({"channelId": "directline", "members": ONE}, NOT_SUPPORTED),
    (
        {"channelId": "msteams", "isGroup": True, "members": ONE, "activity": {"text": ""}},
        NO_GROUPS,
    ),
    ({"channelId": "msteams", "isGroup": True, "members": ONE}, NO_GROUPS),
    ({"channelId": "slack", "isGroup": True, "members": ONE}, NO_GROUPS),
]


def test_what_a_channel_is_known_not_to_do_is_refused_before_any_call(app):
    for start, code in KNOWN_NOT_TO:
        answer = app.post("/api/conversations", start)

        assert (start, answer.status, answer.json()["code"]) == (start, 422, code)
        assert answer.headers["Content-Type"] == "application/problem+json"

    app.enqueue("start-conversation", *(start for start, _ in KNOWN_NOT_TO))
    app.settle()

    poison = app.storage.take_poison("start-conversation")
    failed = [(each["message"], each["failure"]["code"]) for each in poison]
    assert sorted(failed, key=str) == sorted(KNOWN_NOT_TO, key=str)
    assert app.calls == []


@pytest.mark.parametrize(
    ("status", "is_group", "code"), [(405, False, NOT_SUPPORTED), (501, True, NO_GROUPS)]
)
def test_an_unknown_channel_that_cannot_do_it_is_reported_so(
    app, connector, user, status, is_group, code
):
    connector.answer(status, {"message": "No such method."}, when=is_start)
    before = app.storage.rows()

    answer = app.start(channelId="newest", isGroup=is_group, members=[{"id": user}])

    assert (answer.status, answer.json()["code"]) == (422, code)
    assert len(app.calls) == 1
    assert app.storage.rows() == before


def test_an_unknown_channel_that_cannot_do_it_is_reported_so_on_the_queue(app, connector, user):
    connector.answer(405, {"message": "No such method."}, when=is_start)
    message = {"recipient": {"channelId": "newest", "userId": user}, "activity": {"text": "Hello"}}

    app.enqueue("send-activity", message)
    app.settle()

    [poison] = app.storage.take_poison("start-conversation")
    assert poison["failure"]["code"] == NOT_SUPPORTED
    assert poison["failure"]["attempts"] == 1
    assert poison["_flow"]["then"] == message
    assert len(app.calls) == 1


def test_a_thread_in_a_channel_of_teams_can_be_started(app):
    answer = app.start(
        isGroup=True,
        channelData={"channel": {"id": "19:general@thread.tacv2"}},
        activity={"text": "News"},
    )

    [start] = app.calls
    assert answer.status == 201
    assert answer.json()["activityId"].startswith("activity-")
    assert start.json["channelData"]["channel"] == {"id": "19:general@thread.tacv2"}
    assert "members" not in start.json


def test_webchat_takes_activities_in_a_conversation_that_the_user_started(app, connector, user):
    app.remember("webchat", user, conversation={"id": f"w-{user}"})

    assert app.send(f"w-{user}", text="Hello").status == 201
