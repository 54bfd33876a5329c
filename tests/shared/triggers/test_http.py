from datetime import UTC, datetime
from http import HTTPStatus

import pytest
from azure.functions.queue import QueueMessage

from shared.connector.errors import ConnectorAnswer, connector_error
from shared.errors import (
    FieldError,
    InvalidRequestError,
    InvalidSettingError,
    RequestTooLargeError,
    StorageUnavailableError,
    UnknownConversationError,
)
from shared.messages.queued_message import QueuedMessage
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
    # The Functions host knows it by its name.
    assert succeed.__name__ == "succeed"


def test_nothing_can_be_answered():
    assert (no_content().status_code, no_content().get_body()) == (204, b"")


def test_an_error_is_answered_as_problem_details():
    answer = ConnectorAnswer(404, "ConversationNotFound", message="secret", correlation_id="abc.1")

    response = answer_to(connector_error(404, answer))

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
    ("asked_for", "told"), [(7.2, "8"), (0, "0"), (None, "10")], ids=["long", "nothing", "unknown"]
)
def test_the_caller_is_told_when_to_try_again_where_that_can_help(asked_for, told):
    error = connector_error(429, ConnectorAnswer(429, retry_after_seconds=asked_for))

    assert answer_to(error).headers["Retry-After"] == told


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


def test_an_empty_body_is_told_as_what_it_is_and_why_it_may_be_empty():
    with pytest.raises(InvalidRequestError, match=r"\(body\): is empty; .*Content-Length"):
        read_json(http_request("POST", b""))


def test_a_body_that_is_too_large_is_refused():
    with pytest.raises(RequestTooLargeError, match="4096 KB"):
        read_json(http_request("POST", b" " * (4 * 1024 * 1024 + 1)))


@pytest.mark.parametrize(
    ("route", "params", "value"),
    [
        ("a%2Fb%2fc%3A", {}, "a/b/c%3A"),
        ("-", {"conversationId": "a%2Fb?#"}, "a%2Fb?#"),
        ("x" * 1024, {"conversationId": ""}, "x" * 1024),
    ],
)
def test_an_id_comes_from_the_path_or_whole_from_the_query(route, params, value):
    request = http_request("GET", route={"conversationId": route}, params=params)

    assert path_id(request, "conversationId") == value


@pytest.mark.parametrize("route", [{}, {"conversationId": "x" * 1025}])
def test_an_id_that_is_none_is_named(route):
    with pytest.raises(InvalidRequestError, match=r"^conversationId: "):
        path_id(http_request("GET", route=route), "conversationId")


# Queues


def tried(times):
    """A message that the host has given out so many times, as azure-functions reads it."""
    return QueueMessage(
        id="message-1",
        body=b'{"text": "News"}',
        dequeue_count=times,
        # It has dropped the zone.
        insertion_time=datetime.now(UTC).replace(tzinfo=None),
    )


def test_a_queue_message_is_handled_with_what_the_host_knows_of_it(deployed):
    handled: list[QueuedMessage] = []
    queue = unique("queue")

    @queue_function(queue)
    def handle(message):
        handled.append(message)

    handle(tried(1), invocation("00-a-b-01"))

    [message] = handled
    assert (message.queue, message.body) == (queue, {"text": "News"})
    assert message.envelope.id == "message-1"
    assert message.envelope.traceparent == "00-a-b-01"
    assert abs((datetime.now(UTC) - message.envelope.accepted_at).total_seconds()) < 60
    assert handle.__name__ == "handle"


def test_a_queue_message_is_not_lost_when_a_setting_is_wrong(deployed, monkeypatch):
    monkeypatch.setenv("BotCloud", "Mars")
    monkeypatch.setattr("shared.wiring._services", None)

    with pytest.raises(InvalidSettingError, match="Setting BotCloud"):
        queue_function("queue")(lambda _message: None)(queue_message({}), invocation())


def test_the_last_try_of_the_host_is_known_by_its_number(deployed, queue_reader):
    queue = unique("queue")

    @queue_function(queue)
    def handle(_message):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        handle(tried(LAST_TRY - 1), invocation())
    handle(tried(LAST_TRY), invocation())

    assert queue_reader(f"{queue}-poison").count() == 1
