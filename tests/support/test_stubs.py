import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.support.connector import StubConnector, is_send, is_start

START = {"bot": {"id": "28:bot"}, "members": [{"id": "29:alex"}], "isGroup": False}
MESSAGE = {"type": "message", "text": "News"}


@pytest.fixture
def session():
    with requests.Session() as session:
        session.trust_env = False
        yield session


def start(session, connector, **changes):
    url = f"{connector.url}/teams/v3/conversations"
    return session.post(url, json={**START, **changes}, timeout=30)


def send(session, connector, **kwargs):
    url = f"{connector.url}/v3/conversations/a%3A1%2F2/activities"
    return session.post(url, json=MESSAGE, timeout=30, **kwargs)


def test_one_conversation_per_member_and_a_new_one_per_group(session, connector):
    connector.set_conversation_id("29:megan", "a:megans")
    megan, group = {"members": [{"id": "29:megan"}]}, {"isGroup": True}
    changes: list[dict[str, Any]] = [{}, {}, megan, group, group]

    ids = [start(session, connector, **each).json()["id"] for each in changes]

    assert ids[0] == ids[1] == connector.conversation_id("29:alex")
    assert ids[2] == "a:megans"
    assert len(set(ids)) == 4


def test_requests_are_recorded_as_they_came_over_one_connection(session, connector):
    send(session, connector, headers={"Authorization": "Bearer token"})
    start(session, connector)

    sent, started = connector.wait_for(2)
    assert str(sent) == "POST /v3/conversations/a%3A1%2F2/activities"
    assert (sent.json, sent.headers["authorization"]) == (MESSAGE, "Bearer token")
    assert (is_send(sent), is_start(sent)) == (True, False)
    assert (is_send(started), is_start(started)) == (False, True)
    assert sent.connection == started.connection == connector.connections == 1


@pytest.mark.parametrize("path", ["/v3", "//v3/conversations", "/v3/conversations/a/members"])
def test_other_routes_are_unknown(session, connector, path):
    assert session.post(connector.url + path, json=START, timeout=30).status_code == 404


def test_it_fails_as_often_as_told_where_it_fits(session, connector):
    connector.fail(429, "Throttled", when=is_send)
    connector.fail(403, "BotDisabledByAdmin", times=math.inf, when=is_start)

    statuses = [call(session, connector).status_code for call in (start, send, send, start)]

    assert statuses == [403, 429, 201, 403]


def test_an_answer_that_ends_too_early(session, connector):
    connector.answer(201, {"id": "1"}, {"Content-Length": "1000"})

    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        send(session, connector)


@pytest.mark.parametrize(("part", "recorded"), [("cut", 1), ("cut_unread", 0)])
def test_a_cut_connection(session, connector, part, recorded):
    getattr(connector, part)()

    with pytest.raises(requests.ConnectionError):
        send(session, connector)

    assert len(connector.requests) == recorded
    assert send(session, connector).status_code == 201


@pytest.mark.parametrize("part", ["seconds_per_header_byte", "seconds_per_body_byte"])
def test_a_dripping_answer_arrives_whole(session, connector, part):
    connector.answer(201, {"id": "1"}, **{part: 0.001})

    assert send(session, connector).json() == {"id": "1"}


def test_blocked_requests_wait_until_they_are_released(session, connector):
    with ThreadPoolExecutor(3) as pool:
        connector.block(times=2)
        calls = [pool.submit(send, requests, connector) for _ in range(3)]
        connector.wait_for(3)
        connector.wait_for_waiting(2)
        before = sum(call.done() for call in calls)
        connector.release()

        assert before <= 1
        assert [call.result(30).status_code for call in calls] == [201] * 3
        assert connector.waiting == 0


def test_clients_that_wait_or_read_are_cut_off_when_the_stub_closes(session):
    with ThreadPoolExecutor() as pool, StubConnector() as connector:
        connector.answer(201, {}, seconds_per_body_byte=3600, when=is_send)
        connector.block(times=1, when=is_start)
        calls = [pool.submit(call, requests, connector) for call in (send, start)]
        connector.wait_for(2)
        connector.wait_for_waiting(1)
        connector.close()

        assert all(isinstance(call.exception(30), requests.RequestException) for call in calls)


def test_a_failure_says_what_came(session, connector):
    send(session, connector)

    with pytest.raises(AssertionError, match="POST /v3/conversations/a%3A1%2F2/activities"):
        connector.wait_for(2, seconds=0)


def test_what_goes_wrong_inside_is_not_lost(session):
    connector = StubConnector()
    connector.answer(200, when=lambda request: request.json["missing"])

    with pytest.raises(requests.ConnectionError):
        send(session, connector)
    with pytest.raises(KeyError):
        connector.close()
