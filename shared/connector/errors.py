"""What the Connector can say instead of yes, and what becomes of a call then: one table.

Sources: "Error codes" and "Handle rate limits" in "Send proactive messages" of the Teams
documentation, and the Bot Connector API reference. The status decides first, then the code, then
the sub-code and the message, in which some channels hide the code. A 403 of no known code is not
taken for "blocked": outages were seen to answer so.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus

from shared.errors import AppError, BotCredentialError, OnQueue


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


class ConnectorError(AppError):
    """The Connector answered with an error, or not at all; ``code`` is its own if it gave one."""

    status = HTTPStatus.BAD_GATEWAY
    code = "ConnectorError"
    was_attempt = True

    def __init__(self, detail: str, answer: ConnectorAnswer | None = None) -> None:
        """Take what happened in our words, and what is known of the answer."""
        super().__init__(detail)
        self.answer = answer or ConnectorAnswer()
        self.code = self.answer.code or type(self).code
        self.correlation_id = self.answer.correlation_id
        if self.answer.retry_after_seconds is not None:
            self.retry_after_seconds = self.answer.retry_after_seconds


class ConnectorRejectedError(ConnectorError):
    """The Connector refused this request, and would again; its status is passed on."""

    code = "ConnectorRejected"


class ConversationNotFoundError(ConnectorRejectedError):
    """The Connector knows no such conversation, or no more."""

    code = "ConversationNotFound"


class NotInstalledError(ConnectorRejectedError):
    """The bot is no member of the conversation: it was not installed there, or is no more."""

    code = "BotNotInConversationRoster"


class BlockedError(ConnectorRejectedError):
    """The person has blocked the bot, or cannot be reached by it."""

    code = "ConversationBlockedByUser"


class BotDisabledError(ConnectorRejectedError):
    """An administrator has disabled the bot."""

    code = "BotDisabledByAdmin"


class WrongServiceUrlError(ConnectorRejectedError):
    """The tenant is in the government community cloud, which has a service URL of its own."""

    code = "InvalidBotApiHost"


class ConnectorRedirectedError(ConnectorError):
    """The Connector sent us elsewhere, where the bot's token does not go."""

    code = "ConnectorRedirected"


class ConnectorThrottledError(ConnectorError):
    """The Connector wants fewer requests."""

    code = "Throttled"
    was_attempt = False
    http_retry_after_seconds = 10.0


class ConnectorBusyError(ConnectorError):
    """Another operation on the conversation was under way."""

    code = "PreconditionFailed"
    http_retry_after_seconds = 1.0


class ConnectorUnavailableError(ConnectorError):
    """The Connector could not be reached, or failed for a moment."""

    code = "ConnectorUnavailable"
    http_retry_after_seconds = 5.0


class ConnectorTimeoutError(ConnectorError):
    """The Connector did not answer in time."""

    code = "ConnectorTimeout"
    http_retry_after_seconds = 5.0


@dataclass(frozen=True)
class Row:
    """A row of the table: what the Connector said, and what becomes of the call.

    ``codes`` are those that the row is for, all others where there are none. ``http`` is what an
    HTTP caller is answered, None for the Connector's own status. ``is_ambiguous`` tells that what
    was asked for may have been done all the same.
    """

    said: tuple[int | NoAnswer, ...]
    codes: tuple[str, ...]
    error: type[ConnectorError] | type[BotCredentialError]
    http: HTTPStatus | None
    on_queue: OnQueue
    is_ambiguous: bool = False


_AS_IT_IS = None
_BLOCKED = ("ConversationBlockedByUser", "MessageWritesBlocked", "ForbiddenOperationException")

TABLE: tuple[Row, ...] = (
    Row((429,), (), ConnectorThrottledError, HTTPStatus.TOO_MANY_REQUESTS, OnQueue.WAIT),
    Row((412,), (), ConnectorBusyError, HTTPStatus.SERVICE_UNAVAILABLE, OnQueue.COUNT),
    Row((502,), (), ConnectorUnavailableError, HTTPStatus.BAD_GATEWAY, OnQueue.COUNT, True),
    Row((503,), (), ConnectorUnavailableError, HTTPStatus.BAD_GATEWAY, OnQueue.COUNT),
    Row((504,), (), ConnectorTimeoutError, HTTPStatus.GATEWAY_TIMEOUT, OnQueue.COUNT, True),
    Row(
        (NoAnswer.TIMED_OUT,),
        (),
        ConnectorTimeoutError,
        HTTPStatus.GATEWAY_TIMEOUT,
        OnQueue.COUNT,
        True,
    ),
    Row(
        (NoAnswer.CUT_OFF,),
        (),
        ConnectorUnavailableError,
        HTTPStatus.BAD_GATEWAY,
        OnQueue.COUNT,
        True,
    ),
    Row(
        (NoAnswer.UNREACHABLE,),
        (),
        ConnectorUnavailableError,
        HTTPStatus.BAD_GATEWAY,
        OnQueue.COUNT,
    ),
    Row(
        (404,),
        ("ConversationNotFound",),
        ConversationNotFoundError,
        _AS_IT_IS,
        OnQueue.START_AGAIN,
    ),
    Row(
        (403,),
        ("BotNotInConversationRoster",),
        NotInstalledError,
        _AS_IT_IS,
        OnQueue.MARK_NOT_INSTALLED,
    ),
    Row((403,), _BLOCKED, BlockedError, _AS_IT_IS, OnQueue.MARK_BLOCKED),
    Row((403,), ("BotDisabledByAdmin",), BotDisabledError, _AS_IT_IS, OnQueue.PAUSE),
    Row((403,), ("InvalidBotApiHost",), WrongServiceUrlError, _AS_IT_IS, OnQueue.CHANGE_HOST),
    Row((403,), ("NotEnoughPermissions",), ConnectorRejectedError, _AS_IT_IS, OnQueue.FAIL),
    Row((400, 403, 404, 413), (), ConnectorRejectedError, _AS_IT_IS, OnQueue.FAIL),
    Row((401,), (), BotCredentialError, HTTPStatus.INTERNAL_SERVER_ERROR, OnQueue.PAUSE_EVERYTHING),
    Row(tuple(range(300, 400)), (), ConnectorRedirectedError, HTTPStatus.BAD_GATEWAY, OnQueue.FAIL),
    # 500 too: the documentation forbids to try it again.
    Row((), (), ConnectorError, HTTPStatus.BAD_GATEWAY, OnQueue.FAIL),
)


def unsupported(error: ConnectorError, channel_id: str, refusal: type[AppError]) -> AppError:
    """Return an error as this refusal where the channel has no such operation, else as it is."""
    # "Web Chat does not support" it.
    if error.answer.status not in (HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED):
        return error
    refused = refusal(f"Channel {channel_id} answered that it cannot do this")
    refused.was_attempt = True
    refused.correlation_id = error.correlation_id
    return refused


def connector_error(
    said: int | NoAnswer, answer: ConnectorAnswer | None = None
) -> ConnectorError | BotCredentialError:
    """Return the error that an answer, or its absence, is by the table."""
    answer = answer or ConnectorAnswer()
    row, known_code = _row(said, answer)
    if issubclass(row.error, BotCredentialError):
        refused = row.error()
        refused.correlation_id = answer.correlation_id
        return refused
    code = known_code or answer.code or answer.sub_code
    what = said.value if isinstance(said, NoAnswer) else f"answered {said}"
    redirect = ""
    if row.error is ConnectorRedirectedError:
        # Whoever answered, it was not the Connector.
        code, redirect = None, ": a redirect, which is not followed"
    error = row.error(f"The Connector {what}" + (f" {code}" if code else "") + redirect, answer)
    error.code = code or row.error.code
    error.on_queue = row.on_queue
    error.is_ambiguous = row.is_ambiguous
    error.status = row.http or HTTPStatus(answer.status or HTTPStatus.BAD_GATEWAY)
    return error


def _row(said: int | NoAnswer, answer: ConnectorAnswer) -> tuple[Row, str | None]:
    """Return the row for an answer, and the code of it that the answer names, if it names one."""
    rows = [row for row in TABLE if said in row.said or not row.said]
    known_codes = [(row, code) for row in rows for code in row.codes]
    for evidence in _evidence(answer):
        for row, code in known_codes:
            if code in evidence:
                return row, code
    return next(row for row in rows if not row.codes), None


def _evidence(answer: ConnectorAnswer) -> Iterable[tuple[str, ...] | str]:
    yield (answer.code or "",)
    yield (answer.sub_code or "",)
    yield answer.message
