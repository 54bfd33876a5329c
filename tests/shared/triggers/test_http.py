from http import HTTPStatus

import pytest

from shared.errors import (
    InvalidRequestError,
    RequestTooLargeError,
    StorageUnavailableError,
    UnknownConversationError,
)
from shared.triggers.http import (
    http_function,
    json_response,
    link_to,
    no_content,
    path_id,
    read_json,
)
from tests.support.builders import answer_of, http_request


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


def test_a_bug_is_left_to_the_host():
    with pytest.raises(ZeroDivisionError):
        answer_to(ZeroDivisionError())


@pytest.mark.parametrize(
    ("error", "level"),
    [(StorageUnavailableError("down"), "ERROR"), (UnknownConversationError("x"), "INFO")],
)
def test_an_error_is_answered_and_logged_by_whose_fault_it_is(error, level, caplog):
    caplog.set_level("INFO")

    assert answer_to(error).status_code == error.status

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


@pytest.mark.parametrize(
    ("alert_id", "link"),
    [
        ("a/1 ü.", "/api/alerts/a%2F1%20%C3%BC./cancel"),
        ("..", "/api/alerts/-/cancel?id=.."),
        ("a%2Fb", "/api/alerts/-/cancel?id=a%252Fb"),
    ],
)
def test_a_link_leads_by_the_query_to_an_id_that_a_path_would_change(alert_id, link):
    assert link_to("alerts", "id", alert_id, "/cancel") == link


@pytest.mark.parametrize("route", [{}, {"conversationId": "x" * 1025}])
def test_an_id_that_is_none_is_named(route):
    with pytest.raises(InvalidRequestError, match=r"^conversationId: "):
        path_id(http_request("GET", route=route), "conversationId")
