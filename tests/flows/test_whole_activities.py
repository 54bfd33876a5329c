import pytest

# Every kind of content, known and unknown to us, empty values too.
ACTIVITY = {
    "type": "message",
    "text": "**An article** for you — 🙂 \u2028",
    "textFormat": "markdown",
    "summary": "An article for you",
    "speak": None,
    "locale": "en-GB",
    "inputHint": "acceptingInput",
    "importance": "high",
    "attachmentLayout": "carousel",
    "attachments": [
        {
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.5",
                "body": [
                    {"type": "TextBlock", "text": "News", "weight": "Bolder", "maxLines": 0},
                    {
                        "type": "ColumnSet",
                        "columns": [{"width": "auto", "items": [{"type": "Image", "url": "a"}]}],
                    },
                ],
                "actions": [{"type": "Action.Submit", "data": {"verb": "read", "id": 7}}],
                "msteams": {"width": "Full", "entities": []},
            },
            "name": "",
        },
        {"contentType": "image/png", "contentUrl": "https://example.com/a.png?x=1&y=%20"},
    ],
    "entities": [
        {
            "type": "mention",
            "text": "<at>Alex</at>",
            "mentioned": {"id": "29:alex", "name": "Alex"},
        },
        {"type": "https://schema.org/Message", "@id": "", "citation": [{"position": 1}]},
    ],
    "channelData": {"notification": {"alert": True}, "floats": [0.1, 1e-7, -0.0], "null": None},
    "suggestedActions": {
        "to": [],
        "actions": [{"type": "imBack", "title": "More", "value": "more"}],
    },
    "value": {"big": 12345678901234567890, "snake_case": {"camelCase": [[], {}]}},
    "replyToId": "1",
    "expiration": "2099-01-01T00:00:00Z",
    "invented_by_somebody": [True, False, None],
}


def without_what_is_added(sent, conversation_id):
    added = {name: sent[name] for name in sent if name not in ACTIVITY}
    assert set(added) <= {"from", "conversation"}
    assert added["conversation"] == {"id": conversation_id}
    return {name: sent[name] for name in ACTIVITY}


def test_an_activity_goes_out_whole_over_http(app, conversation_id):
    app.send(conversation_id, **ACTIVITY)

    [send] = app.calls
    assert without_what_is_added(send.json, conversation_id) == ACTIVITY


def test_an_activity_goes_out_whole_from_the_queue(app, conversation_id):
    app.enqueue("send-activity", {"conversationId": conversation_id, "activity": ACTIVITY})
    app.settle()

    [send] = app.calls
    assert without_what_is_added(send.json, conversation_id) == ACTIVITY


def test_an_activity_goes_out_whole_after_a_start_on_its_way(app, connector, user):
    app.enqueue(
        "send-activity",
        {"recipient": {"channelId": "msteams", "userId": user}, "activity": ACTIVITY},
    )
    app.settle()

    _, send = app.calls
    assert without_what_is_added(send.json, connector.conversation_id(user)) == ACTIVITY


def test_an_activity_goes_out_whole_with_the_start_of_a_conversation(app, user):
    app.start(members=[{"id": user}], activity=ACTIVITY)

    [start] = app.calls
    assert start.json["activity"] == ACTIVITY


def test_channel_data_and_what_else_is_known_of_accounts_goes_out_whole(app, user):
    bot = {"id": "28:bot", "role": "bot", "extra": {"a": [1]}}
    member = {"id": user, "aadObjectId": "an-object", "userPrincipalName": "alex@example.com"}
    channel_data = {"tenant": {"id": "another", "more": 1}, "notification": None}

    app.start(bot=bot, members=[member], channelData=channel_data)

    [start] = app.calls
    assert start.json["bot"] == bot
    assert start.json["members"] == [member]
    assert start.json["channelData"] == channel_data


@pytest.mark.parametrize("activity", [{"type": "typing"}, {"type": "event", "name": "refresh"}])
def test_other_activities_than_messages_need_no_content(app, conversation_id, activity):
    assert app.send(conversation_id, **activity).status == 201

    [send] = app.calls
    assert {name: send.json[name] for name in activity} == activity


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (200, None, {}),
        (202, None, {}),
        (204, None, {}),
        (200, b"not json", {}),
        (200, "<html>Sent</html>", {}),
        (201, [], {}),
        (201, {"id": 5}, {}),
        (201, {"id": ""}, {}),
        (201, {"id": None}, {}),
        (201, {"id": "1"}, {"Content-Length": "1000"}),
        (201, b"no gzip", {"Content-Encoding": "gzip"}),
    ],
)
def test_an_odd_answer_to_a_send_is_taken_for_sent(
    app, connector, conversation_id, status, body, headers
):
    connector.answer(status, body, headers)

    answer = app.send(conversation_id, text="Hello")

    assert (answer.status, answer.json()) == (202, {})
    assert len(app.calls) == 1


def test_an_odd_answer_to_a_send_is_taken_for_sent_from_the_queue(app, connector, conversation_id):
    connector.answer(200, b"not json")

    app.enqueue("send-activity", {"conversationId": conversation_id, "activity": {"text": "Hello"}})
    app.settle()

    assert len(app.calls) == 1
    assert app.storage.take_poison("send-activity") == []


@pytest.mark.parametrize("body", [None, b"not json", [], {}, {"id": 5}])
def test_a_start_that_is_answered_without_an_id_failed(app, connector, user, body):
    connector.answer(201, body)

    answer = app.start(members=[{"id": user}])

    assert (answer.status, answer.json()["code"]) == (502, "ConversationIdMissing")
