import pytest

from shared.connector.errors import ConnectorAnswer, connector_error
from shared.errors import FieldError, InvalidRequestError
from shared.triggers.problem_json import problem
from tests.support.builders import answer_of


def test_an_error_is_answered_as_problem_details():
    answer = ConnectorAnswer(404, "ConversationNotFound", message="secret", correlation_id="abc.1")

    response = problem(connector_error(404, answer))

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

    status, answer = answer_of(problem(error))

    assert (status, answer["code"]) == (400, "InvalidRequest")
    assert answer["errors"] == [
        {"field": "members[0].id", "message": "is missing"},
        {"field": "a", "message": "b"},
    ]


@pytest.mark.parametrize(
    ("asked_for", "told"), [(7.2, "8"), (0, "0"), (None, "10")], ids=["long", "nothing", "unknown"]
)
def test_the_caller_is_told_when_to_try_again_where_that_can_help(asked_for, told):
    error = connector_error(429, ConnectorAnswer(429, retry_after_seconds=asked_for))

    assert problem(error).headers["Retry-After"] == told
