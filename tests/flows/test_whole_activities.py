from base64 import b64encode

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


def test_an_activity_goes_out_whole_whichever_way(app, connector, user, conversation_id):
    message = {"conversationId": conversation_id, "activity": ACTIVITY}
    stranger = {"channelId": "msteams", "userId": f"{user}-2"}

    app.send(conversation_id, **ACTIVITY)
    app.enqueue("send-activity", message)
    app.settle()
    app.enqueue("send-activity", {"recipient": stranger, "activity": ACTIVITY})
    app.settle()
    app.start(members=[{"id": f"{user}-3"}], activity=ACTIVITY)

    over_http, queued, _, after_start, with_start = app.calls
    for sent in (over_http, queued):
        assert without_what_is_added(sent.json, conversation_id) == ACTIVITY
    new_id = connector.conversation_id(f"{user}-2")
    assert without_what_is_added(after_start.json, new_id) == ACTIVITY
    assert with_start.json["activity"] == ACTIVITY


def test_an_inline_picture_goes_out_whole_whichever_way(app, user, conversation_id):
    # As in https://github.com/microsoft/teams-sdk/pull/2990: 39 KB, which Teams does not count.
    picture = "data:image/png;base64," + b64encode(bytes(39_000)).decode()
    activity = {
        "text": "A chart",
        "attachments": [{"contentType": "image/png", "contentUrl": picture, "name": "chart.png"}],
    }
    # Of what an alert has as a value, a picture is one like any other.
    templated = {"text": "A chart", "attachments": [{"contentUrl": "${chart}"}]}
    to = {"recipients": [{"channelId": "msteams", "userId": user}]}

    sent = app.send(conversation_id, **activity)
    started = app.start(members=[{"id": f"{user}-2"}], activity=activity)
    alerts = [
        app.post("/api/alerts", {**to, "activity": activity}),
        app.post("/api/alerts", {**to, "activity": templated, "data": {"chart": picture}}),
    ]
    app.settle()

    assert [sent.status, started.status, *(each.status for each in alerts)] == [201, 201, 202, 202]
    sent_activities = [call.json.get("activity", call.json) for call in app.calls]
    urls = [each["attachments"][0]["contentUrl"] for each in sent_activities]
    assert urls == [picture] * 4
