"""The way of a message from a queue: accepted, tried, back with a delay, done or failed.

Whatever happens, a message that was accepted ends as done, or as failed with the reason beside it:
in its record, and in the poison queue. What the functions do not understand (a bug, storage that is
down) is left to the Functions host, which tries again by host.json, until its last try.
"""

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import azure.functions as func

from shared import json_text
from shared.deliveries.delivery import Delivery, Status
from shared.deliveries.failures import Failure
from shared.deliveries.rows import place_in_alert
from shared.deliveries.store import MOST_ATTEMPTS
from shared.errors import (
    AppError,
    CancelledError,
    ExpiredError,
    FieldError,
    InvalidRequestError,
    OnQueue,
    OutcomeUnknownError,
    UnexpectedError,
)
from shared.messages.envelope import (
    BODY,
    CACHE_ACCOUNT,
    ENVELOPE,
    START_CONVERSATION,
    Envelope,
    Handled,
    QueuedMessage,
    StartFirst,
    whole_message,
)
from shared.sending.alert_follow_up import recount
from shared.sending.telemetry import Outcome, outcome_of, report
from shared.wire_models import parse
from shared.wiring import Services, services

_logger = logging.getLogger(__name__)

_LONGEST_LIFE = timedelta(hours=24)
_FIRST_BACKOFF_SECONDS = 2.0
_LONGEST_BACKOFF_SECONDS = 300.0


LAST_TRY = 25
"""After so many tries the Functions host gives up: ``maxDequeueCount`` of host.json."""


Handle = Callable[[QueuedMessage], Handled]
Jitter = Callable[[float, float], float]


@dataclass(frozen=True)
class Taken:
    """What the Functions host hands over: the text of a message, and what is known of it."""

    queue: str
    text: str
    message_id: str
    inserted_at: datetime | None = None
    is_last_try: bool = False
    traceparent: str | None = None


def queue_function(
    queue: str,
) -> Callable[[Handle], Callable[[func.QueueMessage, func.Context], None]]:
    """Have a handler called with each message of a queue, and settle what it returns or raises."""

    def decorate(handle: Handle) -> Callable[[func.QueueMessage, func.Context], None]:
        def run(message: func.QueueMessage, context: func.Context) -> None:
            taken = Taken(
                queue,
                message.get_body().decode("utf-8", "replace"),
                message_id=message.id or "",
                inserted_at=_in_utc(message.insertion_time),
                is_last_try=(message.dequeue_count or 0) >= LAST_TRY,
                traceparent=context.trace_context.trace_parent,
            )
            process(taken, services(), handle)

        run.__name__ = handle.__name__
        run.__doc__ = handle.__doc__
        return run

    return decorate


def _in_utc(time: datetime | None) -> datetime | None:
    # azure-functions drops the zone of what does not end in Z.
    return time.replace(tzinfo=UTC) if time is not None and time.tzinfo is None else time


def process(
    taken: Taken, services: Services, handle: Handle, jitter: Jitter = random.uniform
) -> None:
    """Have a queue's message handled, and do with it what the outcome asks for.

    Returns when the message is done with, here or elsewhere; raises when the host shall try again.
    """
    _Process(taken, services, handle, jitter).run()


class _Process:
    """What becomes of one message that was taken from a queue."""

    def __init__(self, taken: Taken, services: Services, handle: Handle, jitter: Jitter) -> None:
        self._taken = taken
        self._services = services
        self._handle = handle
        self._jitter = jitter

    def run(self) -> None:
        kept_key: str | None = None
        try:
            body = json_text.parse_own_object(self._taken.text)
            kept_key = body.get(BODY)
            if kept_key is not None and (len(body) > 1 or not isinstance(kept_key, str)):
                raise InvalidRequestError(FieldError(BODY, "is ours; leave it out"))
            if kept_key is not None:
                kept = self._services.queues.large_values.fetch(kept_key)
                if kept is None:
                    # Storage gave the message out once more after it was done.
                    _logger.warning("Done with already on %s", self._taken.queue)
                    return
                body = json_text.parse_own_object(kept)
            message = self._message(body)
        except InvalidRequestError as error:
            self._refuse(error)
            return
        self._settle(message, *self._try(message))
        if kept_key is not None:
            self._services.queues.large_values.drop(kept_key)

    def _message(self, original: dict[str, Any]) -> QueuedMessage:
        body = {name: value for name, value in original.items() if name != ENVELOPE}
        noted = original.get(ENVELOPE)
        if noted is None:
            json_text.require_depth(body)
            own_id = body.get("id")
            if isinstance(own_id, str) and place_in_alert(own_id) is not None:
                raise InvalidRequestError(FieldError("id", "is as those of an alert's messages"))
            # Its id is the caller's, so it is read as all that callers give.
            envelope = parse(
                Envelope,
                {
                    "id": own_id if isinstance(own_id, str) and own_id else self._taken.message_id,
                    "acceptedAt": self._taken.inserted_at or datetime.now(UTC),
                    "posting": self._taken.message_id,
                    "traceparent": self._taken.traceparent,
                },
            )
        else:
            if not isinstance(noted, dict):
                raise InvalidRequestError(FieldError(ENVELOPE, "is ours; leave it out"))
            envelope = parse(Envelope, noted, within=ENVELOPE)
            # A message was not accepted in the future, whatever its sender's clock says.
            envelope = envelope.model_copy(
                update={"accepted_at": min(envelope.accepted_at, datetime.now(UTC))}
            )
        return QueuedMessage(self._taken.queue, body, envelope)

    def _refuse(self, error: InvalidRequestError) -> None:
        """Have a message fail that cannot even be read."""
        now = datetime.now(UTC)
        envelope = Envelope(
            id=self._taken.message_id,
            accepted_at=self._taken.inserted_at or now,
            posting=self._taken.message_id,
        )
        message = QueuedMessage(self._taken.queue, {}, envelope)
        self._fail(message, _as_it_came(self._taken.text), error, Status.PERMANENT_FAILURE)

    def _try(self, message: QueuedMessage) -> tuple[Handled, AppError | None]:
        expires_at = _expires_at(message)
        if expires_at is not None and expires_at <= datetime.now(UTC):
            return None, ExpiredError("Its time was over before it could be sent")
        try:
            return self._handle(message), None
        except AppError as error:
            if error.on_queue is OnQueue.HOST and not self._taken.is_last_try:
                raise
            return None, error
        except Exception:  # a bug; after the last try the host would drop the reason
            if not self._taken.is_last_try:
                raise
            _logger.exception("The last try failed on %s", self._taken.queue)
            return None, UnexpectedError()

    def _settle(self, message: QueuedMessage, handled: Handled, error: AppError | None) -> None:
        if error is not None:
            self._settle_error(message, error)
            return
        if message.claim is not None:
            message.envelope = message.envelope.after_call()
        if isinstance(handled, StartFirst):
            self._record(message, Status.ACCEPTED, only_new=True)
            self._services.queues.start_first(handled.start, message)
        elif message.envelope.then is not None:
            if message.claim is not None:
                # Before what waited can be taken, which makes a claim of its own.
                self._record(message, Status.ACCEPTED)
            self._services.queues.follow_up(message.envelope)
        elif handled is not None:
            self._record(message, Status.SENT, activity_id=handled.activity_id)
            self._report(message, Outcome.SENT)

    def _settle_error(self, message: QueuedMessage, error: AppError) -> None:
        if error.was_attempt:
            message.envelope = message.envelope.after_call()
        message.envelope = message.envelope.without_reference()
        delay_seconds = self._delay_seconds(error, message.envelope.returns)
        match error.on_queue:
            case OnQueue.DONE:
                self._recount(message)
                _logger.info("Done with already on %s: %s", message.queue, error.code)
            case OnQueue.DROP:
                status, outcome = _dropped(error)
                self._record(message, status, error)
                self._report(message, outcome, error)
            case OnQueue.COUNT | OnQueue.WAIT | OnQueue.PAUSE_EVERYTHING if self._may_return(
                message, error, delay_seconds
            ):
                self._return(message, error, delay_seconds)
            case OnQueue.COUNT | OnQueue.WAIT | OnQueue.PAUSE_EVERYTHING:
                self._fail(message, message.body, error, Status.TEMPORARY_FAILURE)
            case _ if error.is_technical:
                self._fail(message, message.body, error, Status.TECHNICAL_FAILURE)
            case _:
                self._fail(message, message.body, error, Status.PERMANENT_FAILURE)

    def _may_return(self, message: QueuedMessage, error: AppError, delay_seconds: float) -> bool:
        if isinstance(error, OutcomeUnknownError) or (
            error.is_ambiguous and self._services.settings.give_up_ambiguous
        ):
            return False
        if error.on_queue is OnQueue.COUNT and message.envelope.attempts >= MOST_ATTEMPTS:
            return False
        next_try = datetime.now(UTC) + timedelta(seconds=delay_seconds)
        end_of_life = (message.envelope.retried_at or message.envelope.accepted_at) + _LONGEST_LIFE
        expires_at = _expires_at(message)
        return next_try < (min(end_of_life, expires_at) if expires_at else end_of_life)

    def _return(self, message: QueuedMessage, error: AppError, delay_seconds: float) -> None:
        # Recorded first: whoever takes the message must not find our claim on it.
        self._record(message, Status.RETRYING, error, only_new=True)
        noted = message.envelope.model_copy(update={"returns": message.envelope.returns + 1})
        self._services.queues.send(message.queue, message.body, noted, delay_seconds=delay_seconds)
        self._report(message, outcome_of(error, Outcome.RETRIED), error)

    def _fail(self, message: QueuedMessage, body: object, error: AppError, status: Status) -> None:
        """Keep a message that failed, and say so; last of all in its record, where it ends."""
        delivery = self._delivery(message, status, error)
        if message.claim is None and self._services.deliveries.is_done(delivery):
            _logger.info("Done with already on %s", message.queue)
            return
        kept = Failure(message.queue, whole_message(body, message.envelope))
        day = self._services.failures.keep(delivery, kept)
        self._services.queues.poison(
            message.queue, body, message.envelope, error, failed_at=delivery.updated_at
        )
        self._write(message, replace(delivery, failed_on=day))
        self._report(message, Outcome.FAILED, error)

    def _record(
        self,
        message: QueuedMessage,
        status: Status,
        error: AppError | None = None,
        *,
        activity_id: str | None = None,
        only_new: bool = False,
    ) -> None:
        """Record how far a message is; ``only_new`` leaves it at the first word of it."""
        if message.claim is None and only_new and not message.envelope.is_new:
            return
        delivery = self._delivery(message, status, error)
        self._write(message, replace(delivery, activity_id=activity_id))

    def _write(self, message: QueuedMessage, delivery: Delivery) -> None:
        if message.claim is None:
            self._services.deliveries.record(delivery)
        else:
            self._services.deliveries.settle(message.claim, delivery)
        if delivery.status.is_final:
            self._recount(message)

    def _recount(self, message: QueuedMessage) -> None:
        """Have what was put back be counted again by its alert, once it has ended."""
        envelope = message.envelope
        if envelope.alert is not None and envelope.retried_at is not None:
            recount(envelope.change.delivery_id if envelope.change else envelope.id, self._services)

    def _delivery(self, message: QueuedMessage, status: Status, error: AppError | None) -> Delivery:
        claimed = message.claim.delivery if message.claim else None
        uncounted = error is not None and not error.was_attempt
        return Delivery(
            id=message.envelope.id,
            status=status,
            created_at=claimed.created_at if claimed else message.envelope.accepted_at,
            updated_at=datetime.now(UTC),
            destination=message.destination,
            attempts=claimed.attempts - uncounted if claimed else 0,
            code=error.code if error else None,
            detail=error.detail if error else None,
            correlation_id=error.correlation_id if error else None,
            recreated="conversation" in message.envelope.healed
            or bool(claimed and claimed.recreated),
            ambiguous=message.envelope.ambiguous
            or bool((claimed and claimed.ambiguous) or (error and error.is_ambiguous)),
            posting=message.envelope.posting,
            alert_id=message.envelope.alert,
            alert_version=message.alert_version,
        )

    def _delay_seconds(self, error: AppError, returns: int) -> float:
        if error.retry_after_seconds is not None:
            # Never earlier than asked for, and not all at the same moment.
            return error.retry_after_seconds + self._jitter(0, 1 + error.retry_after_seconds / 10)
        longest = min(_LONGEST_BACKOFF_SECONDS, _FIRST_BACKOFF_SECONDS * 2 ** min(returns, 16))
        return self._jitter(0, longest)

    def _report(
        self, message: QueuedMessage, outcome: Outcome, error: AppError | None = None
    ) -> None:
        destination = message.destination
        report(
            outcome,
            queue=message.queue,
            deliveryId=message.envelope.id,
            channelId=destination.channel_id if destination else None,
            user_id=destination.user_id if destination else None,
            status=int(error.status) if error else None,
            code=error.code if error else None,
            attempt=message.envelope.attempts,
            correlationId=error.correlation_id if error else None,
            alertId=message.envelope.alert,
            milliseconds=message.call_milliseconds,
            traceparent=message.envelope.traceparent,
        )


def _as_it_came(text: str) -> object:
    try:
        return json_text.parse(text)
    except InvalidRequestError:
        return text


def _dropped(error: AppError) -> tuple[Status, Outcome]:
    match error:
        case ExpiredError():
            return Status.EXPIRED, Outcome.EXPIRED
        case CancelledError():
            return Status.CANCELLED, Outcome.CANCELLED
        case _:
            return Status.SUPPRESSED, Outcome.SUPPRESSED


def _expires_at(message: QueuedMessage) -> datetime | None:
    # A start expires with what waits for it; where nothing is sent, nobody knows the field.
    waits = message.queue in (START_CONVERSATION, CACHE_ACCOUNT)
    sent = message.envelope.then or {} if waits else message.body
    try:
        expires_at = datetime.fromisoformat(sent.get("expiresAt") or "")
    except (TypeError, ValueError):
        return None
    return expires_at if expires_at.tzinfo else None
