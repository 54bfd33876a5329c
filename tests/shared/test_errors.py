import re
from http import HTTPStatus

import pytest

from shared import errors
from shared.connector.errors import (
    ConnectorAnswer,
    ConnectorRejectedError,
    ConnectorThrottledError,
    ConnectorTimeoutError,
)
from shared.errors import (
    AccountChangedError,
    AlertExistsError,
    AlertOverError,
    AlreadyDoneError,
    AmbiguousConversationError,
    AppError,
    BotCredentialError,
    CancelledError,
    ConversationNotStartedError,
    ConversationNotSupportedError,
    ConversationStartingError,
    DeliveryNotRetriableError,
    DeliveryUnderWayError,
    ExpiredError,
    FieldError,
    ForgottenRecipientError,
    GroupConversationNotSupportedError,
    HeldBackError,
    InvalidRequestError,
    InvalidSettingError,
    OnQueue,
    OutcomeUnknownError,
    RequestTooLargeError,
    StorageRefusedError,
    StorageUnavailableError,
    SuppressedError,
    UnexpectedError,
    UnknownAccountError,
    UnknownAlertError,
    UnknownConversationError,
    UnknownDeliveryError,
    UntrustedServiceUrlError,
)

FIELD = FieldError("members[0].id", "is missing")


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
        (UnknownAlertError("x"), 404, "UnknownAlert", OnQueue.FAIL),
        (AlertExistsError("x"), 409, "AlertExists", OnQueue.FAIL),
        (AlertOverError("x"), 409, "AlertOver", OnQueue.FAIL),
        (CancelledError("x"), 409, "Cancelled", OnQueue.DROP),
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
        (BotCredentialError(), 500, "BotCredentialError", OnQueue.PAUSE_EVERYTHING),
        (StorageUnavailableError("x"), 503, "StorageUnavailable", OnQueue.HOST),
        (SuppressedError("x"), 403, "Suppressed", OnQueue.DROP),
        (ExpiredError("x"), 410, "Expired", OnQueue.DROP),
        (HeldBackError("x", 1), 429, "Throttled", OnQueue.WAIT),
        (StorageRefusedError("x"), 500, "StorageRefused", OnQueue.FAIL),
        (UnexpectedError(), 500, "InternalError", OnQueue.FAIL),
        (AlreadyDoneError("x"), 409, "AlreadyDone", OnQueue.DONE),
        (DeliveryUnderWayError("x"), 409, "DeliveryUnderWay", OnQueue.WAIT),
        (OutcomeUnknownError("x"), 504, "OutcomeUnknown", OnQueue.COUNT),
        (UnknownDeliveryError("x"), 404, "UnknownDelivery", OnQueue.FAIL),
        (ForgottenRecipientError("x"), 410, "ForgottenRecipient", OnQueue.DROP),
        (DeliveryNotRetriableError("x"), 409, "DeliveryNotRetriable", OnQueue.FAIL),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, AppError) else None,
)
def test_every_error_says_what_http_and_a_queue_make_of_it(error, status, code, on_queue):
    assert (error.status, error.code, error.on_queue) == (status, code, on_queue)


def test_the_tree_at_the_top_of_the_module_names_every_error():
    named = set(re.findall(r"\b[A-Z]\w+Error\b", errors.__doc__ or ""))
    defined = {error.__name__ for error in every_error() if error.__module__ == errors.__name__}

    # What the Connector can say has a table of its own.
    assert named == {"AppError", "ConnectorError", *defined}


def test_what_is_our_own_fault_says_so():
    technical = {error for error in every_error() if error.is_technical}

    assert technical == {
        InvalidSettingError,
        StorageUnavailableError,
        StorageRefusedError,
        UnexpectedError,
    }


def test_a_wrong_request_tells_of_every_field():
    error = InvalidRequestError(FIELD, FieldError("isGroup", "must be true or false"))

    assert [each.field for each in error.field_errors] == ["members[0].id", "isGroup"]
    assert error.detail == "members[0].id: is missing; isGroup: must be true or false"


def test_a_detail_is_short_enough_to_be_kept_and_can_be_written():
    error = InvalidRequestError(*(FieldError(f"activities.\ud83d{n}", "x") for n in range(5000)))

    assert len(error.detail.encode()) < 32_000
    assert error.detail.startswith("activities.\\ud83d0: x; ")
    assert len(error.field_errors) == 5000


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
