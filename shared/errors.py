"""Everything that can go wrong, with the HTTP answer and what a queue does about it.

``on_queue`` of a class says what a queue does with a message that met the error. The texts hold no
message, token or key: they go into answers and logs. What the Connector answers instead of yes is
in ``shared.connector.errors``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus

_LONGEST_DETAIL = 2000
_LONGEST_PART = 1000
MOST_FIELD_ERRORS = 100


class OnQueue(Enum):
    """What a queue does with a message that met an error."""

    FAIL = "fails: to the poison queue, with the reason"
    RETRY = "back, for six calls at most"
    WAIT = "back, for as long as the message lives"
    DROP = "done with: it is not sent"
    DONE = "done with: it was done before"
    LEAVE_TO_HOST = "left to the Functions host, which tries again by its own rule"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]} …"


@dataclass(frozen=True)
class FieldError:
    """One field of a request that is wrong, and what it should be; short enough to be answered."""

    field: str
    message: str

    def __post_init__(self) -> None:
        """Cut both: the name of a field may be as long as the request."""
        object.__setattr__(self, "field", _cut(self.field, _LONGEST_PART))
        object.__setattr__(self, "message", _cut(self.message, _LONGEST_PART))


class AppError(Exception):
    """What every error of ours carries to the caller, or into the poison queue.

    ``retry_after_seconds`` is how long to wait before the next try, where that is known;
    ``http_retry_after_seconds`` is what an HTTP caller is told where it is not. ``was_attempt``
    tells whether the Connector was called and that counts, ``is_ambiguous`` whether what was asked
    for may have been done all the same, ``is_technical`` that the fault is ours, not the message's.
    """

    status: HTTPStatus = HTTPStatus.INTERNAL_SERVER_ERROR
    code: str = "InternalError"
    on_queue: OnQueue = OnQueue.FAIL
    was_attempt: bool = False
    is_ambiguous: bool = False
    is_technical: bool = False
    retry_after_seconds: float | None = None
    http_retry_after_seconds: float | None = None
    field_errors: Sequence[FieldError] = ()
    correlation_id: str | None = None

    def __init_subclass__(
        cls, *, status: int | None = None, code: str | None = None, on_queue: OnQueue | None = None
    ) -> None:
        """Take what a kind of error is answered with; the rest is that of its parent."""
        super().__init_subclass__()
        cls.status = HTTPStatus(status or cls.status)
        cls.code = code or cls.code
        cls.on_queue = on_queue or cls.on_queue

    @property
    def detail(self) -> str:
        """What happened and what to do about it, in plain words; short enough to be kept."""
        text = _cut(str(self), _LONGEST_DETAIL)
        # The name of a field may hold half of a surrogate pair, which has no UTF-8.
        return text.encode("utf-8", "backslashreplace").decode()


class InvalidRequestError(AppError, status=400, code="InvalidRequest"):
    """The request is wrong, and would be wrong again."""

    def __init__(self, *field_errors: FieldError) -> None:
        """Take one error for each field that is wrong; of very many, the first are told."""
        if len(field_errors) > MOST_FIELD_ERRORS:
            more = FieldError("(body)", "has more errors")
            field_errors = (*field_errors[: MOST_FIELD_ERRORS - 1], more)
        super().__init__("; ".join(f"{each.field}: {each.message}" for each in field_errors))
        self.field_errors = field_errors


class RequestTooLargeError(InvalidRequestError, status=413):
    """The request is larger than the channel, or we, can take."""


class UntrustedServiceUrlError(InvalidRequestError, code="UntrustedServiceUrl"):
    """The service URL is not one that may get the bot's token."""


class UnauthorizedCallerError(AppError, status=401, code="Unauthorized"):
    """The caller of the messaging endpoint is not the Connector; the log says why."""

    def __init__(self) -> None:
        """Say nothing of the check that failed: it would help only an attacker."""
        super().__init__("The call was not authenticated as the Bot Connector's")


class ForbiddenActivityError(AppError, status=403, code="Forbidden"):
    """The Connector called, but its token is not good for this activity; the log says why not."""

    def __init__(self) -> None:
        """Say nothing of the check that failed: it would help only an attacker."""
        super().__init__("The token is not good for this activity")


class UnknownSenderError(AppError, status=404, code="UnknownSender"):
    """No sender of events has this name, or none that is served here."""


class InvalidSignatureError(AppError, status=401, code="InvalidSignature"):
    """An event is not signed with a secret of its sender."""

    def __init__(self) -> None:
        """Say nothing of the check that failed: it would help only an attacker."""
        super().__init__("The request is not signed with a secret that its sender has here")


class KeysUnavailableError(AppError, status=503, code="SigningKeysUnavailable"):
    """The Connector's signing keys are not known and cannot be read right now."""

    http_retry_after_seconds = 30.0


class UnknownAccountError(AppError, status=404, code="UnknownAccount"):
    """No account is cached for this user of this channel."""


class UnknownConversationError(AppError, status=404, code="UnknownConversation"):
    """No conversation with this id is cached."""


class ConversationNotStartedError(UnknownConversationError):
    """The bot has no conversation with this person yet."""


class AmbiguousConversationError(AppError, status=409, code="AmbiguousConversation"):
    """Two channels have a conversation with this id, and none was named."""


class UnknownAlertError(AppError, status=404, code="UnknownAlert"):
    """There is no alert of this id, or no more."""


class AlertExistsError(AppError, status=409, code="AlertExists"):
    """An alert of this id says something else."""


class AlertOverError(AppError, status=409, code="AlertOver"):
    """The alert was cancelled or recalled, so what is asked for is of no use any more."""


class CancelledError(AppError, status=409, code="Cancelled", on_queue=OnQueue.DROP):
    """The alert that a message belongs to was cancelled, or recalled, before it was sent."""


class SuppressedError(AppError, status=403, code="Suppressed", on_queue=OnQueue.DROP):
    """The person does not want this message, or cannot be reached; it is not sent."""


class ExpiredError(AppError, status=410, code="Expired", on_queue=OnQueue.DROP):
    """The message's time was over before it could be sent."""


class AccountChangedError(AppError, status=412, code="AccountChanged"):
    """The account is not, or no longer, the one that If-Match names."""


class ConversationNotSupportedError(AppError, status=422, code="ConversationNotSupported"):
    """The channel does not let bots start conversations."""


class TargetedActivityNotSupportedError(AppError, status=422, code="TargetedActivityNotSupported"):
    """The conversation cannot show an activity to one of its members alone."""


class GroupConversationNotSupportedError(
    AppError, status=422, code="GroupConversationNotSupported"
):
    """The channel does not let bots start group conversations."""


class ConversationStartingError(
    AppError, status=409, code="ConversationStarting", on_queue=OnQueue.WAIT
):
    """Somebody else is starting this very conversation."""

    retry_after_seconds = 1.0


class HeldBackError(AppError, status=429, code="Throttled", on_queue=OnQueue.WAIT):
    """The call is not made now: the Connector would be called too often, or would refuse it."""

    def __init__(self, reason: str, retry_after_seconds: float) -> None:
        """Take the reason in plain words, without ids, and when to try again."""
        super().__init__(f"Held back: {reason}")
        self.retry_after_seconds = retry_after_seconds


class IdempotencyKeyInUseError(AppError, status=409, code="IdempotencyKeyInUse"):
    """The first request with this Idempotency-Key is still under way."""

    retry_after_seconds = 2.0

    def __init__(self) -> None:
        """Say what to do; the key stays unnamed."""
        super().__init__(
            "The first request with this Idempotency-Key is still under way; ask again in a moment"
        )


class IdempotencyKeyReusedError(AppError, status=422, code="IdempotencyKeyReused"):
    """The Idempotency-Key came with another request before."""

    def __init__(self) -> None:
        """Say what to do; the key stays unnamed."""
        super().__init__(
            "This Idempotency-Key came with another request before; each request needs its own"
        )


class ReplayedError(AppError):
    """The error that was the first answer to an Idempotency-Key, once more."""

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        detail: str,
        field_errors: Sequence[FieldError],
        correlation_id: str | None,
    ) -> None:
        """Take what the first error carried to the caller."""
        super().__init__(detail)
        self.status = status
        self.code = code
        self.field_errors = field_errors
        self.correlation_id = correlation_id


class InvalidSettingError(AppError, code="InvalidSetting", on_queue=OnQueue.LEAVE_TO_HOST):
    """A setting is missing or wrong; the deployment must be mended, not the message."""

    is_technical = True

    def __init__(self, setting: str, expected: str) -> None:
        """Name the setting and say what it should be; never its value."""
        super().__init__(f"Setting {setting}: {expected}")
        self.setting = setting


class BotCredentialError(AppError, code="BotCredentialError", on_queue=OnQueue.WAIT):
    """The bot gets no token, or the Connector did not accept it; the log says why."""

    def __init__(self) -> None:
        """Say only that it failed: the reason is for the log, not for the caller."""
        super().__init__("The bot's own credential failed. The reason is in the app's log.")


class TokenRefusedError(BotCredentialError):
    """The Connector answered 401: it did not accept the bot's token, at least not for this."""


class StorageUnavailableError(
    AppError, status=503, code="StorageUnavailable", on_queue=OnQueue.LEAVE_TO_HOST
):
    """Table or Queue storage did not answer, or refused."""

    is_technical = True
    http_retry_after_seconds = 5.0


class StorageRefusedError(AppError, code="StorageRefused"):
    """Table or Queue storage cannot take what it was given, and never will."""

    is_technical = True


class UnexpectedError(AppError, code="InternalError"):
    """Something failed that should not, and the log has it; or the host has tried often enough."""

    is_technical = True

    def __init__(self) -> None:
        """Say nothing of what it was: it may hold anything."""
        super().__init__("The app itself failed; the reason is in its log")


class AlreadyDoneError(AppError, status=409, code="AlreadyDone", on_queue=OnQueue.DONE):
    """A delivery of this id was done before, or has failed before and was not put back."""


class DeliveryUnderWayError(AppError, status=409, code="DeliveryUnderWay", on_queue=OnQueue.WAIT):
    """Somebody else is making the call for the delivery of this id right now."""

    retry_after_seconds = 1.0


class OutcomeUnknownError(AppError, status=504, code="OutcomeUnknown", on_queue=OnQueue.RETRY):
    """A process died in the middle of the call, so nobody knows whether it was made."""

    is_ambiguous = True


class IdInUseError(InvalidRequestError):
    """The id of a message is that of another kind of message, which has its own record."""

    def __init__(self) -> None:
        """Say what is wrong with the id."""
        super().__init__(FieldError("id", "is that of another message, on another queue"))


class MessageGoneError(AppError, status=410, code="MessageGone"):
    """A message was so large that it was kept aside, and is not kept any more."""


class UnknownDeliveryError(AppError, status=404, code="UnknownDelivery"):
    """There is no delivery of this id, or no more."""


class ForgottenRecipientError(
    UnknownDeliveryError, status=410, code="ForgottenRecipient", on_queue=OnQueue.DROP
):
    """The recipient was forgotten meanwhile, and what was kept of the message with them."""


class DeliveryNotRetriableError(AppError, status=409, code="DeliveryNotRetriable"):
    """The delivery has not failed, so there is nothing to retry."""
