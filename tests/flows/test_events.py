"""What other systems' webhooks say, from their requests to what people have in their chats."""

from uuid import uuid4

import pytest

from tests.flows.alerts import progress
from tests.flows.events import follow, generic, incident_of, incidents, post, told
from tests.ReceiveEvent.recorded import RECORDED

ALERTMANAGER = "alertmanager/firing.json"
EVENTS = "receive-event"


@pytest.fixture
def topic() -> str:
    """A topic that nobody follows yet; so what is said of it is an incident of its own."""
    return f"topic-{uuid4().hex}"


@pytest.fixture
def reader(app, topic, user):
    """Somebody who follows the topic; returns their conversation."""
    return follow(app, topic, user)


def test_an_incident_is_told_once_and_its_end_turns_the_same_copy_over(app, topic, reader):
    first = post(app, ALERTMANAGER, topic)
    app.settle()
    told_first = told(app)
    for name in ("alertmanager/repeat.json", ALERTMANAGER):
        assert post(app, name, topic).status == 202
    app.settle()
    told_repeated, firing = told(app), incident_of(app, topic)
    ended = post(app, "alertmanager/firing-one-resolved.json", topic)
    app.settle()

    key = "116077f230907a62"
    assert (first.status, first.json()) == (202, {"events": [{"key": key, "state": "firing"}]})
    assert told_first == told_repeated == {("new", reader): 1}
    assert (firing["state"], firing["key"], firing["sender"]) == ("firing", key, "alertmanager")
    assert firing["startsAt"] == "2026-11-27T05:23:04+00:00"
    states = [each["state"] for each in ended.json()["events"]]
    assert states == ["resolved", "firing"]
    # The second alert of the group is an incident of its own.
    assert told(app) == {("new", reader): 2, ("PUT", reader): 1}
    assert [each["key"] for each in incidents(app, state="resolved") if each["topic"] == topic] == [
        key
    ]
    assert progress(app, firing["alertId"])["topic"] == topic


def test_each_recorded_payload_is_taken_and_what_fires_is_told_once(app, topic, reader):
    answers = {name: post(app, name, topic) for name in RECORDED}
    app.settle()

    handshakes = {"event-grid/schema-validation.json", "github/ping.json"}
    assert {name for name, answer in answers.items() if answer.status == 200} == handshakes
    assert {name for name, each in answers.items() if each.status == 202} == set(
        RECORDED
    ) - handshakes
    # Resolved payloads come after firing ones by their names, but for two of github.
    assert app.storage.take_poison(EVENTS) == []
    events = [each for answer in answers.values() for each in answer.json().get("events", [])]
    fired = {each["key"] for each in events if each.get("state") == "firing"}
    assert 0 < told(app)["new", reader] <= len(fired)


def test_what_others_put_on_the_queue(app, topic, reader):
    event = {
        "id": "C234",
        "source": "/it",
        "specversion": "1.0",
        "type": topic,
        "sender": "other",
        "subject": "cloud",
        "expiresAt": "2000-01-01T00:00:00Z",
        "data": {"channelId": 7},
    }
    grid = {
        "id": "831e",
        "topic": "/it",
        "eventType": topic,
        "subject": "grid",
        "eventTime": "2026-03-01T12:00:00Z",
        "data": {},
        "dataVersion": "1",
    }
    message = {
        "sender": "generic",
        "query": {"interest": topic},
        "body": generic("firing", title="told"),
    }
    wrong = {"sender": "unheard-of", "body": {}}
    app.enqueue(
        EVENTS, event, [{**event, "id": "C235"}], grid, [{**grid, "id": "832"}], message, wrong
    )
    app.settle()

    assert told(app) == {("new", reader): 5}
    [poison] = app.storage.take_poison(EVENTS)
    assert poison["failure"]["code"] == "UnknownSender"
    assert poison["message"] == wrong
