"""What the Connector can say instead of yes, and what becomes of a call then: one table.

Sources: "Error codes" and "Handle rate limits" in "Send proactive messages" of the Teams
documentation, and the Bot Connector API reference. The status decides first, then the code, then
the sub-code and the message, in which some channels hide the code, in words or as it is. A 403 of
no known code is not taken for "blocked": outages were seen to answer so.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from http import HTTPStatus

from shared.errors import AppError, BotCredentialError, OnQueue, TokenRefusedError


class NoAnswer(Enum):
    """How the Connector can give no answer at all."""

    TIMED_OUT = "did not answer in time"
    CUT_OFF = "closed the connection after the request was sent"
    UNREACHABLE = "could not be reached"


@dataclass(frozen=True)
class ConnectorAnswer:
    """What is known of an answer that was an error.

    ``message`` is the Connector's own text, kept for decisions only: it may repeat what was sent,
    so it goes into no log and no answer.
    """

    status: int | None = None
    code: str | None = None
    sub_code: str | None = None
    message: str = ""
    correlation_id: str | None = None
    retry_after_seconds: float | None = None


class Remedy(Enum):
    """What can be mended, or is to be noted, once the Connector has refused a message."""

    START_AGAIN = "the conversation is forgotten and started again, once"
    CHANGE_HOST = "the service URL of the government community cloud is used, once"
    MARK_NOT_INSTALLED = "the account is marked as not installed"
    MARK_BLOCKED = "the account is marked as blocked"
    MARK_DISABLED = "the account is marked as blocked, and probed every hour"


@dataclass(frozen=True)
class Row:
    """A row of the table: what the Connector said, and what becomes of the call.

    ``codes`` are the Connector's codes that the row is for; where there are none, it is for any
    other code. ``code`` is what we answer when the Connector gave none. ``http`` is what an HTTP
    caller is answered, None for the Connector's own status. ``is_ambiguous`` tells that the call
    may have been done all the same.
    """

    said: tuple[int | NoAnswer, ...]
    codes: tuple[str, ...]
    code: str
    http: HTTPStatus | None
    on_queue: OnQueue
    remedy: Remedy | None = None
    is_ambiguous: bool = False
    http_retry_after_seconds: float | None = None


class ConnectorError(AppError):
    """The Connector answered with an error, or not at all.

    ``code`` is the Connector's own if it gave one, ``remedy`` what the refusal teaches.
    """

    def __init__(self, detail: str, code: str | None, row: Row, answer: ConnectorAnswer) -> None:
        super().__init__(detail)
        self.answer = answer
        self.code = code or row.code
        self.status = row.http or HTTPStatus(answer.status or HTTPStatus.BAD_GATEWAY)
        self.on_queue = row.on_queue
        self.remedy = row.remedy
        self.is_ambiguous = row.is_ambiguous
        self.correlation_id = answer.correlation_id
        self.retry_after_seconds = answer.retry_after_seconds
        self.http_retry_after_seconds = row.http_retry_after_seconds
        self.was_attempt = not self.is_throttling

    @property
    def is_throttling(self) -> bool:
        """Whether the Connector wants fewer calls."""
        return self.answer.status == HTTPStatus.TOO_MANY_REQUESTS


_BLOCKED = ("ConversationBlockedByUser", "MessageWritesBlocked", "ForbiddenOperationException")
_ROSTER = "BotNotInConversationRoster"
# https://github.com/microsoft/botframework-sdk/issues/3062 has the second one.
_GONE = ("ConversationNotFound", "ThreadNotFound")
_429, _502 = HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.BAD_GATEWAY
_503, _504 = HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT
_SAME = None
_FAIL, _RETRY, _WAIT = OnQueue.FAIL, OnQueue.RETRY, OnQueue.WAIT
_REDIRECTS = tuple(range(300, 400))

# 401 has no row: it is the credential that fails, not the message. The last row is for all the
# rest, 500 too: the documentation forbids to try it again.
# fmt: off
TABLE: tuple[Row, ...] = (
    # said, codes, our code, HTTP, queue, remedy, is ambiguous, Retry-After over HTTP
    Row((429,), (), "Throttled", _429, _WAIT, None, False, 10),
    Row((412,), (), "PreconditionFailed", _503, _RETRY, None, False, 1),
    Row((502, NoAnswer.CUT_OFF), (), "ConnectorUnavailable", _502, _RETRY, None, True, 5),
    Row((503, NoAnswer.UNREACHABLE), (), "ConnectorUnavailable", _502, _RETRY, None, False, 5),
    Row((504, NoAnswer.TIMED_OUT), (), "ConnectorTimeout", _504, _RETRY, None, True, 5),
    Row((404,), _GONE, "", _SAME, _FAIL, Remedy.START_AGAIN),
    Row((403,), (_ROSTER,), "", _SAME, _FAIL, Remedy.MARK_NOT_INSTALLED),
    Row((403,), _BLOCKED, "", _SAME, _FAIL, Remedy.MARK_BLOCKED),
    Row((403,), ("BotDisabledByAdmin",), "", _SAME, _FAIL, Remedy.MARK_DISABLED),
    Row((403,), ("InvalidBotApiHost",), "", _SAME, _FAIL, Remedy.CHANGE_HOST),
    Row((403,), ("NotEnoughPermissions",), "", _SAME, _FAIL),
    Row((400, 403, 404, 413), (), "ConnectorRejected", _SAME, _FAIL),
    Row(_REDIRECTS, (), "ConnectorRedirected", _502, _FAIL),
    Row((), (), "ConnectorError", _502, _FAIL),
)
# fmt: on
_OTHERWISE = TABLE[-1]

# As in "not a known activity id" (https://github.com/MicrosoftDocs/msteams-docs/issues/399),
# "Message does not exist in the thread." and ActivityNotFoundInConversation.
_UNKNOWN_ACTIVITY = re.compile(
    r"(not a known|unknown) (activity|message)"
    r"|(activity|message)( id)?( (is|was|does|could))? ?not( be)? ?(found|known|exist)",
    re.IGNORECASE,
)


def connector_error(
    said: int | NoAnswer, answer: ConnectorAnswer | None = None
) -> ConnectorError | BotCredentialError:
    """Return the error that an answer, or its absence, is by the table."""
    if answer is None:
        answer = ConnectorAnswer(said if isinstance(said, int) else None)
    if said == HTTPStatus.UNAUTHORIZED:
        refused = TokenRefusedError()
        refused.correlation_id = answer.correlation_id
        return refused
    row, known_code = _row(said, answer)
    code = known_code or answer.code or answer.sub_code
    what = said.value if isinstance(said, NoAnswer) else f"answered {said}"
    if said in _REDIRECTS:
        # Who answered was not the Connector.
        code, what = None, f"{what}: a redirect, which is not followed"
    detail = f"The Connector {what} {code}" if code else f"The Connector {what}"
    return ConnectorError(detail, code, row, answer)


def says_activity_is_unknown(answer: ConnectorAnswer) -> bool:
    """Tell whether an answer to an edit or a recall says that there is no such activity."""
    if answer.status == HTTPStatus.BAD_REQUEST:
        said = f"{answer.code} {answer.sub_code} {answer.message}"
        return _UNKNOWN_ACTIVITY.search(said) is not None
    return answer.status == HTTPStatus.NOT_FOUND


def failed_call(
    detail: str, code: str | None = None, *, is_ambiguous: bool = False
) -> ConnectorError:
    """Return the error of a call that came to nothing for a reason that no answer tells."""
    row = replace(_OTHERWISE, is_ambiguous=is_ambiguous)
    return ConnectorError(detail, code, row, ConnectorAnswer())


def unsupported(answer: ConnectorAnswer, code: str) -> ConnectorError:
    """Return the error of an operation that the channel does not have, with our ``code``."""
    row = replace(_OTHERWISE, http=HTTPStatus.UNPROCESSABLE_ENTITY)
    answer = replace(answer, retry_after_seconds=None)
    return ConnectorError("The channel answered that it cannot do this", code, row, answer)


def _row(said: int | NoAnswer, answer: ConnectorAnswer) -> tuple[Row, str | None]:
    """Return the row for an answer, and the code of it that the answer names, if it names one."""
    rows = [row for row in TABLE if said in row.said or not row.said]
    known_codes = [(row, code) for row in rows for code in row.codes]
    for evidence in _evidence(answer):
        for row, code in known_codes:
            if _plain(code) in evidence:
                return row, code
    return next(row for row in rows if not row.codes), None


def _evidence(answer: ConnectorAnswer) -> Iterable[tuple[str, ...] | str]:
    yield (_plain(answer.code or ""),)
    yield (_plain(answer.sub_code or ""),)
    yield _plain(answer.message)


def _plain(text: str) -> str:
    """Return a text without case and spacing: "Conversation not found." is a code in words."""
    return re.sub(r"[\W_]+", "", text).casefold()
