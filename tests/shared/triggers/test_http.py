from datetime import UTC, datetime
from http import HTTPStatus

import pytest
from azure.functions.queue import QueueMessage

from shared.connector.errors import (
    ConnectorAnswer,
    ConnectorBusyError,
    ConnectorRejectedError,
    ConnectorThrottledError,
    ConnectorTimeoutError,
    ConnectorUnavailableError,
)
from shared.deliveries.delivery import Status
from shared.errors import (
    BotCredentialError,
    ConversationStartingError,
    FieldError,
    InvalidRequestError,
    RequestTooLargeError,
    StorageUnavailableError,
    UnknownConversationError,
)
from shared.messages.envelope import QueuedMessage
from shared.triggers.http import http_function, json_response, no_content, path_id, read_json
from shared.triggers.queue import LAST_TRY, queue_function
from tests.support.builders import answer_of, http_request, invocation, queue_message, unique


def answer_to(error):
    @http_function
    def fail(_request):
        raise error

    return fail(http_request("POST"))


# Answers


def test_what_a_handler_returns_is_answered():
    @http_function
    def succeed(request):
        return json_response({"got": read_json(request)}, HTTPStatus.CREATED, X_Some_Header="1")

    response = succeed(http_request("POST", {"text": "Grüße 😀"}))

    assert answer_of(response) == (201, {"got": {"text": "Grüße 😀"}})
    assert response.mimetype == "application/json"
    assert response.headers["X-Some-Header"] == "1"
    assert succeed.__name__ == "succeed"


def test_nothing_can_be_answered():
    assert (no_content().status_code, no_content().get_body()) == (204, b"")


def test_an_error_is_answered_as_problem_details():
    error = ConnectorRejectedError(
        "The Connector answered 404 ConversationNotFound",
        ConnectorAnswer(404, "ConversationNotFound", None, "secret text", "abc.1"),
    )
    error.status = HTTPStatus.NOT_FOUND

    response = answer_to(error)

    assert response.mimetype == "application/problem+json"
    assert "Retry-After" not in response.headers
    assert answer_of(response) == (
        404,
        {
            "type": "about:blank",
            "title": "Not Found",
            "status": 404,
            "detail": "The Connector answered 404 ConversationNotFound",
            "code": "ConversationNotFound",
            "correlationId": "abc.1",
        },
    )


def test_bad_input_is_answered_field_by_field():
    error = InvalidRequestError(FieldError("members[0].id", "is missing"), FieldError("a", "b"))

    status, problem = answer_of(answer_to(error))

    assert (status, problem["code"]) == (400, "InvalidRequest")
    assert problem["errors"] == [
        {"field": "members[0].id", "message": "is missing"},
        {"field": "a", "message": "b"},
    ]


@pytest.mark.parametrize(
    ("error", "retry_after"),
    [
        (ConnectorThrottledError("x", ConnectorAnswer(429, retry_after_seconds=7.2)), "8"),
        (ConnectorThrottledError("x", ConnectorAnswer(429, retry_after_seconds=0)), "0"),
        (ConnectorThrottledError("x"), "10"),
        (ConnectorUnavailableError("x", ConnectorAnswer(503, retry_after_seconds=90)), "90"),
        (ConnectorUnavailableError("x"), "5"),
        (ConnectorTimeoutError("x"), "5"),
        (ConnectorBusyError("x"), "1"),
        (ConversationStartingError("x"), "1"),
        (BotCredentialError(), None),
        (StorageUnavailableError("x"), "5"),
        (UnknownConversationError("x"), None),
        (InvalidRequestError(FieldError("a", "b")), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_caller_is_told_when_to_try_again_where_that_can_help(error, retry_after):
    assert answer_to(error).headers.get("Retry-After") == retry_after


def test_a_bug_is_left_to_the_host():
    with pytest.raises(ZeroDivisionError):
        answer_to(ZeroDivisionError())


@pytest.mark.parametrize(
    ("error", "level"),
    [(StorageUnavailableError("down"), "ERROR"), (UnknownConversationError("x"), "INFO")],
)
def test_only_what_is_not_the_callers_fault_is_logged_as_an_error(error, level, caplog):
    caplog.set_level("INFO")

    answer_to(error)

    assert [record.levelname for record in caplog.records] == [level]


# Requests


def test_a_body_that_is_too_large_is_refused():
    with pytest.raises(RequestTooLargeError, match="4096 KB"):
        read_json(http_request("POST", b" " * (4 * 1024 * 1024 + 1)))


@pytest.mark.parametrize(
    ("route", "params", "value"),
    [
        ("a:1", {}, "a:1"),
        ("a%2Fb%2fc", {}, "a/b/c"),
        ("a%3Ab", {}, "a%3Ab"),
        ("-", {"conversationId": "a%2Fb?#"}, "a%2Fb?#"),
        ("a:1", {"conversationId": ""}, "a:1"),
        ("x" * 1024, {}, "x" * 1024),
    ],
)
def test_an_id_comes_from_the_path_or_whole_from_the_query(route, params, value):
    request = http_request("GET", route={"conversationId": route}, params=params)

    assert path_id(request, "conversationId") == value


@pytest.mark.parametrize("route", [{}, {"conversationId": ""}, {"conversationId": "x" * 1025}])
def test_an_id_that_is_none_is_named(route):
    with pytest.raises(InvalidRequestError) as caught:
        path_id(http_request("GET", route=route), "conversationId")

    assert caught.value.field_errors[0].field == "conversationId"


# Queues


@pytest.fixture
def queue():
    return unique("queue")


def test_a_queue_message_is_handled_with_what_the_host_knows_of_it(deployed, queue):
    handled = []

    @queue_function(queue)
    def handle(message):
        handled.append(message)

    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    handle(queue_message({"text": "Grüße 😀"}, "message-1"), invocation(trace))

    [message] = handled
    assert (message.queue, message.body) == (queue, {"text": "Grüße 😀"})
    assert message.envelope.id == "message-1"
    assert message.envelope.traceparent == trace
    assert (datetime.now(UTC) - message.envelope.accepted_at).total_seconds() < 60
    assert handle.__name__ == "handle"


def test_bytes_that_are_no_text_are_poison(deployed, queue, queue_reader):
    @queue_function(queue)
    def handle(_message):
        raise AssertionError

    handle(queue_message(b"\xff\xfe{}"), invocation())

    [poison] = queue_reader(f"{queue}-poison").take()
    assert poison["message"] == "\ufffd\ufffd{}"


def test_a_failure_on_a_queue_is_settled(deployed, queue, queue_reader):
    @queue_function(queue)
    def handle(_message):
        raise UnknownConversationError("No such conversation")

    handle(queue_message({"id": "order-7"}), invocation())

    [poison] = queue_reader(f"{queue}-poison").take()
    assert poison["failure"]["code"] == "UnknownConversation"


def test_a_queue_message_is_not_lost_when_a_setting_is_wrong(deployed, monkeypatch, queue):
    monkeypatch.setenv("BotCloud", "Mars")
    monkeypatch.setattr("shared.wiring._services", None)

    with pytest.raises(Exception, match="Setting BotCloud"):
        queue_function(queue)(lambda _message: None)(queue_message({}), invocation())


@pytest.mark.parametrize("error", [ZeroDivisionError(), StorageUnavailableError("down")])
def test_what_still_fails_when_the_host_gives_up_is_poison_with_its_reason(
    deployed, queue, queue_reader, error
):
    @queue_function(queue)
    def handle(_message):
        raise error

    with pytest.raises(type(error)):
        handle(tried(LAST_TRY - 1), invocation())
    handle(tried(LAST_TRY), invocation())

    [poison] = queue_reader(f"{queue}-poison").take()
    assert poison["message"] == {"text": "News"}
    assert poison["failure"]["code"] in ("InternalError", "StorageUnavailable")
    delivery = deployed.deliveries.find("message-1")
    assert delivery.status is Status.TECHNICAL_FAILURE


def tried(times):
    """A message that the host has given out so many times, as azure-functions reads it."""
    return QueueMessage(
        id="message-1",
        body=b'{"text": "News"}',
        dequeue_count=times,
        insertion_time=datetime.now(UTC).replace(tzinfo=None),
    )


def test_a_moment_without_a_zone_is_in_utc(deployed, queue):
    handled: list[QueuedMessage] = []
    queue_function(queue)(handled.append)(tried(1), invocation())

    [message] = handled
    assert abs((datetime.now(UTC) - message.envelope.accepted_at).total_seconds()) < 60
