import pytest

from shared.connector.errors import (
    TABLE,
    ConnectorAnswer,
    ConnectorError,
    NoAnswer,
    Remedy,
    connector_error,
    failed_call,
    says_activity_is_unknown,
    unsupported,
)
from shared.errors import BotCredentialError, OnQueue, TokenRefusedError

FAIL, RETRY, WAIT = OnQueue.FAIL, OnQueue.RETRY, OnQueue.WAIT
BLOCKED = Remedy.MARK_BLOCKED

# The table of the contract, once more, by hand: what was said, with its code; then our code, what
# HTTP answers, what a queue does, what is mended, whether it is ambiguous, and when HTTP callers
# are told to come again.
CONTRACT = [
    (429, None, "Throttled", 429, WAIT, None, False, 10),
    (412, None, "PreconditionFailed", 503, RETRY, None, False, 1),
    (502, None, "ConnectorUnavailable", 502, RETRY, None, True, 5),
    (503, None, "ConnectorUnavailable", 502, RETRY, None, False, 5),
    (504, None, "ConnectorTimeout", 504, RETRY, None, True, 5),
    (NoAnswer.TIMED_OUT, None, "ConnectorTimeout", 504, RETRY, None, True, 5),
    (NoAnswer.CUT_OFF, None, "ConnectorUnavailable", 502, RETRY, None, True, 5),
    (NoAnswer.UNREACHABLE, None, "ConnectorUnavailable", 502, RETRY, None, False, 5),
    (404, "ConversationNotFound", None, 404, FAIL, Remedy.START_AGAIN, False, None),
    (404, "ThreadNotFound", None, 404, FAIL, Remedy.START_AGAIN, False, None),
    (404, "ActivityNotFoundInConversation", None, 404, FAIL, None, False, None),
    (403, "BotNotInConversationRoster", None, 403, FAIL, Remedy.MARK_NOT_INSTALLED, False, None),
    (403, "ConversationBlockedByUser", None, 403, FAIL, BLOCKED, False, None),
    (403, "MessageWritesBlocked", None, 403, FAIL, BLOCKED, False, None),
    (403, "ForbiddenOperationException", None, 403, FAIL, BLOCKED, False, None),
    (403, "BotDisabledByAdmin", None, 403, FAIL, Remedy.MARK_DISABLED, False, None),
    (403, "InvalidBotApiHost", None, 403, FAIL, Remedy.CHANGE_HOST, False, None),
    (403, "NotEnoughPermissions", None, 403, FAIL, None, False, None),
    (403, None, "ConnectorRejected", 403, FAIL, None, False, None),
    (400, "ConversationBlockedByUser", None, 400, FAIL, None, False, None),
    (413, "MessageSizeTooBig", None, 413, FAIL, None, False, None),
    (302, "SomeCode", "ConnectorRedirected", 502, FAIL, None, False, None),
    (500, "ServiceError", None, 502, FAIL, None, False, None),
    (418, None, "ConnectorError", 502, FAIL, None, False, None),
]


@pytest.mark.parametrize("row", CONTRACT, ids=lambda row: f"{row[0]} {row[1]}")
def test_the_table_is_that_of_the_contract(row):
    said, code, *_ = row
    answer = ConnectorAnswer(said if isinstance(said, int) else None, code)

    error = connector_error(said, answer)

    assert not isinstance(error, BotCredentialError)
    assert (
        said,
        code,
        error.code if error.code != code else None,
        error.status,
        error.on_queue,
        error.remedy,
        error.is_ambiguous,
        error.http_retry_after_seconds,
    ) == row
    assert error.was_attempt == (said != 429)


def test_every_row_and_code_of_the_table_is_in_the_contract():
    in_contract = {(said, code) for said, code, *_ in CONTRACT}

    for row in TABLE:
        if row.codes:
            assert {(row.said[0], code) for code in row.codes} <= in_contract
        else:
            assert not row.said or {said for said, _ in in_contract} & set(row.said)


def test_a_refused_token_is_an_error_of_its_own():
    error = connector_error(401, ConnectorAnswer(401, "BotNotRegistered", correlation_id="abc"))

    assert type(error) is TokenRefusedError
    assert error.correlation_id == "abc"


@pytest.mark.parametrize("code", ["MessageWritesBlocked", "NotEnoughPermissions"])
def test_a_code_is_also_found_where_channels_hide_it(code):
    hidden = [
        ConnectorAnswer(403, "Forbidden", sub_code=code),
        ConnectorAnswer(403, sub_code=code),
        ConnectorAnswer(403, "ServiceError", message=f"It was refused: {code}."),
        ConnectorAnswer(403, message=f'{{"code": "{code}"}}'),
    ]

    assert {connector_error(403, answer).code for answer in hidden} == {code}


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("ServiceError", "Failure due to: ThreadNotFound."),
        ("ServiceError", "MsgApiThreadNotFoundException: Conversation not found."),
        ("BadArgument", "conversation not found"),
        ("conversationNotFound", ""),
    ],
)
def test_a_conversation_that_is_gone_is_written_in_several_ways(code, message):
    error = connector_error(404, ConnectorAnswer(404, code, message=message))

    assert isinstance(error, ConnectorError)
    assert error.remedy is Remedy.START_AGAIN


@pytest.mark.parametrize(
    ("status", "code", "message", "is_unknown"),
    [
        (404, "Anything", "", True),
        (400, "BadArgument", "not a known activity id", True),
        (400, "BadArgument", "Unknown activity id", True),
        (400, "ActivityNotFoundInConversation", "", True),
        (400, "BadSyntax", "Message does not exist in the thread.", True),
        (400, "BadArgument", "The activity was not found", True),
        (400, "BadArgument", "Failed to decrypt conversation id", False),
        (400, "BadSyntax", "Activity is not supported", False),
        (403, "Forbidden", "not a known activity id", False),
    ],
)
def test_what_says_that_an_activity_is_not_known(status, code, message, is_unknown):
    assert says_activity_is_unknown(ConnectorAnswer(status, code, message=message)) is is_unknown


def test_a_code_counts_more_than_a_sub_code_and_that_more_than_the_message():
    sub_code = ConnectorAnswer(
        403, sub_code="InvalidBotApiHost", message="BotNotInConversationRoster"
    )
    code = ConnectorAnswer(403, "BotDisabledByAdmin", sub_code="InvalidBotApiHost")

    assert connector_error(403, sub_code).code == "InvalidBotApiHost"
    assert connector_error(403, code).code == "BotDisabledByAdmin"


def test_an_answer_is_carried_on_without_the_connectors_own_text():
    answer = ConnectorAnswer(
        429, "Slow down", message="Hello Alex", correlation_id="abc", retry_after_seconds=0
    )

    error = connector_error(429, answer)

    assert (error.code, error.correlation_id, error.retry_after_seconds) == ("Slow down", "abc", 0)
    assert error.detail == "The Connector answered 429 Slow down"


def test_what_no_answer_tells_is_not_tried_again():
    error = failed_call("It came to nothing", "SomeCode", is_ambiguous=True)

    assert (error.status, error.code, error.on_queue) == (502, "SomeCode", FAIL)
    assert error.is_ambiguous
    assert error.was_attempt
    assert failed_call("x").code == "ConnectorError"


def test_what_a_channel_cannot_do_fails_as_a_refusal_of_ours():
    answer = ConnectorAnswer(
        405, "MethodNotAllowed", correlation_id="abc", retry_after_seconds=17.0
    )

    error = unsupported(answer, "ConversationNotSupported")

    assert (error.status, error.code, error.on_queue) == (422, "ConversationNotSupported", FAIL)
    assert (error.was_attempt, error.correlation_id) == (True, "abc")
    assert error.retry_after_seconds is None
