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


@pytest.fixture(params=IDS, ids=lambda value: ascii(value)[:30])
def odd_id(request, app, connector, user):
    """The id of a conversation that the app has started."""
    value = f"{request.param}{user}"
    connector.set_conversation_id(user, value)
    started = app.start(members=[{"id": user}])
    assert (started.status, started.json()["id"]) == (201, value)
    assert started.headers["Location"] == f"/api/conversations/{quote(value, safe='')}"
    app.begin()
    return value


def check_sent(app, conversation_id, answer):
    assert answer.status == 201
    [send] = app.calls
    assert send.path == f"/teams/v3/conversations/{quote(conversation_id, safe='')}/activities"
    assert send.json["conversation"] == {"id": conversation_id}


def test_a_conversation_id_in_a_path_is_encoded_once(app, odd_id):
    path = f"/api/conversations/{quote(odd_id, safe='')}"

    found = app.get(path)
    sent = app.post(f"{path}/activities", {"text": "Hello"})

    assert (found.status, found.json()["id"]) == (200, odd_id)
    check_sent(app, odd_id, sent)


def test_a_conversation_id_can_stand_in_the_query_instead(app, odd_id):
    query = f"?conversationId={quote(odd_id, safe='')}"

    found = app.get(f"/api/conversations/-{query}")
    sent = app.post(f"/api/conversations/-/activities{query}", {"text": "Hello"})

    assert (found.status, found.json()["id"]) == (200, odd_id)
    check_sent(app, odd_id, sent)


def test_a_conversation_id_on_the_queue_is_taken_as_it_is(app, odd_id):
    app.enqueue("send-activity", {"conversationId": odd_id, "activity": {"text": "Hello"}})
    app.settle()

    [send] = app.calls
    assert send.path == f"/teams/v3/conversations/{quote(odd_id, safe='')}/activities"


def test_an_id_that_holds_an_escape_itself_can_stand_in_the_query(app, connector, user):
    connector.set_conversation_id(user, f"a%2Fb{user}")
    app.start(members=[{"id": user}])

    query = f"?conversationId={quote(f'a%2Fb{user}', safe='')}"
    sent = app.post(f"/api/conversations/-/activities{query}", {"text": "Hello"})

    assert sent.status == 201
    assert "/a%252Fb" in app.calls[-1].path


@pytest.mark.parametrize("odd", IDS)
def test_user_ids_stand_in_paths_and_queries_alike(app, user, odd):
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

    unclear = [app.get(path), app.post(f"{path}/activities", {"text": "Hello"})]
    found = app.get(f"{path}?channelId=telegram")
    sent = app.post(f"{path}/activities?channelId=telegram", {"text": "Hello"})

    for answer in unclear:
        assert (answer.status, answer.json()["code"]) == (409, "AmbiguousConversation")
    assert (found.json()["channelId"], sent.status) == ("telegram", 201)
    [send] = app.calls
    assert send.path.startswith("/telegram/v3/")


def test_an_id_that_two_channels_share_needs_the_channel_on_the_queue(app, shared_id):
    message = {"conversationId": shared_id, "activity": {"text": "Hello"}}

    app.enqueue("send-activity", message, {**message, "channelId": "msteams"})
    app.settle()

    [poison] = app.storage.take_poison("send-activity")
    assert poison["message"] == message
    assert poison["failure"]["code"] == "AmbiguousConversation"
    [send] = app.calls
    assert send.path.startswith("/msteams/v3/")


def test_a_conversation_that_nobody_started_is_unknown(app, user):
    found = app.get(f"/api/conversations/{user}")
    sent = app.send(user, text="Hello")

    for answer in (found, sent):
        assert (answer.status, answer.json()["code"]) == (404, "UnknownConversation")
    assert app.calls == []
