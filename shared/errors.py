"""Everything that can go wrong, with the HTTP answer and what a queue does about it.

    AppError
      InvalidRequestError              400  InvalidRequest, field by field
        RequestTooLargeError           413
        UntrustedServiceUrlError       400
      UnauthorizedCallerError          401  the messaging endpoint's caller is not the Connector
      ForbiddenActivityError           403  its token is not good for this activity
      KeysUnavailableError             503  the Connector's keys cannot be read
      UnknownAccountError              404
      UnknownConversationError         404
        ConversationNotStartedError
      AmbiguousConversationError       409
      SuppressedError                  403  not sent, as the person wants it
      AccountChangedError              412
      ConversationNotSupportedError    422  GroupConversationNotSupportedError likewise
      ConversationStartingError        409  again soon
      InvalidSettingError              500  the deployment's fault
      BotCredentialError               500  the deployment's fault; again later
      StorageUnavailableError          503  the host tries again
      StorageRefusedError              500
      ConnectorError                   502  other answers of the Connector
        ConnectorRejectedError         the Connector's own 400, 403, 404 or 413
        ConnectorRedirectedError       502
        ConnectorThrottledError        429  again after Retry-After
        ConnectorBusyError             503  again (412: another operation on the conversation)
        ConnectorUnavailableError      502  again (502, 503, no connection)
        ConnectorTimeoutError          504  again (504, no answer in time)

``on_queue`` on the class says what a queue does with a message that met the error. The texts hold
no message, token or key: they go into answers and logs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus


class OnQueue(Enum):
    """What a queue does with a message that met an error."""

    FAIL = "to the poison queue, with the reason"
    COUNT = "back, a limited number of times"
    WAIT = "back, for as long as the message lives"
    DROP = "done with: it shall not be sent"
    HOST = "left to the Functions host, which tries again by its own rule"


@dataclass(frozen=True)
class FieldError:
    """One field of a request that is wrong, and what it should be."""

    field: str
    message: str


class AppError(Exception):
    """What every error of ours carries to the caller, or into the poison queue.

    ``retry_after_seconds`` is how long to wait before the next try, where that is known;
    ``http_retry_after_seconds`` is what an HTTP caller is told where it is not. ``was_attempt``
    tells whether the Connector was called and that counts.
    """

    status: HTTPStatus = HTTPStatus.INTERNAL_SERVER_ERROR
    code: str = "InternalError"
    on_queue: OnQueue = OnQueue.FAIL
    was_attempt: bool = False
    retry_after_seconds: float | None = None
    http_retry_after_seconds: float | None = None
    field_errors: Sequence[FieldError] = ()
    correlation_id: str | None = None

    @property
    def detail(self) -> str:
        """What happened and what to do about it, in plain words."""
        return str(self)


class InvalidRequestError(AppError):
    """The request is wrong, and would be wrong again."""

    status = HTTPStatus.BAD_REQUEST
    code = "InvalidRequest"

    def __init__(self, *field_errors: FieldError) -> None:
        """Take one error for each field that is wrong."""
        super().__init__("; ".join(f"{each.field}: {each.message}" for each in field_errors))
        self.field_errors = field_errors


class RequestTooLargeError(InvalidRequestError):
    """The request is larger than the channel, or we, can take."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class UntrustedServiceUrlError(InvalidRequestError):
    """The service URL is not one that may get the bot's token."""

    code = "UntrustedServiceUrl"


class UnauthorizedCallerError(AppError):
    """Whoever called the messaging endpoint is not the Connector; the log says why not."""

    status = HTTPStatus.UNAUTHORIZED
    code = "Unauthorized"

    def __init__(self) -> None:
        """Say nothing of the check that failed: it would help only an attacker."""
        super().__init__("The call was not authenticated as the Bot Connector's")


class ForbiddenActivityError(AppError):
    """The Connector called, but its token is not good for this activity; the log says why not."""

    status = HTTPStatus.FORBIDDEN
    code = "Forbidden"

    def __init__(self) -> None:
        """Say nothing of the check that failed: it would help only an attacker."""
        super().__init__("The token is not good for this activity")


class KeysUnavailableError(AppError):
    """The Connector's signing keys are not known and cannot be read right now."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "SigningKeysUnavailable"
    http_retry_after_seconds = 30.0


class UnknownAccountError(AppError):
    """No account is cached for this user of this channel."""

    status = HTTPStatus.NOT_FOUND
    code = "UnknownAccount"


class UnknownConversationError(AppError):
    """No conversation with this id is cached."""

    status = HTTPStatus.NOT_FOUND
    code = "UnknownConversation"


class ConversationNotStartedError(UnknownConversationError):
    """The bot has no conversation with this person yet."""


class AmbiguousConversationError(AppError):
    """Two channels have a conversation with this id, and none was named."""

    status = HTTPStatus.CONFLICT
    code = "AmbiguousConversation"


class SuppressedError(AppError):
    """The person does not want this message, or cannot be reached; it is not sent."""

    status = HTTPStatus.FORBIDDEN
    code = "Suppressed"
    on_queue = OnQueue.DROP


class AccountChangedError(AppError):
    """The account is not, or no longer, the one that If-Match names."""

    status = HTTPStatus.PRECONDITION_FAILED
    code = "AccountChanged"


class ConversationNotSupportedError(AppError):
    """The channel does not let bots start conversations."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "ConversationNotSupported"


class GroupConversationNotSupportedError(AppError):
    """The channel does not let bots start group conversations."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "GroupConversationNotSupported"


class ConversationStartingError(AppError):
    """Somebody else is starting this very conversation."""

    status = HTTPStatus.CONFLICT
    code = "ConversationStarting"
    on_queue = OnQueue.WAIT
    retry_after_seconds = 1.0


class InvalidSettingError(AppError):
    """A setting is missing or wrong; the deployment must be mended, not the message."""

    code = "InvalidSetting"
    on_queue = OnQueue.HOST

    def __init__(self, setting: str, expected: str) -> None:
        """Name the setting and say what it should be; never its value."""
        super().__init__(f"Setting {setting}: {expected}")
        self.setting = setting


class BotCredentialError(AppError):
    """The bot got no token, or the Connector did not accept it; the log says why."""

    code = "BotCredentialError"
    on_queue = OnQueue.WAIT

    def __init__(self) -> None:
        """Say only that it failed: the reason is for the log, not for the caller."""
        super().__init__("The bot's own credential failed. The reason is in the app's log.")


class StorageUnavailableError(AppError):
    """Table or Queue storage did not answer, or refused."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "StorageUnavailable"
    on_queue = OnQueue.HOST
    http_retry_after_seconds = 5.0


@dataclass(frozen=True)
class ConnectorAnswer:
    """What is known of an answer that was an error.

    ``message`` is the Connector's own text, kept for decisions only: it may repeat what was sent,
    so it goes into no log and no answer.
    """

    status: int | None = None
    code: str | None = None
    message: str = ""
    correlation_id: str | None = None
    retry_after_seconds: float | None = None


class StorageRefusedError(AppError):
    """Table or Queue storage cannot take what it was given, and never will."""

    code = "StorageRefused"


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

    def __init__(self, detail: str, answer: ConnectorAnswer) -> None:
        """Take what happened in our words, and the answer, whose status is passed on."""
        super().__init__(detail, answer)
        self.status = HTTPStatus(answer.status or HTTPStatus.BAD_GATEWAY)


class ConnectorRedirectedError(ConnectorError):
    """The Connector sent us elsewhere, where the bot's token does not go."""

    code = "ConnectorRedirected"


class ConnectorThrottledError(ConnectorError):
    """The Connector wants fewer requests."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "Throttled"
    on_queue = OnQueue.WAIT
    was_attempt = False
    http_retry_after_seconds = 10.0


class ConnectorBusyError(ConnectorError):
    """Another operation on the conversation was under way."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "PreconditionFailed"
    on_queue = OnQueue.COUNT
    http_retry_after_seconds = 1.0


class ConnectorUnavailableError(ConnectorError):
    """The Connector could not be reached, or failed for a moment."""

    code = "ConnectorUnavailable"
    on_queue = OnQueue.COUNT
    http_retry_after_seconds = 5.0


class ConnectorTimeoutError(ConnectorError):
    """The Connector did not answer in time; it may have done what was asked."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    code = "ConnectorTimeout"
    on_queue = OnQueue.COUNT
    http_retry_after_seconds = 5.0
