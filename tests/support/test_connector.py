import math
from concurrent.futures import ThreadPoolExecutor

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


def start(session, connector, body=START, **kwargs):
    return session.post(f"{connector.url}/teams/v3/conversations", json=body, timeout=30, **kwargs)


def send(session, connector, **kwargs):
    url = f"{connector.url}/v3/conversations/a%3A1%2F2/activities"
    return session.post(url, json=MESSAGE, timeout=30, **kwargs)


def test_one_conversation_per_member_and_a_new_one_per_group(session, connector):
    connector.set_conversation_id("29:megan", "a:megans")
    megan = {**START, "members": [{"id": "29:megan"}]}
    group = {**START, "isGroup": True}

    answers = [start(session, connector, body) for body in (START, START, megan, group, group)]

    ids = [answer.json()["id"] for answer in answers]
    assert [answer.status_code for answer in answers] == [201] * 5
    assert ids[0] == ids[1] == connector.conversation_id("29:alex")
    assert ids[2] == "a:megans"
    assert len(set(ids)) == 4


def test_a_start_with_an_activity_sends_it(session, connector):
    answer = start(session, connector, {**START, "activity": MESSAGE})

    assert answer.json()["activityId"] == "activity-1"


def test_activities_are_sent_edited_and_recalled(session, connector):
    sent = send(session, connector)
    url = f"{connector.url}/v3/conversations/a/activities/{sent.json()['id']}"
    edited = session.put(url, json=MESSAGE, timeout=30)
    recalled = session.delete(url, timeout=30)

    assert (sent.status_code, sent.json()) == (201, {"id": "activity-1"})
    assert (edited.status_code, edited.json()) == (200, {"id": "activity-1"})
    assert (recalled.status_code, recalled.content) == (200, b"")


def test_requests_are_recorded_as_they_came(session, connector):
    send(session, connector, headers={"Authorization": "Bearer token"})
    start(session, connector)

    sent, started = connector.wait_for(2)
    assert str(sent) == "POST /v3/conversations/a%3A1%2F2/activities"
    assert sent.json == MESSAGE
    assert sent.headers["authorization"] == "Bearer token"
    assert (is_send(sent), is_start(sent)) == (True, False)
    assert (is_send(started), is_start(started)) == (False, True)
    assert sent.connection == started.connection == connector.connections == 1


@pytest.mark.parametrize("path", ["/v3", "//v3/conversations", "/v3/conversations/a/members"])
def test_other_routes_are_unknown(session, connector, path):
    answer = session.post(connector.url + path, json=START, timeout=30)

    assert answer.status_code == 404


def test_a_body_that_is_no_json_is_refused(session, connector):
    answer = session.post(f"{connector.url}/v3/conversations", data=b"{", timeout=30)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadSyntax")


def test_it_fails_as_often_as_told_where_it_fits(session, connector):
    connector.fail(429, "Throttled", headers={"Retry-After": "7"}, when=is_send)
    connector.fail_always(403, "BotDisabledByAdmin", when=is_start)

    statuses = [call(session, connector).status_code for call in (start, send, send, start)]

    assert statuses == [403, 429, 201, 403]


def test_odd_answers_go_out_as_they_are(session, connector):
    connector.answer(200, b"no json")
    connector.answer(502, "<html>Bad gateway</html>")
    connector.answer(202)
    connector.answer(307, headers={"Location": "https://elsewhere.example"})
    connector.answer(299, {"odd": True})

    odd = [send(session, connector, allow_redirects=False) for _ in range(5)]

    assert [answer.status_code for answer in odd] == [200, 502, 202, 307, 299]
    assert [answer.content for answer in odd[:3]] == [b"no json", b"<html>Bad gateway</html>", b""]
    assert odd[1].headers["Content-Type"].startswith("text/html")
    assert odd[3].headers["Location"] == "https://elsewhere.example"
    assert connector.connections == 1


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


def test_dropped_connections_are_opened_anew(session, connector):
    send(session, connector)
    connector.drop_connections()
    send(session, connector)

    assert [request.connection for request in connector.requests] == [1, 2]


@pytest.mark.parametrize("part", ["seconds_per_header_byte", "seconds_per_body_byte"])
def test_a_dripping_answer_arrives_whole(session, connector, part):
    connector.answer(201, {"id": "1"}, **{part: 0.001})

    assert send(session, connector).json() == {"id": "1"}


def test_a_dripping_answer_ends_when_the_stub_closes(session):
    with ThreadPoolExecutor() as pool, StubConnector() as connector:
        connector.answer(201, {"id": "1"}, seconds_per_body_byte=3600)
        call = pool.submit(send, session, connector)
        connector.wait_for(1)
        connector.close()

        assert isinstance(call.exception(30), requests.RequestException)


def test_blocked_requests_wait_until_they_are_released(connector):
    with requests.Session() as session, ThreadPoolExecutor(3) as pool:
        connector.block(times=2)
        calls = [pool.submit(send, session, connector) for _ in range(3)]
        connector.wait_for(3)
        connector.wait_for_waiting(2)
        before = sum(call.done() for call in calls)
        connector.release()

        assert before <= 1
        assert [call.result(30).status_code for call in calls] == [201] * 3
        assert connector.waiting == 0


def test_a_request_that_hangs_is_cut_when_the_stub_closes(session):
    with ThreadPoolExecutor() as pool, StubConnector() as connector:
        connector.block(times=1)
        call = pool.submit(send, session, connector)
        connector.wait_for_waiting(1)
        connector.close()

        assert isinstance(call.exception(30), requests.ConnectionError)


def test_waiting_in_vain_says_what_came(session, connector):
    send(session, connector)

    with pytest.raises(AssertionError, match="POST /v3/conversations/a%3A1%2F2/activities"):
        connector.wait_for(2, seconds=0)
    with pytest.raises(AssertionError, match="not 1 requests wait"):
        connector.wait_for_waiting(1, seconds=0)


def test_what_goes_wrong_inside_is_not_lost(session):
    connector = StubConnector()
    connector.answer(200, times=math.inf, when=lambda request: request.json["missing"])

    with pytest.raises(requests.ConnectionError):
        send(session, connector)
    with pytest.raises(KeyError):
        connector.close()
