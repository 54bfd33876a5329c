from urllib.parse import quote

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
