"""A body that must be refused is answered by name, and leaves nothing behind: no row, no log.

What is wrong about a body is tried where bodies are read; here is one of each kind.
"""

import json
from collections.abc import Iterator

import pytest

from tests.flows.running_app import RunningApp

SECRET = "Zephyr-7 is only for Alex"
USER = "29:whose-account-nothing-changes"
UNTRUSTED = {"serviceUrl": "https://smba.trafficmanager.net.evil.example/"}
MEMBER = {"id": "29:somebody"}
# By the field that is named.
NO_OBJECTS = {
    "text": SECRET.encode(),
    "half an object": b'{"text": "' + SECRET.encode(),
    "an array": json.dumps([SECRET]).encode(),
    "no UTF-8": b'{"text": "\xff\xfe"}',
    "deep arrays": b"[" * 10_000 + b"]" * 10_000,
}
BODIES: dict[str, dict[str, object]] = {
    "/api/conversations": {
        "members[0].id": {"members": [{"id": 5}]},
        "serviceUrl": {**UNTRUSTED, "members": [MEMBER]},
        "members": {"channelId": "telegram", "isGroup": True, "members": [MEMBER] * 100_000},
    },
    f"/api/conversations/a:{USER}/activities": {
        "text": {"text": {"secret": SECRET}},
        "(body)": json.dumps({"text": SECRET * 200_000}).encode(),
    },
    f"/api/accounts/msteams/{USER}": {
        "serviceUrl": UNTRUSTED,
        "name": {"name": SECRET * 40_000},
        "preferences.interests": {"preferences": {"interests": SECRET}},
    },
}
SEND = {"conversationId": f"a:{USER}", "activity": {"text": SECRET}}
MESSAGES: dict[str, dict[str, object]] = {
    "start-conversation": {"members[0].id": {"members": [{"id": 5}]}},
    "send-activity": {"invented": {**SEND, "invented": SECRET}, "_flow": {**SEND, "_flow": SECRET}},
    "cache-account": {"serviceUrl": {"channelId": "msteams", "userId": USER, **UNTRUSTED}},
    "receive-event": {
        "invented": {"sender": "generic", "body": {}, "invented": SECRET},
        "events": {"sender": "generic", "events": [{"key": SECRET}]},
    },
}


@pytest.fixture
def untouched(app: RunningApp) -> Iterator[RunningApp]:
    """The app, of which nothing may be seen but its answers."""
    if app.get(f"/api/accounts/msteams/{USER}").status == 404:
        app.remember("msteams", USER, conversation={"id": f"a:{USER}"})
    stored = app.storage.rows()
    yield app
    assert app.calls == app.token_requests == []
    assert app.storage.rows() == stored
    log = app.host.log()
    assert "Traceback" not in log
    assert SECRET not in log


@pytest.mark.parametrize("path", BODIES)
def test_a_body_is_refused_and_the_field_is_named(untouched: RunningApp, path: str):
    call = untouched.put if "/accounts/" in path else untouched.post
    no_objects = [("(body)", each) for each in NO_OBJECTS.values()]
    for field, body in [*no_objects, *BODIES[path].items()]:
        answer = call(path, body)

        problem = answer.json()
        assert field in [error["field"] for error in problem["errors"]]
        assert (answer.status, problem["code"]) in (
            (400, "InvalidRequest"),
            (413, "InvalidRequest"),
            (400, "UntrustedServiceUrl"),
        )
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert SECRET not in answer.body.decode()


@pytest.mark.parametrize("queue", MESSAGES)
def test_a_message_that_can_never_succeed_is_poison_with_the_reason(
    untouched: RunningApp, queue: str
):
    untouched.enqueue(queue, *NO_OBJECTS.values(), *MESSAGES[queue].values())
    untouched.settle()

    failures = [each["failure"] for each in untouched.storage.take_poison(queue)]
    assert sorted(each["detail"].partition(":")[0] for each in failures) == sorted(
        ["(body)"] * len(NO_OBJECTS) + [*MESSAGES[queue]]
    )
    assert {each["attempts"] for each in failures} == {0}
    assert SECRET not in json.dumps(failures)
