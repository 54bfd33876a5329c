import json
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from tests.support.connector import is_start

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


def check_problem(answer, status, code):
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.status, answer.json()["status"], answer.json()["code"]) == (status, status, code)
    assert SECRET.encode() not in answer.body


def test_what_comes_twice_is_done_once_a_start_and_a_send_each(app, user, conversation_id, key):
    sent, sent_again = (send(app, conversation_id, key) for _ in range(2))
    started, started_again = (start(app, f"{user}-2", key) for _ in range(2))

    assert (sent.status, started.status) == (201, 201)
    assert started.headers["Location"].startswith("/api/conversations/")
    check_same(sent_again, sent)
    check_same(started_again, started)
    assert len(app.calls) == 2


def test_a_refusal_is_repeated(app, connector, conversation_id, key):
    connector.fail(403, "NotEnoughPermissions", headers={"MS-CV": "correlated.0"})

    first, second = (send(app, conversation_id, key) for _ in range(2))

    check_problem(first, 403, "NotEnoughPermissions")
    check_same(second, first)
    assert len(app.calls) == 1


@pytest.mark.parametrize(("status", "answered"), [(429, 429), (503, 502)])
def test_what_may_succeed_later_is_tried_again(
    app, connector, conversation_id, key, status, answered
):
    connector.fail(status, "Later")

    assert send(app, conversation_id, key).status == answered
    assert send(app, conversation_id, key).status == 201
    assert len(app.calls) == 2


def test_a_key_is_for_one_request(app, conversation_id, key):
    send(app, conversation_id, key)

    check_problem(send(app, conversation_id, key, "Else"), 422, "IdempotencyKeyReused")
    check_problem(send(app, "a:another", key), 422, "IdempotencyKeyReused")
    assert len(app.calls) == 1


def test_who_comes_while_the_first_is_under_way_comes_again(app, connector, user, key):
    connector.block(times=1, when=is_start)
    with ThreadPoolExecutor() as callers:
        first = callers.submit(start, app, user, key)
        connector.wait_for_waiting(1)
        second = start(app, user, key)
        connector.release()

    check_problem(second, 409, "IdempotencyKeyInUse")
    assert second.headers["Retry-After"] == "2"
    check_same(start(app, user, key), first.result())
    assert len(app.calls) == 1


def test_a_key_that_is_none_is_named(app, conversation_id):
    for wrong in ("", "x" * 256, "schl\xfcssel"):
        answer = send(app, conversation_id, wrong)

        check_problem(answer, 400, "InvalidRequest")
        assert [error["field"] for error in answer.json()["errors"]] == ["Idempotency-Key"]
    assert app.calls == []
