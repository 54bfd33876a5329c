import pytest

# As it stands in the documentation of the Bot Connector.
EXAMPLE = {
    "bot": {"id": "12345678", "name": "bot's name"},
    "isGroup": False,
    "members": [{"id": "1234abcd", "name": "recipient's name"}],
    "topicName": "News Alert",
}
CONVERSATION_PARAMETERS = {
    "isGroup",
    "bot",
    "members",
    "topicName",
    "tenantId",
    "activity",
    "channelData",
}


@pytest.fixture(autouse=True)
def nobody_knows_the_member_of_the_example(app, connector):
    connector.set_conversation_id("1234abcd", "abcd1234")
    app.host.request("DELETE", "/api/accounts/msteams/1234abcd")


def check_example(start, send):
    assert str(start) == "POST /teams/v3/conversations"
    assert {name: start.json.get(name) for name in EXAMPLE} == EXAMPLE
    assert set(start.json) <= CONVERSATION_PARAMETERS
    assert str(send) == "POST /teams/v3/conversations/abcd1234/activities"
    assert (send.json["type"], send.json["text"]) == ("message", "An article for you")
    assert start.headers["Authorization"] == "Bearer identity-token-1"
    assert send.headers["Authorization"] == "Bearer identity-token-1"


def test_the_documented_example_starts_a_conversation_into_which_activities_go(app, connector):
    started = app.post("/api/conversations", EXAMPLE)
    found = app.get(started.headers["Location"])
    sent = app.send("abcd1234", type="message", text="An article for you")

    check_example(*app.calls)
    assert started.status == 201
    assert started.json() == {
        "id": "abcd1234",
        "channelId": "msteams",
        "serviceUrl": f"{connector.url}/teams/",
    }
    assert (found.status, found.json()) == (200, started.json())
    assert sent.status == 201
    assert sent.json()["id"].startswith("activity-")


def test_the_documented_example_does_the_same_through_the_queues(app):
    app.enqueue("start-conversation", EXAMPLE)
    app.settle()
    found = app.get("/api/conversations/abcd1234")
    app.enqueue(
        "send-activity",
        {"conversationId": "abcd1234", "activity": {"text": "An article for you"}},
    )
    app.settle()

    assert found.status == 200
    check_example(*app.calls)
