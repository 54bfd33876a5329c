"""What an earlier version has stored is read and finished: its rows, and what it left on queues.

The file is what the app had in storage when it was killed in the middle of its work. Its times are
moved so that this was some minutes ago.
"""

import base64
import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.flows.alerts import act, counts, path_of, progress, told, wait_for_end
from tests.flows.running_app import QUEUES, SENDING, AppStorage, RunningApp, running_app
from tests.support.stub_server import ReceivedRequest

FILE = Path(__file__).with_name("stored_before.json")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?\+00:00")
# Since then all leases and claims have run out.
AGE = timedelta(minutes=5)
READERS = ("Ben", "Gus", "Hal", "Ivy")


def stored_before(connector_url: str) -> dict[str, Any]:
    """What the file holds, moved to this Connector and to this day."""
    text = FILE.read_text().replace("{connector}", connector_url)
    text = text.replace("{connector-host}", connector_url.removeprefix("http://"))
    later = datetime.now(UTC) - AGE - datetime.fromisoformat(json.loads(text)["writtenAt"])
    moved = TIME.sub(lambda time: (datetime.fromisoformat(time[0]) + later).isoformat(), text)
    before: dict[str, Any] = json.loads(moved)
    return before


def as_stored(value: Any) -> Any:
    """The value of a property; a time, text as bytes and bytes stand in an object."""
    match value:
        case {"time": time}:
            return datetime.fromisoformat(time)
        case {"text": text}:
            return text.encode()
        case {"binary": binary}:
            return base64.b64decode(binary)
    return value


@pytest.fixture(scope="module")
def module_app(folder, storage: AppStorage, connector, identity) -> Iterator[RunningApp]:
    """The app, which has finished what it found."""
    before = stored_before(connector.url)
    for row in before["rows"]:
        table = row.pop("table")
        storage.put_row(table, {name: as_stored(value) for name, value in row.items()})
    for queue, messages in before["messages"].items():
        if queue in QUEUES:
            storage.put(queue, *messages)
    with running_app(folder, storage, connector, identity) as app:
        app.settle()
        yield app


@pytest.fixture(scope="module")
def finished(module_app: RunningApp) -> list[ReceivedRequest]:
    """The calls that were made for what was found."""
    return module_app.connector.requests


def test_what_was_on_the_queues_is_sent_once(app: RunningApp, finished: list[ReceivedRequest]):
    texts = [call.json["text"] for call in finished if "text" in call.json]

    assert Counter(text[:20].strip() for text in texts) == {
        "Tried again": 1,
        "Claimed": 1,
        "Waits for a start": 1,
        "large large large la": 1,
        "Second": 1,
        **{f"Scheduled for {name}": 1 for name in READERS},
        **{f"Half-way to {name}": 1 for name in READERS if name != "Ben"},
    }
    starts = [call.json["members"][0]["id"] for call in finished if "members" in call.json]
    assert sorted(starts) == ["29:fay", "29:kim"]
    for queue in QUEUES:
        assert app.storage.take_poison(queue) == []


def test_what_became_of_it_is_told(app: RunningApp, finished: list[ReceivedRequest]):
    # Two calls were made before, and a message whose call was cut off may have been sent before.
    assert {
        each: (told["status"], told["attempts"], told.get("ambiguous", False))
        for each in ("sent-before", "retrying", "claimed", "waits-for-a-start", "failed-before")
        for told in [app.delivery(each)]
    } == {
        "sent-before": ("sent", 1, False),
        "retrying": ("sent", 3, False),
        "claimed": ("sent", 2, True),
        "waits-for-a-start": ("sent", 3, True),
        "failed-before": ("permanent-failure", 1, False),
    }
    assert app.delivery("sent-before")["recipient"]["userId"] == "29:ada"
    assert app.delivery("failed-before")["code"] == "BadArgument"


def test_alerts_are_finished(app: RunningApp, finished: list[ReceivedRequest]):
    ended = {each: progress(app, f"alert-{each}") for each in ("ended", "half-way", "scheduled")}

    for alert in ended.values():
        assert counts(alert) == {"sent": 4, "suppressed": 1}
        assert (alert["status"], alert["progress"]) == ("done", 1.0)
    edited = progress(app, "alert-edited")
    assert (edited["version"], edited["current"], counts(edited)) == (2, 1, {"sent": 1})
    [edit] = [call for call in finished if call.method == "PUT"]
    assert (edit.json["text"], edit.json["conversation"]["id"]) == ("Second", "a:29:ada")


def test_people_are_known_as_before(app: RunningApp):
    ada = app.account("msteams", "29:ada")
    assert ada == app.get("/api/accounts/msteams/-?userId=object-29:ada").json()
    assert (ada["locale"], ada["conversation"]["id"]) == ("de-AT", "a:29:ada")
    assert app.account("msteams", "29:dan")["blocked"] is True

    app.enqueue(
        SENDING,
        *(
            {
                "id": f"later {user}",
                "recipient": {"channelId": "msteams", "userId": user},
                "activities": {"en": {"text": "News"}, "de": {"text": "Neues"}},
            }
            # The last one said stop, and was forgotten.
            for user in ("29:ada", "29:cleo", "29:dan", "29:eve")
        ),
    )
    app.settle()

    statuses = [
        app.delivery(f"later 29:{each}")["status"] for each in ("ada", "cleo", "dan", "eve")
    ]
    assert statuses == ["sent", "suppressed", "suppressed", "suppressed"]
    assert told(app.calls) == {("a:29:ada", "Neues"): 1}
    started = app.start(members=[{"id": "29:ada"}])
    assert (started.status, started.json()["id"]) == (200, "a:29:ada")


def test_conversations_are_known_as_before(app: RunningApp):
    group = "/api/conversations/19%3Agroup-2%40thread.v2"

    assert app.get(group).json()["channelId"] == "telegram"
    assert app.post(f"{group}/activities", {"text": "To all"}).status == 201
    assert app.send("a:ben", text="To one").status == 201
    assert [call.json["text"] for call in app.calls] == ["To all", "To one"]


def test_what_failed_is_put_back(app: RunningApp):
    retried = app.post("/api/deliveries/failed-before/retry", {})
    app.settle()

    assert retried.status == 202
    assert app.delivery("failed-before")["status"] == "sent"
    assert [call.json["text"] for call in app.calls] == ["Failed before"]


def test_an_alert_that_has_ended_is_edited_and_recalled(app: RunningApp):
    edited = act(app, "PUT", path_of("alert-ended", "activity"), {"text": "Bye ${name}"})
    assert (edited.status, wait_for_end(app, "alert-ended")["current"]) == (202, 4)
    recalled = act(app, "DELETE", path_of("alert-ended"))
    assert (recalled.status, wait_for_end(app, "alert-ended")["recalled"]) == (202, 4)

    edits = sorted(call.json["text"] for call in app.calls if call.method == "PUT")
    assert edits == [f"Bye {name}" for name in READERS]
    assert sum(call.method == "DELETE" for call in app.calls) == 4
