import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus

import pytest
import requests
import urllib3
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError

from shared.auth.tokens import AppType, BotCredential, BotTokens, NoTokens
from shared.connector.client import ConnectorClient, _silence
from shared.connector.errors import (
    ConnectorBusyError,
    ConnectorError,
    ConnectorRedirectedError,
    ConnectorRejectedError,
    ConnectorThrottledError,
    ConnectorTimeoutError,
    ConnectorUnavailableError,
    NoAnswer,
)
from shared.connector.user_agent import USER_AGENT
from shared.errors import BotCredentialError, InvalidRequestError, OnQueue, UntrustedServiceUrlError
from tests.support.builders import trusting
from tests.support.connector import StubConnector
from tests.support.stub_server import Answer, StubServer

START = {"bot": {"id": "28:bot"}, "members": [{"id": "29:alex"}], "isGroup": False}
MESSAGE = {"type": "message", "text": "Grüße 😀"}
CREDENTIAL = BotCredential(
    app_type=AppType.USER_ASSIGNED_MSI,
    app_id="11111111-0000-4000-8000-000000000001",
    tenant_id="",
    login_url="",
    scope="https://api.botframework.com/.default",
)
THREADS = 4


class Login:
    """azure-identity's side: gives out token-1, token-2, … until it fails."""

    def __init__(self):
        self.asked = 0
        self.fails = False

    def get_token(self, *_scopes, **_options):
        self.asked += 1
        if self.fails:
            raise ClientAuthenticationError("invented")
        return AccessToken(f"token-{self.asked}", int(time.time()) + 3600)


@pytest.fixture
def logins():
    return Login()


@pytest.fixture
def tokens(logins):
    return BotTokens(CREDENTIAL, make_azure_credential=lambda _credential: logins)


@pytest.fixture
def client(connector, tokens):
    return client_of(connector.url, tokens=tokens)


def client_of(*trusted, tokens=None, timeout_seconds=30.0, use_proxy=False):
    return ConnectorClient(
        tokens or NoTokens(),
        trusting(*trusted),
        timeout_seconds=timeout_seconds,
        connections=THREADS,
        use_proxy=use_proxy,
    )


def send(client, connector, conversation_id="a:1"):
    return client.send_activity(f"{connector.url}/", conversation_id, MESSAGE)


def failure(client, connector):
    with pytest.raises((ConnectorError, BotCredentialError)) as caught:
        send(client, connector)
    return caught.value


# What is sent


def test_a_conversation_is_started(client, connector):
    started = client.create_conversation(f"{connector.url}/teams/", START)

    [request] = connector.requests
    assert str(request) == "POST /teams/v3/conversations"
    assert request.json == START
    assert started.id == connector.conversation_id("29:alex")
    assert (started.activity_id, started.service_url) == (None, None)


def test_an_activity_is_sent(client, connector):
    activity_id = client.send_activity(f"{connector.url}/teams/", "a:1", MESSAGE)

    [request] = connector.requests
    assert str(request) == "POST /teams/v3/conversations/a%3A1/activities"
    assert request.json == MESSAGE
    assert activity_id == "activity-1"


def test_an_activity_is_updated(client, connector):
    activity_id = client.update_activity(f"{connector.url}/teams/", "a:1", "1:7", MESSAGE)

    [request] = connector.requests
    assert str(request) == "PUT /teams/v3/conversations/a%3A1/activities/1%3A7"
    assert request.json == MESSAGE
    assert activity_id == "1:7"


def test_an_activity_is_deleted_without_a_body(client, connector):
    client.delete_activity(f"{connector.url}/teams/", "a:1", "1:7")

    [request] = connector.requests
    assert str(request) == "DELETE /teams/v3/conversations/a%3A1/activities/1%3A7"
    assert request.body == b""
    assert request.headers["Content-Type"] is None
    assert request.headers["Authorization"] == "Bearer token-1"


@pytest.mark.parametrize(
    ("one_id", "part"),
    [
        ("a:1_-.~x", "a%3A1_-.~x"),
        ("19:x@thread.tacv2;messageid=1", "19%3Ax%40thread.tacv2%3Bmessageid%3D1"),
        ("a/../b", "a%2F..%2Fb"),
        ("...", "..."),
        ("a%2Fb", "a%252Fb"),
        ("a b?c#d&e+f", "a%20b%3Fc%23d%26e%2Bf"),
        ("grüße", "gr%C3%BC%C3%9Fe"),
        ("a\\b\r\nX-Header: 1", "a%5Cb%0D%0AX-Header%3A%201"),
    ],
)
def test_an_id_stays_one_part_of_the_path(client, connector, one_id, part):
    connector.answer(201, {"id": "1"}, times=3)

    client.send_activity(connector.url, one_id, MESSAGE)
    client.update_activity(connector.url, one_id, one_id, MESSAGE)
    client.delete_activity(connector.url, one_id, one_id)

    assert [request.path for request in connector.requests] == [
        f"/v3/conversations/{part}/activities",
        f"/v3/conversations/{part}/activities/{part}",
        f"/v3/conversations/{part}/activities/{part}",
    ]


@pytest.mark.parametrize("one_id", [".", ".."])
def test_an_id_that_would_lead_up_the_path_is_refused_by_its_name(client, connector, one_id):
    for field, call in (
        ("conversationId", lambda: client.send_activity(connector.url, one_id, MESSAGE)),
        ("conversationId", lambda: client.update_activity(connector.url, one_id, "1", MESSAGE)),
        ("activityId", lambda: client.update_activity(connector.url, "a:1", one_id, MESSAGE)),
        ("conversationId", lambda: client.delete_activity(connector.url, one_id, "1")),
        ("activityId", lambda: client.delete_activity(connector.url, "a:1", one_id)),
    ):
        with pytest.raises(InvalidRequestError, match=f"^{field}: is no id"):
            call()

    assert connector.requests == []


@pytest.mark.parametrize(
    ("service_path", "path"),
    [
        ("", "/v3/conversations"),
        ("/", "/v3/conversations"),
        ("/amer/0e7a0000", "/amer/0e7a0000/v3/conversations"),
        ("/amer/0e7a0000/", "/amer/0e7a0000/v3/conversations"),
        ("/with%20space/", "/with%20space/v3/conversations"),
    ],
)
def test_the_base_path_of_the_service_url_is_kept(client, connector, service_path, path):
    client.create_conversation(f"{connector.url}{service_path}", START)

    assert connector.requests[0].path == path


def test_the_headers_say_who_calls_and_what_comes(client, connector):
    send(client, connector)

    headers = connector.requests[0].headers
    assert headers["Authorization"] == "Bearer token-1"
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert headers["Accept"] == "application/json"
    assert headers["User-Agent"] == USER_AGENT


def test_a_body_that_has_no_utf_8_goes_out_as_it_came(client, connector):
    client.send_activity(connector.url, "a:1", {"text": "half of a pair: \ud83d"})

    assert connector.requests[0].body == b'{"text":"half of a pair: \\ud83d"}'


def test_without_a_credential_nothing_is_shown(connector):
    send(client_of(connector.url), connector)

    assert "Authorization" not in connector.requests[0].headers


@pytest.mark.parametrize("use_proxy", [False, True])
@pytest.mark.parametrize(("token", "shown"), [(True, "Bearer token-1"), (False, None)])
def test_a_netrc_never_speaks_for_the_bot(
    connector, tokens, tmp_path, monkeypatch, use_proxy, token, shown
):
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    client = client_of(connector.url, tokens=tokens if token else None, use_proxy=use_proxy)

    send(client, connector)

    assert connector.requests[0].headers["Authorization"] == shown


# Where it is sent


def test_an_untrusted_service_url_gets_neither_token_nor_message(connector, logins, tokens):
    client = client_of("https://connector.example", tokens=tokens)

    for call in (
        lambda: client.create_conversation(connector.url, START),
        lambda: client.send_activity(connector.url, "a:1", MESSAGE),
        lambda: client.update_activity(connector.url, "a:1", "1", MESSAGE),
        lambda: client.delete_activity(connector.url, "a:1", "1"),
        lambda: client.prepare(connector.url),
    ):
        with pytest.raises(UntrustedServiceUrlError):
            call()

    assert connector.requests == []
    assert logins.asked == 0


def test_preparing_has_the_token_in_hand_and_calls_nobody(client, connector, logins):
    client.prepare(connector.url)

    assert logins.asked == 1
    assert connector.requests == []


def test_without_a_token_nobody_is_called(client, connector, logins):
    logins.fails = True

    with pytest.raises(BotCredentialError):
        send(client, connector)

    assert connector.requests == []


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
def test_a_redirect_is_not_followed(connector, status):
    with StubConnector() as elsewhere:
        client = client_of(connector.url, elsewhere.url)
        connector.answer(status, headers={"Location": f"{elsewhere.url}/v3/conversations"})

        error = failure(client, connector)

        assert isinstance(error, ConnectorRedirectedError)
        assert (error.status, error.code) == (502, "ConnectorRedirected")
        assert elsewhere.requests == []
        assert len(connector.requests) == 1


@pytest.mark.parametrize(("use_proxy", "called"), [(True, True), (False, False)])
def test_a_proxy_is_used_only_when_told(connector, monkeypatch, use_proxy, called):
    monkeypatch.setenv("HTTP_PROXY", connector.url)
    monkeypatch.setenv("NO_PROXY", "")
    connector.answer(201, {"id": "1"})
    nobody = "http://127.0.0.1:9"
    client = client_of(nobody, use_proxy=use_proxy)

    if called:
        assert client.send_activity(nobody, "a:1", MESSAGE) == "1"
    else:
        with pytest.raises(ConnectorUnavailableError):
            client.send_activity(nobody, "a:1", MESSAGE)

    expected = [f"POST {nobody}/v3/conversations/a%3A1/activities"] if called else []
    assert list(map(str, connector.requests)) == expected


@pytest.mark.parametrize("use_proxy", [False, True])
def test_a_host_that_is_not_there_is_unavailable(use_proxy):
    # Port 9 of this machine: nobody listens.
    client = client_of("http://127.0.0.1:9", use_proxy=use_proxy)

    with pytest.raises(ConnectorUnavailableError) as caught:
        client.send_activity("http://127.0.0.1:9", "a:1", MESSAGE)

    assert caught.value.status == HTTPStatus.BAD_GATEWAY


def test_a_port_that_is_none_leads_nowhere():
    with pytest.raises(ConnectorError, match="leads nowhere") as caught:
        client_of("https://127.0.0.1:99999").send_activity("https://127.0.0.1:99999", "a", MESSAGE)

    assert type(caught.value) is ConnectorError


# What comes back


@pytest.mark.parametrize("status", [200, 201, 202])
def test_every_success_is_one(client, connector, status):
    connector.answer(status, {"id": "1"}, times=2)
    connector.answer(status)

    assert send(client, connector) == "1"
    assert client.update_activity(connector.url, "a:1", "7", MESSAGE) == "1"
    assert client.update_activity(connector.url, "a:1", "7", MESSAGE) is None
    client.delete_activity(connector.url, "a:1", "7")


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (None, {}),
        (b"", {}),
        ({}, {}),
        ({"id": None}, {}),
        ({"id": ""}, {}),
        ({"id": 5}, {}),
        ([], {}),
        (b"null", {}),
        (b'{"id": "1"', {}),
        (b"\xff\xfe", {}),
        ("<html>Accepted</html>", {}),
        ({"id": "1"}, {"Content-Length": "1000"}),
        ({"id": "1"}, {"Content-Encoding": "gzip"}),
        (b" " * 2_000_000 + b'{"id": "1"}', {}),
        (b"[" * 100_000, {}),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_an_activity_that_was_taken_is_sent_whatever_the_answer_says(
    client, connector, body, headers
):
    connector.answer(201, body, headers)

    assert send(client, connector) is None
    assert send(client, connector) == "activity-1"


def test_an_answer_tells_all_of_a_new_conversation(client, connector):
    connector.answer(
        201, {"id": "a:1", "activityId": "7", "serviceUrl": f"{connector.url}/new/", "more": 1}
    )

    started = client.create_conversation(connector.url, START)

    assert (started.id, started.activity_id) == ("a:1", "7")
    assert started.service_url == f"{connector.url}/new/"


@pytest.mark.parametrize("url", ["https://evil.example/", "string", "", None, 5])
def test_a_service_url_in_an_answer_is_kept_only_if_it_is_trusted(client, connector, url):
    connector.answer(201, {"id": "a:1", "serviceUrl": url})

    assert client.create_conversation(connector.url, START).service_url is None


def test_an_answer_that_is_longer_than_it_says_is_sent_too(client, connector):
    connector.answer(201, {"id": "1"}, {"Content-Length": "3"})

    assert send(client, connector) is None


@pytest.mark.parametrize("body", [None, {}, {"id": None}, {"id": ""}, "<html></html>"])
def test_a_conversation_without_an_id_is_none(client, connector, body):
    connector.answer(201, body)

    with pytest.raises(ConnectorError) as caught:
        client.create_conversation(connector.url, START)

    assert caught.value.code == "ConversationIdMissing"
    # Each further try could open one more conversation: there is one, by an id that nobody knows.
    assert caught.value.on_queue is OnQueue.FAIL
    assert caught.value.is_ambiguous


def test_an_id_that_is_too_long_to_be_kept_is_none(client, connector):
    connector.answer(201, {"id": "1" * 1025})

    assert send(client, connector) is None


def test_a_certificate_that_is_refused_stops_the_request_and_what_comes_later_does_not():
    def failed(reason):
        return requests.exceptions.SSLError(
            urllib3.exceptions.MaxRetryError(
                urllib3.HTTPSConnectionPool("smba.example.com"),
                "/v3/conversations",
                urllib3.exceptions.SSLError(reason),
            )
        )

    assert _silence(failed(ssl.SSLCertVerificationError("expired"))) is NoAnswer.UNREACHABLE
    assert _silence(failed(ssl.SSLError("bad record mac"))) is NoAnswer.CUT_OFF


# Errors


@pytest.mark.parametrize(
    ("status", "error", "http_status"),
    [
        (400, ConnectorRejectedError, 400),
        (403, ConnectorRejectedError, 403),
        (404, ConnectorRejectedError, 404),
        (413, ConnectorRejectedError, 413),
        (402, ConnectorError, 502),
        (405, ConnectorError, 502),
        (409, ConnectorError, 502),
        (410, ConnectorError, 502),
        (412, ConnectorBusyError, 503),
        (429, ConnectorThrottledError, 429),
        (500, ConnectorError, 502),
        (501, ConnectorError, 502),
        (502, ConnectorUnavailableError, 502),
        (503, ConnectorUnavailableError, 502),
        (504, ConnectorTimeoutError, 504),
        (599, ConnectorError, 502),
        (999, ConnectorError, 502),
    ],
)
def test_every_status_has_its_error(client, connector, status, error, http_status):
    connector.fail(status, "SomeCode", "some text", {"MS-CV": "abc.1"})

    got = failure(client, connector)

    assert type(got) is error
    assert (got.status, got.code, got.correlation_id) == (http_status, "SomeCode", "abc.1")
    assert got.answer.status == status
    assert got.answer.message == "some text"
    assert "some text" not in str(got)
    assert len(connector.requests) == 1


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({"error": {"code": "BadSyntax", "message": "m"}}, "BadSyntax", "m"),
        ({"error": {"code": "Bad Argument", "message": "m"}}, "Bad Argument", "m"),
        ({"error": {"code": "BadSyntax"}, "message": "other"}, "BadSyntax", ""),
        ({"message": "The requested resource does not support it"}, None, "The requested…"),
        ({"error": {"message": "{not json"}}, None, "{not json"),
        ({"error": {"code": 5, "message": ["m"]}}, None, ""),
        ({"error": {"code": "<script>alert(1)</script>"}}, None, ""),
        ({"error": {"code": "x" * 65}}, None, ""),
        ({"error": {"code": "Bad\nSyntax"}}, None, ""),
        ({"error": "BadSyntax"}, None, ""),
        ({"error": None}, None, ""),
        ([{"error": {"code": "BadSyntax"}}], None, ""),
        ("<html>Forbidden</html>", None, ""),
        (b"", None, ""),
        (b'{"error": {"code": "BadSyntax"', None, ""),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_an_error_is_understood_in_every_form_that_was_seen(client, connector, body, code, message):
    connector.answer(403, body)

    answer = failure(client, connector).answer

    assert (answer.code or "").startswith((code or "").rstrip("…"))
    assert (answer.code is None) == (code is None)
    assert answer.message.startswith(message.rstrip("…"))
    assert bool(answer.message) == bool(message)
    assert answer.sub_code is None


@pytest.mark.parametrize(
    ("body", "code", "sub_code"),
    [
        ({"errorCode": 209, "message": '{"subCode":"Sub"}'}, None, "Sub"),
        ({"error": {"message": '{"subCode":"Sub"}'}}, None, "Sub"),
        ({"error": {"code": "Forbidden", "message": '{"subCode":"Sub"}'}}, "Forbidden", "Sub"),
        ({"error": {"code": "Forbidden", "message": '{"subCode":5}'}}, "Forbidden", None),
        ({"error": {"code": "Forbidden", "message": '{"subCode":"<script>"}'}}, "Forbidden", None),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_code_within_the_message_is_told_apart(client, connector, body, code, sub_code):
    connector.answer(403, body)

    answer = failure(client, connector).answer

    assert (answer.code, answer.sub_code) == (code, sub_code)
    assert answer.message.startswith("{")


@pytest.mark.parametrize(
    ("headers", "correlation_id"),
    [
        ({"MS-CV": "abc.1"}, "abc.1"),
        ({"X-Correlating-OperationId": "op-1"}, "op-1"),
        ({"ms-cv": "abc.1", "x-correlating-operationid": "op-1"}, "abc.1"),
        ({}, None),
    ],
)
def test_the_correlation_id_is_kept(client, connector, headers, correlation_id):
    connector.fail(400, "BadSyntax", headers=headers)

    assert failure(client, connector).correlation_id == correlation_id


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        (" 120 ", 120),
        ("0", 0),
        ("99999999", 24 * 60 * 60),
        ("9" * 400, 24 * 60 * 60),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 24 * 60 * 60),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Wed, 21 Oct 2015 07:28:00 -0000", 0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("Fri, 31 Feb 2026 23:59:59 GMT", None),
        ("Fri, 31 Dec 2026 23:59:59 +99999999999999999999", None),
        ("31 Dec 99999999999999999999999 23:59:59 GMT", None),
    ],
)
def test_retry_after_is_read_where_it_makes_sense(client, connector, header, seconds):
    connector.fail(429, "Throttled", headers={"Retry-After": header})

    error = failure(client, connector)

    assert isinstance(error, ConnectorThrottledError)
    assert error.retry_after_seconds == seconds


def test_retry_after_may_be_a_date(client, connector):
    before = datetime.now(UTC)
    date = (before + timedelta(minutes=10)).replace(microsecond=0)
    connector.fail(503, "ServiceError", headers={"Retry-After": format_datetime(date, usegmt=True)})

    seconds = failure(client, connector).retry_after_seconds

    assert seconds is not None
    assert (date - datetime.now(UTC)).total_seconds() <= seconds
    assert seconds <= (date - before).total_seconds()


def test_a_refused_token_is_dropped_and_the_call_not_repeated(client, connector, logins, caplog):
    connector.answer(401, {"message": "Authorization has been denied for this request."})

    error = failure(client, connector)

    assert isinstance(error, BotCredentialError)
    assert len(connector.requests) == 1
    assert logins.asked == 1
    assert "does not accept the bot's token" in caplog.text

    send(client, connector)

    assert connector.requests[1].headers["Authorization"] == "Bearer token-2"


def test_other_refusals_keep_the_token(client, connector):
    connector.fail(403, "BotDisabledByAdmin")

    failure(client, connector)
    send(client, connector)

    assert connector.requests[1].headers["Authorization"] == "Bearer token-1"


def test_a_connection_that_is_cut_is_unavailable(client, connector):
    connector.cut()
    first = failure(client, connector)
    connector.cut_unread()
    second = failure(client, connector)

    assert type(first) is type(second) is ConnectorUnavailableError
    assert (first.status, first.code) == (502, "ConnectorUnavailable")
    assert len(connector.requests) == 1


def test_what_is_no_http_is_unavailable(client, connector):
    connector.answer(200, {"id": "1"}, {"X-Long": "x" * 70_000})

    assert type(failure(client, connector)) is ConnectorUnavailableError


def test_nothing_of_the_token_or_the_message_is_logged(client, connector, caplog):
    caplog.set_level("DEBUG")
    for status in (400, 401, 429, 500):
        connector.fail(status, "SomeCode", "You sent: Grüße 😀")
        failure(client, connector)

    # Ids are in paths, and so in the log of the connection pool.
    assert "SomeCode" in caplog.text
    assert "Grüße" not in caplog.text
    assert "token-1" not in caplog.text


# Time


def test_a_call_that_hangs_ends_in_time(connector):
    connector.block(times=1)

    error = failure(client_of(connector.url, timeout_seconds=0.2), connector)

    assert isinstance(error, ConnectorTimeoutError)
    assert (error.status, error.code) == (504, "ConnectorTimeout")
    assert len(connector.requests) == 1


@pytest.mark.parametrize("status", [201, 500])
def test_headers_that_drip_do_not_hold_a_thread(connector, status):
    # Each byte comes long before a time limit on one read of the socket would end it.
    connector.answer(status, {"id": "1"}, seconds_per_header_byte=0.05)

    error = failure(client_of(connector.url, timeout_seconds=0.3), connector)

    assert isinstance(error, ConnectorTimeoutError)


def test_a_body_that_drips_does_not_hold_a_thread_and_the_status_counts(connector):
    client = client_of(connector.url, timeout_seconds=0.5)
    connector.answer(201, {"id": "1" * 4000}, seconds_per_body_byte=0.05)
    connector.answer(
        429, {"error": {"code": "x" * 4000}}, {"Retry-After": "7"}, seconds_per_body_byte=0.05
    )

    sent = send(client, connector)
    error = failure(client, connector)

    assert sent is None
    assert isinstance(error, ConnectorThrottledError)
    assert error.retry_after_seconds == 7


def test_a_dripping_answer_that_comes_in_time_is_read_whole(client, connector):
    connector.answer(201, {"id": "1"}, seconds_per_header_byte=0.0005, seconds_per_body_byte=0.0005)

    assert send(client, connector) == "1"


# Connections


def test_a_connection_is_used_again(client, connector):
    client.create_conversation(connector.url, START)
    for _ in range(3):
        send(client, connector)
    connector.fail(404, "ConversationNotFound")
    failure(client, connector)
    send(client, connector)

    assert {request.connection for request in connector.requests} == {1}
    assert connector.connections == 1


def test_a_connection_that_was_dropped_while_idle_is_replaced(client, connector):
    send(client, connector)
    connector.drop_connections()

    send(client, connector)

    assert [request.connection for request in connector.requests] == [1, 2]


def test_there_are_never_more_connections_than_threads(client, connector):
    connector.block()
    together = threading.Barrier(3 * THREADS)

    def call(_):
        together.wait(30)
        return send(client, connector)

    with ThreadPoolExecutor(3 * THREADS) as pool:
        calls = pool.map(call, range(3 * THREADS))
        connector.wait_for_waiting(THREADS)
        connector.release()
        sent = list(calls)

    assert len(set(sent)) == 3 * THREADS
    assert connector.connections == THREADS


def test_a_connection_that_broke_is_not_lost_to_the_others(connector):
    client = client_of(connector.url, timeout_seconds=0.5)
    connector.block(times=2 * THREADS)
    with ThreadPoolExecutor(THREADS) as pool:
        errors = list(pool.map(lambda _: failure(client, connector), range(2 * THREADS)))

    assert {type(error) for error in errors} == {ConnectorTimeoutError}
    assert send(client, connector)


# TLS


class SecureConnector(StubServer):
    """The Connector, over HTTPS."""

    def default_answer(self, request):
        return Answer(201, {"id": "1"})


@pytest.fixture
def secure(certificates) -> Iterator[SecureConnector]:
    with SecureConnector(certificates.server_context()) as secure:
        yield secure


def test_a_certificate_that_nobody_vouches_for_is_not_accepted(secure, tokens):
    error = failure(client_of(secure.url, tokens=tokens), secure)

    assert type(error) is ConnectorUnavailableError
    assert secure.requests == []


def test_calls_over_tls_are_bounded_and_reuse_their_connection(secure, certificates, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates.authority_file))
    patient = client_of(secure.url, use_proxy=True)
    hasty = client_of(secure.url, timeout_seconds=0.5, use_proxy=True)
    secure.answer(201, seconds_per_header_byte=0.1, when=lambda request: request.connection == 2)

    sent = [send(patient, secure) for _ in range(3)]
    error = failure(hasty, secure)

    assert sent == ["1"] * 3
    assert {request.connection for request in secure.requests[:3]} == {1}
    assert isinstance(error, ConnectorTimeoutError)
