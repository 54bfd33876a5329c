import json
from uuid import uuid4

import pytest

SECRET = "Zephyr-7 is only for Alex"


@pytest.fixture
def key():
    return str(uuid4())


@pytest.fixture
def app(module_app, key):
    """The app, which must keep texts and keys out of its log and of storage's names."""
    module_app.begin()
    yield module_app
    log = module_app.host.log()
    assert SECRET not in log
    assert key not in log
    assert "Traceback" not in log


def post(app, path, key, body):
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    return app.host.request("POST", path, json.dumps(body).encode(), headers)


def send(app, conversation_id, key, text=SECRET):
    return post(app, f"/api/conversations/{conversation_id}/activities", key, {"text": text})


def start(app, user, key):
    body = {"members": [{"id": user}], "activity": {"text": SECRET}}
    return post(app, "/api/conversations", key, body)


def check_same(second, first):
    assert (second.status, second.body) == (first.status, first.body)
    for header in ("Content-Type", "Location"):
        assert second.headers[header] == first.headers[header]


def test_what_comes_twice_is_done_once_a_start_and_a_send_each(app, user, conversation_id, key):
    sent, sent_again = (send(app, conversation_id, key) for _ in range(2))
    started, started_again = (start(app, f"{user}-2", key) for _ in range(2))

    assert (sent.status, started.status) == (201, 201)
    assert started.headers["Location"].startswith("/api/conversations/")
    check_same(sent_again, sent)
    check_same(started_again, started)
    assert len(app.calls) == 2
