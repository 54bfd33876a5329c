from urllib.parse import quote

import pytest

IDS = [
    "19:meeting_a@thread.v2",
    "19:b@thread.tacv2;messageid=1700000000000",
    "a:with/slashes/in/it",
    "with spaces and\ttab",
    "größe-日本-🙂",
    "a+b&c=d?e#f",
    "quote'\"%41",
    "x" * 300,
]


def test_the_id_of_a_conversation_is_taken_and_encoded_as_it_is(app, connector, user):
    ids = [f"{each}{user}" for each in IDS]
    for number, odd_id in enumerate(ids):
        connector.set_conversation_id(f"{user}-{number}", odd_id)
        started = app.start(members=[{"id": f"{user}-{number}"}])
        assert (started.status, started.json()["id"]) == (201, odd_id)
        assert started.headers["Location"] == f"/api/conversations/{quote(odd_id, safe='')}"
    app.begin()

    for odd_id in ids:
        encoded = quote(odd_id, safe="")
        for path, query in ((encoded, ""), ("-", f"?conversationId={encoded}")):
            found = app.get(f"/api/conversations/{path}{query}")
            sent = app.post(f"/api/conversations/{path}/activities{query}", {"text": "Hello"})
            assert (found.status, found.json()["id"], sent.status) == (200, odd_id, 201)
        app.enqueue("send-activity", {"conversationId": odd_id, "activity": {"text": "Hello"}})
    app.settle()

    paths = [f"/teams/v3/conversations/{quote(odd_id, safe='')}/activities" for odd_id in ids]
    assert sorted(call.path for call in app.calls) == sorted(paths * 3)
    assert {call.json["conversation"]["id"] for call in app.calls} == {*ids}


def test_an_id_that_holds_an_escape_itself_can_stand_in_the_query(app, connector, user):
    connector.set_conversation_id(user, f"a%2Fb{user}")
    app.start(members=[{"id": user}])

    query = f"?conversationId={quote(f'a%2Fb{user}', safe='')}"
    sent = app.post(f"/api/conversations/-/activities{query}", {"text": "Hello"})

    assert sent.status == 201
    assert "/a%252Fb" in app.calls[-1].path


def test_user_ids_stand_in_paths_and_queries_alike(app, user):
    for odd in IDS:
        user_id = f"{odd}{user}"
        encoded = quote(user_id, safe="")
        in_path = f"/api/accounts/telegram/{encoded}"
        in_query = f"/api/accounts/telegram/-?userId={encoded}"

        app.remember("telegram", user_id)
        found = [app.get(in_path), app.get(in_query)]
        changed = app.put(in_query, {"name": "Alex"})
        deleted = app.host.request("DELETE", in_query)

        assert [answer.json()["userId"] for answer in found] == [user_id] * 2
        assert (changed.status, changed.json()["name"]) == (200, "Alex")
        assert (deleted.status, app.get(in_path).status) == (204, 404)


@pytest.fixture
def shared_id(app, connector, user):
    """The id of a conversation on one channel, and of another one on another channel."""
    conversation = {"id": f"shared{user}"}
    for channel_id in ("telegram", "msteams"):
        service_url = f"{connector.url}/{channel_id}/"
        app.remember(channel_id, user, serviceUrl=service_url, conversation=conversation)
    return conversation["id"]


def test_an_id_that_two_channels_share_needs_the_channel(app, shared_id):
    path = f"/api/conversations/{shared_id}"
    message = {"conversationId": shared_id, "activity": {"text": "Hello"}}

    unclear = [app.get(path), app.post(f"{path}/activities", {"text": "Hello"})]
    found = app.get(f"{path}?channelId=telegram")
    sent = app.post(f"{path}/activities?channelId=telegram", {"text": "Hello"})
    app.enqueue("send-activity", message, {**message, "channelId": "msteams"})
    app.settle()

    for answer in unclear:
        assert (answer.status, answer.json()["code"]) == (409, "AmbiguousConversation")
    assert (found.json()["channelId"], sent.status) == ("telegram", 201)
    [poison] = app.storage.take_poison("send-activity")
    assert poison["message"] == message
    assert poison["failure"]["code"] == "AmbiguousConversation"
    assert [call.path.split("/")[1] for call in app.calls] == ["telegram", "msteams"]


def test_a_conversation_that_nobody_started_is_unknown(app, user):
    found = app.get(f"/api/conversations/{user}")
    sent = app.send(user, text="Hello")

    for answer in (found, sent):
        assert (answer.status, answer.json()["code"]) == (404, "UnknownConversation")
    assert app.calls == []
