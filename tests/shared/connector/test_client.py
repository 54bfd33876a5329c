from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from shared.connector.client import CreatedConversation
from shared.connector.errors import ConnectorError
from shared.connector.user_agent import USER_AGENT
from shared.errors import BotCredentialError, InvalidRequestError, OnQueue, UntrustedServiceUrlError
from tests.shared.connector.calls import MESSAGE, START, at_stub, client_of, failure, send
from tests.support.connector import StubConnector

# Port 9 of this machine: nobody listens.
NOBODY = "http://127.0.0.1:9"


# What is sent


def test_each_call_is_the_request_of_the_swagger_and_says_who_calls(at, connector):
    started = at.create_conversation(START)
    sent = at.send_activity("a:1", MESSAGE)
    updated = at.update_activity("a:1", "1:7", MESSAGE)
    at.delete_activity("a:1", "1:7")

    assert list(map(str, connector.requests)) == [
        "POST /v3/conversations",
        "POST /v3/conversations/a%3A1/activities",
        "PUT /v3/conversations/a%3A1/activities/1%3A7",
        "DELETE /v3/conversations/a%3A1/activities/1%3A7",
    ]
    *with_body, delete = connector.requests
    assert [request.json for request in with_body] == [START, MESSAGE, MESSAGE]
    assert (delete.body, delete.headers["Content-Type"]) == (b"", None)
    assert started == CreatedConversation(connector.conversation_id("29:alex"), None, None)
    assert (sent, updated) == ("activity-1", "1:7")
    headers = with_body[1].headers
    assert headers["Authorization"] == "Bearer token-1"
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert headers["Accept"] == "application/json"
    assert headers["User-Agent"] == USER_AGENT


@pytest.mark.parametrize(
    ("one_id", "part"),
    [
        ("a/../b;c_-.~x", "a%2F..%2Fb%3Bc_-.~x"),
        ("a%2Fb c?d#e&f+g", "a%252Fb%20c%3Fd%23e%26f%2Bg"),
        ("grüße\\b\r\nX-Header: 1", "gr%C3%BC%C3%9Fe%5Cb%0D%0AX-Header%3A%201"),
    ],
)
def test_an_id_stays_one_part_of_the_path(at, connector, one_id, part):
    at.send_activity(one_id, MESSAGE)
    at.update_activity(one_id, one_id, MESSAGE)

    assert [request.path for request in connector.requests] == [
        f"/v3/conversations/{part}/activities",
        f"/v3/conversations/{part}/activities/{part}",
    ]


@pytest.mark.parametrize("one_id", [".", "..", "half of a pair: \ud83d"], ids=ascii)
def test_an_id_that_can_stand_in_no_path_is_refused_by_its_name(at, connector, one_id):
    with pytest.raises(InvalidRequestError, match=r"^conversationId: is no id"):
        at.send_activity(one_id, MESSAGE)
    with pytest.raises(InvalidRequestError, match=r"^activityId: is no id"):
        at.delete_activity("a:1", one_id)

    assert connector.requests == []


@pytest.mark.parametrize("base", ["", "/", "/amer/0e7a%20/"])
def test_the_base_path_of_the_service_url_is_kept(client, connector, base):
    send(client.at(f"{connector.url}{base}"))

    assert connector.requests[0].path == f"{base.rstrip('/')}/v3/conversations/a%3A1/activities"


def test_a_netrc_never_speaks_for_the_bot(connector, tmp_path, monkeypatch):
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))

    send(at_stub(connector, use_proxy=True))

    assert connector.requests[0].headers["Authorization"] is None


# Where it is sent


def test_an_untrusted_service_url_is_refused_before_a_token_is_asked_for(connector, logins, tokens):
    with pytest.raises(UntrustedServiceUrlError):
        client_of("https://connector.example", tokens=tokens).at(connector.url)

    assert logins.asked == 0


@pytest.mark.parametrize("fails", [False, True])
def test_to_have_the_token_in_hand_or_to_have_none_calls_nobody(at, connector, logins, fails):
    logins.failures = 99 * fails

    if fails:
        assert isinstance(failure(at), BotCredentialError)
    else:
        at.have_token()

    assert logins.asked == 1
    assert connector.requests == []


@pytest.mark.parametrize("status", [302, 307])
def test_a_redirect_is_not_followed(connector, status):
    with StubConnector() as elsewhere:
        client = client_of(connector.url, elsewhere.url)
        connector.answer(status, headers={"Location": f"{elsewhere.url}/v3/conversations"})

        error = failure(client.at(connector.url))

        assert error.code == "ConnectorRedirected"
        assert elsewhere.requests == []
        assert len(connector.requests) == 1


def test_a_proxy_is_used_only_when_told(connector, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", connector.url)
    monkeypatch.setenv("NO_PROXY", "")
    connector.answer(201, {"id": "1"})

    send(client_of(NOBODY, use_proxy=True).at(NOBODY))
    error = failure(client_of(NOBODY, use_proxy=False).at(NOBODY))

    assert error.answer.status is None
    assert list(map(str, connector.requests)) == [
        f"POST {NOBODY}/v3/conversations/a%3A1/activities"
    ]


# What comes back


@pytest.mark.parametrize("status", [200, 201, 202])
def test_every_success_is_one(at, connector, status):
    connector.answer(status, {"id": "1"})
    connector.answer(status, times=2)

    assert send(at) == "1"
    assert at.update_activity("a:1", "7", MESSAGE) is None
    at.delete_activity("a:1", "7")


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (None, {}),
        ({"id": ""}, {}),
        ({"id": 5}, {}),
        # It is too long to be kept.
        ({"id": "1" * 1025}, {}),
        ([], {}),
        (b'{"id": "1"', {}),
        ("<html>Accepted</html>", {}),
        ({"id": "1"}, {"Content-Length": "1000"}),
        ({"id": "1"}, {"Content-Encoding": "gzip"}),
        (b" " * 2_000_000 + b'{"id": "1"}', {}),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_an_activity_that_was_taken_is_sent_whatever_the_answer_says(at, connector, body, headers):
    connector.answer(201, body, headers)

    assert send(at) is None
    assert send(at) == "activity-1"


def test_an_answer_that_is_longer_than_it_says_is_sent_too(at, connector):
    connector.answer(201, {"id": "1"}, {"Content-Length": "3"})

    assert send(at) is None


@pytest.mark.parametrize(
    ("base", "is_trusted"), [("own", True), ("https://evil.example", False), ("string", False)]
)
def test_an_answer_tells_all_of_a_new_conversation_but_an_untrusted_url(
    at, connector, base, is_trusted
):
    url = f"{connector.url if base == 'own' else base}/new/"
    connector.answer(201, {"id": "a:1", "activityId": "7", "serviceUrl": url, "more": 1})

    started = at.create_conversation(START)

    assert (started.id, started.activity_id) == ("a:1", "7")
    assert started.service_url == (url if is_trusted else None)


def test_an_activity_id_of_a_new_conversation_that_is_too_long_to_be_kept_is_none(at, connector):
    connector.answer(201, {"id": "a:1", "activityId": "7" * 1025})

    assert at.create_conversation(START).activity_id is None


@pytest.mark.parametrize("body", [{"id": ""}, "<html></html>"])
def test_a_conversation_without_an_id_is_an_error(at, connector, body):
    connector.answer(201, body)

    with pytest.raises(ConnectorError) as caught:
        at.create_conversation(START)

    assert caught.value.code == "ConversationIdMissing"
    # Each further try could open one more conversation: there is one, by an id that nobody knows.
    assert caught.value.on_queue is OnQueue.FAIL
    assert caught.value.is_ambiguous


# Errors


@pytest.mark.parametrize("status", [400, 503, 999])
@pytest.mark.parametrize("header", ["MS-CV", "X-Correlating-OperationId"])
def test_an_error_is_that_of_the_table_with_what_the_answer_says(at, connector, status, header):
    connector.fail(status, "SomeCode", "some text", {header: "abc.1"})

    error = failure(at)

    assert (error.answer.status, error.code, error.correlation_id) == (status, "SomeCode", "abc.1")
    assert error.answer.message == "some text"
    assert len(connector.requests) == 1


@pytest.mark.parametrize("status", [405, 501])
def test_what_the_channel_does_not_support_has_a_code_of_ours(at, connector, status):
    connector.fail(status, "MethodNotAllowed", times=5)
    calls = [
        lambda: at.create_conversation(START),
        lambda: at.create_conversation({**START, "isGroup": True}),
        lambda: at.update_activity("a:1", "7", MESSAGE),
        lambda: at.delete_activity("a:1", "7"),
        lambda: send(at),
    ]
    errors = []
    for call in calls:
        with pytest.raises(ConnectorError) as caught:
            call()
        errors.append((caught.value.status, caught.value.code))

    assert errors == [
        (422, "ConversationNotSupported"),
        (422, "GroupConversationNotSupported"),
        (422, "ActivityChangeNotSupported"),
        (422, "ActivityChangeNotSupported"),
        # Every channel takes messages: it is something else.
        (502, "MethodNotAllowed"),
    ]


@pytest.mark.parametrize(
    ("body", "code", "sub_code", "message"),
    [
        ({"error": {"code": "Bad Argument", "message": "m"}}, "Bad Argument", None, "m"),
        ({"message": "Not supported"}, None, None, "Not supported"),
        ({"errorCode": 209, "message": '{"subCode":"Sub"}'}, None, "Sub", '{"subCode":"Sub"}'),
        (
            {"error": {"code": "Odd", "message": '{"subCode":"<b>"}'}},
            "Odd",
            None,
            '{"subCode":"<b>"}',
        ),
        ({"error": {"code": "<b>", "message": "{not json"}}, None, None, "{not json"),
        ({"error": {"code": "x" * 65, "message": ["m"]}}, None, None, ""),
        ({"error": "BadSyntax"}, None, None, ""),
        ([{"error": {"code": "BadSyntax"}}], None, None, ""),
        ("<html>Forbidden</html>", None, None, ""),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_an_error_is_understood_in_every_form_that_was_seen(
    at, connector, body, code, sub_code, message
):
    connector.answer(403, body)

    answer = failure(at).answer

    assert (answer.code, answer.sub_code, answer.message) == (code, sub_code, message)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (" 120 ", 120),
        ("9" * 400, 60 * 60),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 60 * 60),
        ("Wed, 21 Oct 2015 07:28:00 -0000", 0),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("Fri, 31 Dec 2026 23:59:59 +99999999999999999999", None),
    ],
)
def test_retry_after_is_read_where_it_makes_sense(at, connector, header, seconds):
    connector.fail(429, "Throttled", headers={"Retry-After": header})

    assert failure(at).retry_after_seconds == seconds


def test_retry_after_may_be_a_date(at, connector):
    before = datetime.now(UTC)
    date = (before + timedelta(minutes=10)).replace(microsecond=0)
    connector.fail(503, "ServiceError", headers={"Retry-After": format_datetime(date, usegmt=True)})

    seconds = failure(at).retry_after_seconds

    assert (date - datetime.now(UTC)).total_seconds() <= seconds
    assert seconds <= (date - before).total_seconds()


def test_only_a_refused_token_is_dropped_and_the_call_is_not_repeated(at, connector, caplog):
    connector.fail(403, "BotDisabledByAdmin")
    connector.answer(401, {"message": "Authorization has been denied for this request."})

    failure(at)
    assert isinstance(failure(at), BotCredentialError)
    send(at)

    tokens = [request.headers["Authorization"] for request in connector.requests]
    assert tokens == ["Bearer token-1", "Bearer token-1", "Bearer token-2"]
    assert "does not accept the bot's token" in caplog.text


def test_what_lost_its_connection_may_have_been_sent_and_what_never_had_one_was_not(at, connector):
    connector.cut()
    first = failure(at)
    connector.cut_unread()
    second = failure(at)
    # This is no HTTP.
    connector.answer(200, {"id": "1"}, {"X-Long": "x" * 70_000})
    third = failure(at)

    assert {each.code for each in (first, second, third)} == {"ConnectorUnavailable"}
    assert all(each.is_ambiguous for each in (first, second, third))
    never = failure(client_of(NOBODY).at(NOBODY))
    assert (never.code, never.is_ambiguous) == ("ConnectorUnavailable", False)


def test_a_port_out_of_range_leads_nowhere():
    url = "https://127.0.0.1:99999"

    error = failure(client_of(url).at(url))

    assert (error.code, error.on_queue) == ("ConnectorError", OnQueue.FAIL)
    assert "leads nowhere" in error.detail


def test_nothing_of_the_token_or_the_message_is_logged(at, connector, caplog):
    caplog.set_level("DEBUG")
    for status in (400, 401):
        connector.fail(status, "SomeCode", "You sent: Grüße 😀")
        failure(at)

    # Ids are in paths, and so in the log of the connection pool.
    assert "SomeCode" in caplog.text
    assert "Grüße" not in caplog.text
    assert "token-1" not in caplog.text
