from http import HTTPStatus

import pytest

from shared.connector.errors import (
    TABLE,
    BlockedError,
    BotDisabledError,
    ConnectorAnswer,
    ConnectorBusyError,
    ConnectorError,
    ConnectorRedirectedError,
    ConnectorRejectedError,
    ConnectorThrottledError,
    ConnectorTimeoutError,
    ConnectorUnavailableError,
    ConversationNotFoundError,
    NoAnswer,
    NotInstalledError,
    WrongServiceUrlError,
    connector_error,
)
from shared.errors import BotCredentialError, OnQueue

# The table of the contract, once more, by hand: what was said, the code; then our error, what HTTP
# answers, what a queue does, whether it is ambiguous, whether it counts as an attempt.
CONTRACT = [
    (429, "Throttled", ConnectorThrottledError, 429, OnQueue.WAIT, False, False),
    (412, "PreconditionFailed", ConnectorBusyError, 503, OnQueue.COUNT, False, True),
    (502, "ServiceError", ConnectorUnavailableError, 502, OnQueue.COUNT, True, True),
    (503, None, ConnectorUnavailableError, 502, OnQueue.COUNT, False, True),
    (504, None, ConnectorTimeoutError, 504, OnQueue.COUNT, True, True),
    (NoAnswer.TIMED_OUT, None, ConnectorTimeoutError, 504, OnQueue.COUNT, True, True),
    (NoAnswer.CUT_OFF, None, ConnectorUnavailableError, 502, OnQueue.COUNT, True, True),
    (NoAnswer.UNREACHABLE, None, ConnectorUnavailableError, 502, OnQueue.COUNT, False, True),
    (404, "ConversationNotFound", ConversationNotFoundError, 404, OnQueue.START_AGAIN, False, True),
    (404, "ActivityNotFoundInConversation", ConnectorRejectedError, 404, OnQueue.FAIL, False, True),
    (404, None, ConnectorRejectedError, 404, OnQueue.FAIL, False, True),
    (
        403,
        "BotNotInConversationRoster",
        NotInstalledError,
        403,
        OnQueue.MARK_NOT_INSTALLED,
        False,
        True,
    ),
    (403, "ConversationBlockedByUser", BlockedError, 403, OnQueue.MARK_BLOCKED, False, True),
    (403, "MessageWritesBlocked", BlockedError, 403, OnQueue.MARK_BLOCKED, False, True),
    (403, "ForbiddenOperationException", BlockedError, 403, OnQueue.MARK_BLOCKED, False, True),
    (403, "BotDisabledByAdmin", BotDisabledError, 403, OnQueue.PAUSE, False, True),
    (403, "InvalidBotApiHost", WrongServiceUrlError, 403, OnQueue.CHANGE_HOST, False, True),
    (403, "NotEnoughPermissions", ConnectorRejectedError, 403, OnQueue.FAIL, False, True),
    (403, "BadArgument", ConnectorRejectedError, 403, OnQueue.FAIL, False, True),
    (403, None, ConnectorRejectedError, 403, OnQueue.FAIL, False, True),
    (400, "BadSyntax", ConnectorRejectedError, 400, OnQueue.FAIL, False, True),
    (400, "ConversationBlockedByUser", ConnectorRejectedError, 400, OnQueue.FAIL, False, True),
    (413, "MessageSizeTooBig", ConnectorRejectedError, 413, OnQueue.FAIL, False, True),
    (500, "ServiceError", ConnectorError, 502, OnQueue.FAIL, False, True),
    (405, None, ConnectorError, 502, OnQueue.FAIL, False, True),
    (409, "Conflict", ConnectorError, 502, OnQueue.FAIL, False, True),
    (418, None, ConnectorError, 502, OnQueue.FAIL, False, True),
    (302, "SomeCode", ConnectorRedirectedError, 502, OnQueue.FAIL, False, True),
]


@pytest.mark.parametrize(
    ("said", "code", "error", "http", "on_queue", "is_ambiguous", "counts"), CONTRACT
)
def test_the_table_is_that_of_the_contract(said, code, error, http, on_queue, is_ambiguous, counts):
    status = said if isinstance(said, int) else None

    raised = connector_error(said, ConnectorAnswer(status, code))

    assert type(raised) is error
    assert (raised.status, raised.on_queue) == (http, on_queue)
    assert (raised.is_ambiguous, raised.was_attempt) == (is_ambiguous, counts)
    assert raised.code == ((code if said != 302 else None) or error.code)


def test_every_row_of_the_table_is_in_the_contract():
    met = {
        id(row)
        for said, code, *_ in CONTRACT
        for row in TABLE
        if (said in row.said or not row.said) and (code in row.codes or not row.codes)
    }
    credential = [row for row in TABLE if row.error is BotCredentialError]

    assert {id(row) for row in TABLE} - met == {id(row) for row in credential}


def test_a_refused_token_is_the_deployments_fault():
    error = connector_error(401, ConnectorAnswer(401, "BotNotRegistered", correlation_id="abc"))

    assert type(error) is BotCredentialError
    assert (error.status, error.code) == (HTTPStatus.INTERNAL_SERVER_ERROR, "BotCredentialError")
    assert (error.on_queue, error.was_attempt) == (OnQueue.PAUSE_EVERYTHING, False)
    assert error.correlation_id == "abc"


CODED = [(row.said[0], code, row.error) for row in TABLE for code in row.codes]


@pytest.mark.parametrize(("status", "code", "error"), CODED)
def test_a_code_is_also_found_where_channels_hide_it(status, code, error):
    hidden = [
        ConnectorAnswer(status, "Forbidden", sub_code=code),
        ConnectorAnswer(status, sub_code=code),
        ConnectorAnswer(status, "ServiceError", message=f"It was refused: {code}."),
        ConnectorAnswer(status, message=f'{{"code": "{code}"}}'),
    ]

    for answer in hidden:
        raised = connector_error(status, answer)
        assert (type(raised), raised.code) == (error, code)


def test_the_code_counts_more_than_what_is_hidden():
    answer = ConnectorAnswer(
        403,
        "BotDisabledByAdmin",
        sub_code="MessageWritesBlocked",
        message="BotNotInConversationRoster",
    )

    assert type(connector_error(403, answer)) is BotDisabledError


def test_an_answer_is_carried_on():
    answer = ConnectorAnswer(429, "Slow down", correlation_id="abc", retry_after_seconds=7)

    error = connector_error(429, answer)

    assert isinstance(error, ConnectorError)
    assert error.answer is answer
    assert (error.code, error.correlation_id) == ("Slow down", "abc")
    assert error.retry_after_seconds == 7


def test_a_wait_of_nothing_is_a_wait_that_is_known():
    assert (
        connector_error(429, ConnectorAnswer(429, retry_after_seconds=0)).retry_after_seconds == 0
    )


def test_the_connectors_own_text_is_not_repeated():
    error = connector_error(400, ConnectorAnswer(400, "BadSyntax", message="Hello Alex"))

    assert "Alex" not in error.detail
    assert error.detail == "The Connector answered 400 BadSyntax"
