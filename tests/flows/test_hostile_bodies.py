"""Bodies that must be refused: each with the answer's status and the field that it names.

All of a kind are sent first. Then we look once whether anything came of them.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest

from tests.flows.running_app import RunningApp

SECRET = "Zephyr-7 is only for Alex"
USER = "29:whose-account-nothing-changes"
CONVERSATION_ID = f"a:{USER}"
LONG = SECRET * 40_000  # 1 MB
MEMBERS = [{"id": "29:somebody"}]
RECIPIENT = {"channelId": "msteams", "userId": USER}
ACTIVITY = {"text": SECRET}
UNTRUSTED = "https://smba.trafficmanager.net.evil.example/"

Bodies = Mapping[str, tuple[object, int, str]]


def nested(levels: int, opening: str = '{"a":', closing: str = "}") -> bytes:
    return (opening * levels + "1" + closing * levels).encode()


NO_OBJECTS: Bodies = {
    "nothing": (b"", 400, "(body)"),
    "text": (SECRET.encode(), 400, "(body)"),
    "half an object": (b'{"text": "' + SECRET.encode(), 400, "(body)"),
    "two objects": (b"{}{}", 400, "(body)"),
    "an array": (json.dumps([SECRET]).encode(), 400, "(body)"),
    "null": (b"null", 400, "(body)"),
    "not a number": (b'{"text": "", "value": NaN}', 400, "(body)"),
    "deep objects": (nested(500), 400, "a"),
    "no UTF-8": (b'{"text": "\xff\xfe"}', 400, "(body)"),
    "deep arrays": (nested(10_000, "[", "]"), 400, "(body)"),
}
OVER_HTTP_ONLY: Bodies = {
    "5 MB": (json.dumps({"text": LONG * 5}).encode(), 413, "(body)"),
    "very deep arrays": (nested(1_000_000, "[", "]"), 400, "(body)"),
}

# Which fields are wrong is tested where requests are read. Of each body here is one of a kind.
STARTS: Bodies = {
    "members: a number for an id": ({"members": [{"id": 5}]}, 400, "members[0].id"),
    "serviceUrl: untrusted": ({"serviceUrl": UNTRUSTED, "members": MEMBERS}, 400, "serviceUrl"),
}
LARGE_STARTS: Bodies = {
    "1 MB of text": ({"activity": {"text": LONG}, "members": MEMBERS}, 413, "activity.text"),
    "1 MB of channelData": ({"channelData": {"a": LONG}, "members": MEMBERS}, 413, "channelData"),
    "1 MB of a bot": ({"bot": {"id": "b", "extra": LONG}, "members": MEMBERS}, 413, "bot.extra"),
    "100,000 members": (
        {"channelId": "telegram", "isGroup": True, "members": MEMBERS * 100_000},
        413,
        "members",
    ),
}
ACTIVITIES: Bodies = {
    "a message that says nothing": ({"type": "message", "text": None}, 400, "(body)"),
    "text: an object": ({"text": {"secret": SECRET}}, 400, "text"),
}
ACCOUNTS: Bodies = {
    "serviceUrl: untrusted": ({"serviceUrl": UNTRUSTED}, 400, "serviceUrl"),
    "interests: a string": ({"preferences": {"interests": SECRET}}, 400, "preferences.interests"),
}
LARGE_ACCOUNTS: Bodies = {
    "1 MB of a name": ({"name": LONG}, 413, "name"),
    "1 MB of a preference": ({"preferences": {"interests": [LONG]}}, 413, "preferences"),
}
ACCOUNT_PATH = f"/api/accounts/msteams/{USER}"
ROUTES: Mapping[tuple[str, str], Bodies] = {
    ("POST", "/api/conversations"): {**NO_OBJECTS, **STARTS, **LARGE_STARTS},
    ("POST", f"/api/conversations/{CONVERSATION_ID}/activities"): {
        **NO_OBJECTS,
        **OVER_HTTP_ONLY,
        **ACTIVITIES,
        "1 MB of text": ({"text": LONG}, 413, "text"),
    },
    ("PUT", ACCOUNT_PATH): {**NO_OBJECTS, **ACCOUNTS, **LARGE_ACCOUNTS},
}

SEND = {"conversationId": CONVERSATION_ID, "activity": ACTIVITY}


def as_messages(bodies: Bodies, **around: object) -> list[tuple[object, str]]:
    """Each message with the start of the detail that is expected of it."""
    return [
        ({**around, **body} if isinstance(body, dict) else body, f"{field}: ")
        for body, _, field in bodies.values()
    ]


QUEUES: Mapping[str, list[tuple[object, str]]] = {
    "start-conversation": [*as_messages(NO_OBJECTS), *as_messages(STARTS)],
    "send-activity": [
        *as_messages(NO_OBJECTS),
        ({**SEND, "id": SECRET * 50}, "id: "),
        ({**SEND, "invented": SECRET}, "invented: "),
        ({**SEND, "_flow": SECRET}, "_flow: "),
    ],
    "cache-account": [*as_messages(NO_OBJECTS), *as_messages(ACCOUNTS, **RECIPIENT)],
    "receive-event": [
        ({"sender": "generic", "body": {}, "invented": SECRET}, "invented: "),
        ({"sender": "generic", "events": [{"key": SECRET}]}, "events: "),
    ],
}


@pytest.fixture
def untouched(app: RunningApp):
    """The app, of which nothing may be seen but its answers."""
    if app.get(ACCOUNT_PATH).status == 404:
        app.remember("msteams", USER, conversation={"id": CONVERSATION_ID})
    stored = app.storage.rows()
    yield app
    assert app.calls == app.token_requests == []
    assert app.storage.rows() == stored
    log = app.host.log()
    assert "Traceback" not in log
    assert SECRET not in log


@pytest.mark.parametrize(("method", "path"), ROUTES, ids=lambda value: value[:40])
def test_a_body_is_refused(untouched: RunningApp, method: str, path: str):
    bodies = ROUTES[method, path]
    call = untouched.post if method == "POST" else untouched.put

    answers = {name: call(path, body) for name, (body, _, _) in bodies.items()}

    refusals = {name: (answer.status, fields_of(answer)) for name, answer in answers.items()}
    assert {
        name: (status, [field for field in fields if field == bodies[name][2]])
        for name, (status, fields) in refusals.items()
    } == {name: (status, [field]) for name, (_, status, field) in bodies.items()}, refusals


def fields_of(answer: Any) -> list[str]:
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert SECRET not in answer.body.decode()
    assert len(answer.body) < 2000
    problem = answer.json()
    assert problem["status"] == answer.status
    assert problem["code"] in ("InvalidRequest", "UntrustedServiceUrl")
    assert all(error["message"] for error in problem["errors"])
    return [error["field"] for error in problem["errors"]]


@pytest.mark.parametrize("queue", QUEUES)
def test_a_message_that_can_never_succeed_is_poison_with_the_reason(untouched, queue):
    messages = QUEUES[queue]

    untouched.enqueue(queue, *(message for message, _ in messages))
    untouched.settle()

    poison = untouched.storage.take_poison(queue)
    expected = {comparable(as_it_came(message)): detail for message, detail in messages}
    details = {comparable(each["message"]): each["failure"]["detail"] for each in poison}
    assert len(poison) == len(messages)
    assert details.keys() == expected.keys()
    wrong = {
        message: detail
        for message, detail in details.items()
        if expected[message] not in detail or SECRET in detail
    }
    assert wrong == {}
    for failure in (each["failure"] for each in poison):
        assert set(failure) == {"code", "detail", "failedAt", "attempts"}
        assert failure["code"] in ("InvalidRequest", "UntrustedServiceUrl")
        assert failure["attempts"] == 0
        assert datetime.fromisoformat(failure["failedAt"]).tzinfo


def as_it_came(message: object) -> object:
    """What stands in the poison: JSON as JSON, but for what is nested too deeply to be safe."""
    if not isinstance(message, bytes):
        return message
    text = message.decode(errors="replace")
    if text.count("{") > 100 or text.count("[") > 100 or "NaN" in text or "1e999" in text:
        return text
    try:
        return json.loads(message)
    except ValueError:
        return text


def comparable(message: object) -> str:
    return json.dumps(message, sort_keys=True)
