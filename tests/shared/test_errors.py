from shared import errors
from shared.errors import AppError, FieldError, HeldBackError, InvalidRequestError, OnQueue

FAIL, WAIT, DROP, HOST = OnQueue.FAIL, OnQueue.WAIT, OnQueue.DROP, OnQueue.LEAVE_TO_HOST


def every_error(parent=AppError):
    """Every error of ours; what the Connector can say has a table of its own."""
    for child in parent.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from every_error(child)


def test_every_error_says_what_http_and_a_queue_make_of_it():
    found = {error.__name__: (error.status, error.code, error.on_queue) for error in every_error()}
    # Its answer is that of another error.
    del found["ReplayedError"]

    assert found == {
        "InvalidRequestError": (400, "InvalidRequest", FAIL),
        "RequestTooLargeError": (413, "InvalidRequest", FAIL),
        "UntrustedServiceUrlError": (400, "UntrustedServiceUrl", FAIL),
        "UnauthorizedCallerError": (401, "Unauthorized", FAIL),
        "ForbiddenActivityError": (403, "Forbidden", FAIL),
        "UnknownSenderError": (404, "UnknownSender", FAIL),
        "InvalidSignatureError": (401, "InvalidSignature", FAIL),
        "KeysUnavailableError": (503, "SigningKeysUnavailable", FAIL),
        "UnknownAccountError": (404, "UnknownAccount", FAIL),
        "UnknownConversationError": (404, "UnknownConversation", FAIL),
        "ConversationNotStartedError": (404, "UnknownConversation", FAIL),
        "AmbiguousConversationError": (409, "AmbiguousConversation", FAIL),
        "UnknownAlertError": (404, "UnknownAlert", FAIL),
        "AlertExistsError": (409, "AlertExists", FAIL),
        "AlertOverError": (409, "AlertOver", FAIL),
        "CancelledError": (409, "Cancelled", DROP),
        "SuppressedError": (403, "Suppressed", DROP),
        "ExpiredError": (410, "Expired", DROP),
        "AccountChangedError": (412, "AccountChanged", FAIL),
        "ConversationNotSupportedError": (422, "ConversationNotSupported", FAIL),
        "TargetedActivityNotSupportedError": (422, "TargetedActivityNotSupported", FAIL),
        "GroupConversationNotSupportedError": (422, "GroupConversationNotSupported", FAIL),
        "ConversationStartingError": (409, "ConversationStarting", WAIT),
        "HeldBackError": (429, "Throttled", WAIT),
        "IdempotencyKeyInUseError": (409, "IdempotencyKeyInUse", FAIL),
        "IdempotencyKeyReusedError": (422, "IdempotencyKeyReused", FAIL),
        "InvalidSettingError": (500, "InvalidSetting", HOST),
        "BotCredentialError": (500, "BotCredentialError", WAIT),
        "TokenRefusedError": (500, "BotCredentialError", WAIT),
        "StorageUnavailableError": (503, "StorageUnavailable", HOST),
        "StorageRefusedError": (500, "StorageRefused", FAIL),
        "UnexpectedError": (500, "InternalError", FAIL),
        "AlreadyDoneError": (409, "AlreadyDone", OnQueue.DONE),
        "DeliveryUnderWayError": (409, "DeliveryUnderWay", WAIT),
        "IdInUseError": (400, "InvalidRequest", FAIL),
        "MessageGoneError": (410, "MessageGone", FAIL),
        "OutcomeUnknownError": (504, "OutcomeUnknown", OnQueue.RETRY),
        "UnknownDeliveryError": (404, "UnknownDelivery", FAIL),
        "ForgottenRecipientError": (410, "ForgottenRecipient", DROP),
        "DeliveryNotRetriableError": (409, "DeliveryNotRetriable", FAIL),
    }


def test_what_is_our_own_fault_says_so():
    assert {error.__name__ for error in every_error() if error.is_technical} == {
        "InvalidSettingError",
        "StorageUnavailableError",
        "StorageRefusedError",
        "UnexpectedError",
    }


def test_what_may_help_later_says_when():
    told = {
        error.__name__: error.retry_after_seconds or error.http_retry_after_seconds
        for error in every_error()
    }

    assert {error: seconds for error, seconds in told.items() if seconds} == {
        "KeysUnavailableError": 30,
        "ConversationStartingError": 1,
        "DeliveryUnderWayError": 1,
        "IdempotencyKeyInUseError": 2,
        "StorageUnavailableError": 5,
    }
    assert HeldBackError("x", 7).retry_after_seconds == 7


def test_a_wrong_request_tells_of_every_field():
    error = InvalidRequestError(FieldError("members[0].id", "is missing"), FieldError("a", "b"))

    assert [each.field for each in error.field_errors] == ["members[0].id", "a"]
    assert error.detail == "members[0].id: is missing; a: b"


def test_a_detail_is_short_enough_to_be_kept_and_can_be_written():
    error = InvalidRequestError(*(FieldError(f"activities.\ud83d{n}", "x") for n in range(5000)))

    assert len(error.detail.encode()) < 32_000
    assert error.detail.startswith("activities.\\ud83d0: x; ")


def test_however_much_is_wrong_the_first_hundred_errors_are_told_in_few_words():
    long = "x" * 10_000
    error = InvalidRequestError(*(FieldError(f"{n}{long}", f"{n}{long}") for n in range(101)))

    *told, last = error.field_errors
    assert [each.field[:4] for each in told] == [f"{n}xxxx"[:4] for n in range(99)]
    assert last == FieldError("(body)", "has more errors")
    assert sum(len(each.field) + len(each.message) for each in told) < 99 * 2050
    assert len(InvalidRequestError(*[FieldError("a", "b")] * 100).field_errors) == 100
