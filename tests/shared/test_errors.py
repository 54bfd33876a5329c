import re
from http import HTTPStatus

import pytest

from shared import errors
from shared.errors import (
    AccountChangedError,
    AmbiguousConversationError,
    AppError,
    BotCredentialError,
    ConnectorAnswer,
    ConnectorBusyError,
    ConnectorError,
    ConnectorRedirectedError,
    ConnectorRejectedError,
    ConnectorThrottledError,
    ConnectorTimeoutError,
    ConnectorUnavailableError,
    ConversationNotStartedError,
    ConversationNotSupportedError,
    ConversationStartingError,
    FieldError,
    GroupConversationNotSupportedError,
    InvalidRequestError,
    InvalidSettingError,
    OnQueue,
    RequestTooLargeError,
    StorageUnavailableError,
    UnknownAccountError,
    UnknownConversationError,
    UntrustedServiceUrlError,
)

FIELD = FieldError("members[0].id", "is missing")
REJECTION = ConnectorAnswer(status=404, code="ConversationNotFound")


def every_error(parent=AppError):
    for child in parent.__subclasses__():
        yield child
        yield from every_error(child)


@pytest.mark.parametrize(
    ("error", "status", "code", "on_queue"),
    [
        (InvalidRequestError(FIELD), 400, "InvalidRequest", OnQueue.FAIL),
        (RequestTooLargeError(FIELD), 413, "InvalidRequest", OnQueue.FAIL),
        (UntrustedServiceUrlError(FIELD), 400, "UntrustedServiceUrl", OnQueue.FAIL),
        (UnknownAccountError("x"), 404, "UnknownAccount", OnQueue.FAIL),
        (UnknownConversationError("x"), 404, "UnknownConversation", OnQueue.FAIL),
        (ConversationNotStartedError("x"), 404, "UnknownConversation", OnQueue.FAIL),
        (AmbiguousConversationError("x"), 409, "AmbiguousConversation", OnQueue.FAIL),
        (AccountChangedError("x"), 412, "AccountChanged", OnQueue.FAIL),
        (ConversationNotSupportedError("x"), 422, "ConversationNotSupported", OnQueue.FAIL),
        (
            GroupConversationNotSupportedError("x"),
            422,
            "GroupConversationNotSupported",
            OnQueue.FAIL,
        ),
        (ConversationStartingError("x"), 409, "ConversationStarting", OnQueue.WAIT),
        (InvalidSettingError("BotCloud", "is odd"), 500, "InvalidSetting", OnQueue.HOST),
        (BotCredentialError(), 500, "BotCredentialError", OnQueue.WAIT),
        (StorageUnavailableError("x"), 503, "StorageUnavailable", OnQueue.HOST),
        (ConnectorError("x"), 502, "ConnectorError", OnQueue.FAIL),
        (ConnectorRejectedError("x", REJECTION), 404, "ConversationNotFound", OnQueue.FAIL),
        (ConnectorRedirectedError("x"), 502, "ConnectorRedirected", OnQueue.FAIL),
        (ConnectorThrottledError("x"), 429, "Throttled", OnQueue.WAIT),
        (ConnectorBusyError("x"), 503, "PreconditionFailed", OnQueue.COUNT),
        (ConnectorUnavailableError("x"), 502, "ConnectorUnavailable", OnQueue.COUNT),
        (ConnectorTimeoutError("x"), 504, "ConnectorTimeout", OnQueue.COUNT),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, AppError) else None,
)
def test_every_error_says_what_http_and_a_queue_make_of_it(error, status, code, on_queue):
    assert (error.status, error.code, error.on_queue) == (status, code, on_queue)


def test_the_tree_at_the_top_of_the_module_names_every_error():
    named = set(re.findall(r"\b[A-Z]\w+Error\b", errors.__doc__ or ""))

    assert named == {"AppError", *(error.__name__ for error in every_error())}


def test_a_wrong_request_tells_of_every_field():
    error = InvalidRequestError(FIELD, FieldError("isGroup", "must be true or false"))

    assert [each.field for each in error.field_errors] == ["members[0].id", "isGroup"]
    assert error.detail == "members[0].id: is missing; isGroup: must be true or false"


def test_an_answer_of_the_connector_is_carried_on():
    answer = ConnectorAnswer(
        status=429, code="Slow down", correlation_id="abc", retry_after_seconds=7
    )

    error = ConnectorThrottledError("The Connector answered 429", answer)

    assert error.answer is answer
    assert (error.code, error.correlation_id) == ("Slow down", "abc")
    assert error.retry_after_seconds == 7


def test_a_wait_of_nothing_is_a_wait_that_is_known():
    error = ConnectorThrottledError("x", ConnectorAnswer(status=429, retry_after_seconds=0))

    assert error.retry_after_seconds == 0


def test_only_calls_that_were_made_count_as_attempts():
    counted = {error for error in every_error() if error.was_attempt}

    assert ConnectorTimeoutError in counted
    assert ConnectorRejectedError in counted
    assert not counted & {
        ConnectorThrottledError,
        BotCredentialError,
        StorageUnavailableError,
        InvalidRequestError,
        ConversationStartingError,
    }


def test_a_failed_credential_keeps_its_reason_to_itself():
    assert "log" in BotCredentialError().detail
    assert BotCredentialError().status is HTTPStatus.INTERNAL_SERVER_ERROR
