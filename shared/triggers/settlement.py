"""What becomes of a message once it was handled: done, back with a delay, or failed.

A message that was accepted ends as done, or as failed with the reason beside it: in its record, and
in the poison queue.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from shared.deliveries.delivery import Delivery, Status
from shared.deliveries.failures import Failure
from shared.deliveries.store import MOST_ATTEMPTS
from shared.errors import (
    AppError,
    CancelledError,
    DeliveryUnderWayError,
    ExpiredError,
    IdInUseError,
    OnQueue,
    OutcomeUnknownError,
    UnknownAlertError,
)
from shared.messages.envelope import whole_message
from shared.messages.queued_message import Handled, QueuedMessage, Sent, StartFirst
from shared.sending.recipient import find_named
from shared.sending.telemetry import Outcome, outcome_of, report
from shared.wiring import Services

_logger = logging.getLogger(__name__)

_LONGEST_LIFE = timedelta(hours=24)
# So that the last try is still in the message's life when it is taken from its queue.
_LAST_TRY_BEFORE_END_SECONDS = 30.0
_FIRST_BACKOFF_SECONDS = 2.0
_LONGEST_BACKOFF_SECONDS = 300.0

Jitter = Callable[[float, float], float]


@dataclass(frozen=True)
class Settlement:
    """Settles messages: writes the record, the queue and the log line of each.

    ``jitter`` returns a number between two others, so that messages do not come back all at once.
    """

    _services: Services
    _jitter: Jitter

    def settle(self, message: QueuedMessage, result: Handled | AppError) -> None:
        """Settle a message by what its handler returned, or by the error that it met.

        While somebody else has the claim, its end cannot be recorded, so it comes back: they may
        have died. What has the id of another kind of message fails, and has no record of its own.
        """
        try:
            if isinstance(result, AppError):
                self._settle_error(_counted(message, result.was_attempt), result)
            elif result is not None:
                self._settle_handled(_counted(message, message.claim is not None), result)
        except DeliveryUnderWayError as underway:
            self._return(message, underway, self._delay_seconds(underway, 0))
        except IdInUseError as in_use:
            self._services.queues.poison(
                message.queue, message.body, message.envelope, in_use, failed_at=datetime.now(UTC)
            )
            self._report(message, Outcome.FAILED, in_use)

    def refuse(self, message: QueuedMessage, body: object, error: AppError) -> None:
        """Have a message fail that cannot even be read; ``body`` is what it has instead of one."""
        self._fail(message, body, error, Status.PERMANENT_FAILURE)

    def _settle_handled(self, message: QueuedMessage, result: Sent | StartFirst) -> None:
        match result:
            case StartFirst():
                self._record(message, Status.ACCEPTED, only_new=True)
                self._services.queues.start_first(result.start, message)
            case Sent() if (waited := message.envelope.then) is not None:
                if message.claim is not None:
                    # Before what waited can be taken, which makes a claim of its own.
                    self._record(message, Status.ACCEPTED)
                self._services.queues.follow_up(waited, message.envelope)
            case Sent():
                self._record(message, Status.SENT, sent=result)
                self._report(message, Outcome.SENT)

    def _settle_error(self, message: QueuedMessage, error: AppError) -> None:
        # The next try looks everything up.
        message = replace(message, envelope=message.envelope.without_snapshot())
        match error:
            case AppError(on_queue=OnQueue.DONE):
                self._drop_done(message)
            case AppError(on_queue=OnQueue.DROP):
                message = self._addressed(message, message.body)
                status, outcome = _dropped(error)
                self._record(message, status, error)
                self._report(message, outcome, error)
            case AppError(on_queue=OnQueue.RETRY | OnQueue.WAIT):
                delay_seconds = self._delay_in_life(message, error)
                if delay_seconds is None or self._is_given_up(message, error):
                    self._fail(message, message.body, error, Status.TEMPORARY_FAILURE)
                else:
                    self._return(message, error, delay_seconds)
            case AppError(is_technical=True):
                self._fail(message, message.body, error, Status.TECHNICAL_FAILURE)
            case AppError():
                self._fail(message, message.body, error, Status.PERMANENT_FAILURE)

    def _is_given_up(self, message: QueuedMessage, error: AppError) -> bool:
        if error.is_ambiguous and self._services.settings.give_up_ambiguous:
            return True
        if isinstance(error, OutcomeUnknownError):
            return True
        return error.on_queue is OnQueue.RETRY and message.envelope.attempts >= MOST_ATTEMPTS

    def _delay_in_life(self, message: QueuedMessage, error: AppError) -> float | None:
        """Return after how many seconds a message comes back; None where its life ends before.

        A delay beyond its end is shortened, so that there is a last try.
        """
        envelope = message.envelope
        delay_seconds = self._delay_seconds(error, envelope.returns)
        end_of_life = (envelope.retried_at or envelope.accepted_at) + _LONGEST_LIFE
        end = min(end_of_life, message.expires_at or end_of_life)
        left_seconds = (end - datetime.now(UTC)).total_seconds()
        if delay_seconds < left_seconds:
            return delay_seconds
        last_try_in_seconds = left_seconds - _LAST_TRY_BEFORE_END_SECONDS
        return last_try_in_seconds if last_try_in_seconds > 0 else None

    def _drop_done(self, message: QueuedMessage) -> None:
        # Who ended it may have died before anybody was told.
        self._tell_failure(message)
        self._tell_alert(message)
        _logger.info("Done with already on %s", message.queue)

    def _return(self, message: QueuedMessage, error: AppError, delay_seconds: float) -> None:
        # Recorded first: who takes the message must not find our claim on it.
        # The reason is that of its first return on each queue.
        self._record(message, Status.RETRYING, error, only_new=message.envelope.returns > 0)
        noted = message.noting(returns=message.envelope.returns + 1).envelope
        self._services.queues.send(message.queue, message.body, noted, delay_seconds=delay_seconds)
        self._report(message, outcome_of(error, Outcome.RETRIED), error)

    def _fail(self, message: QueuedMessage, body: object, error: AppError, status: Status) -> None:
        """Keep a message that failed, and say so; last of all in its record, where it ends."""
        message = self._addressed(message, body)
        delivery = _delivery(message, status, error)
        if message.claim is None and self._services.deliveries.is_done(delivery):
            self._drop_done(message)
            return
        kept = Failure(message.queue, whole_message(body, message.envelope))
        day = self._services.failures.keep(delivery, kept)
        self._services.queues.poison(
            message.queue, body, message.envelope, error, failed_at=delivery.updated_at
        )
        self._write(message, replace(delivery, failed_on=day))
        self._report(message, Outcome.FAILED, error)

    def _addressed(self, message: QueuedMessage, body: object) -> QueuedMessage:
        """Return a message, and whom it names if it came to nobody: it is erased with them."""
        if message.destination is not None:
            return message
        named = find_named(body, self._services)
        return replace(message, destination=named.destination if named else None)

    def _record(
        self,
        message: QueuedMessage,
        status: Status,
        error: AppError | None = None,
        *,
        sent: Sent | None = None,
        only_new: bool = False,
    ) -> None:
        """Record how far a message is; ``only_new`` writes nothing where it was recorded before."""
        if message.claim is None and only_new and not message.envelope.is_new:
            return
        self._write(message, _delivery(message, status, error, sent))

    def _write(self, message: QueuedMessage, delivery: Delivery) -> None:
        if message.claim is None:
            self._services.deliveries.record(delivery)
        else:
            self._services.deliveries.settle(message.claim, delivery)
        if delivery.status.is_final:
            # Without a claim, an earlier record may have stayed.
            ended = delivery if message.claim is not None else None
            if ended is None or ended.status.is_failure:
                self._tell_failure(message)
            self._tell_alert(message, ended)

    def _tell_failure(self, message: QueuedMessage) -> None:
        """Tell other systems if a message is recorded as failed, now or when it came before."""
        outcomes = self._services.outcomes
        if outcomes is None:
            return
        recorded = self._services.deliveries.get(message.envelope.id)
        if recorded is not None and recorded.status.is_failure:
            outcomes.failed(recorded)

    def _tell_alert(self, message: QueuedMessage, ended: Delivery | None = None) -> None:
        """Have an alert follow what has ended of it: edit what is late, count what was put back."""
        envelope, services = message.envelope, self._services
        if envelope.alert is None:
            return
        from shared.sending.alert_steps import recount
        from shared.sending.outdated_copies import change_late_copy

        try:
            if envelope.change is None:
                ended = ended or services.deliveries.get(envelope.id)
                if ended is not None and ended.status is Status.SENT:
                    change_late_copy(ended, services)
            if envelope.retried_at is not None:
                recount(envelope.change.delivery_id if envelope.change else envelope.id, services)
        except UnknownAlertError:
            _logger.info("Its alert is not kept any more")

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


def _delivery(
    message: QueuedMessage, status: Status, error: AppError | None = None, sent: Sent | None = None
) -> Delivery:
    """Return the record of a message as it is now."""
    envelope, claimed = message.envelope, message.claim.delivery if message.claim else None
    uncounted = error is not None and not error.was_attempt
    return Delivery(
        id=envelope.id,
        status=status,
        created_at=claimed.created_at if claimed else envelope.accepted_at,
        updated_at=datetime.now(UTC),
        destination=message.destination,
        attempts=claimed.attempts - uncounted if claimed else 0,
        attempts_before=claimed.attempts_before if claimed else None,
        code=error.code if error else None,
        detail=error.detail if error else None,
        correlation_id=error.correlation_id if error else None,
        activity_id=sent.activity_id if sent else None,
        recreated="conversation" in envelope.healed or bool(claimed and claimed.recreated),
        ambiguous=envelope.ambiguous
        or bool((claimed and claimed.ambiguous) or (error and error.is_ambiguous)),
        kind=claimed.kind if claimed else message.kind,
        posting=envelope.posting,
        alert_id=envelope.alert,
        alert_version=sent.alert_version if sent else None,
        is_targeted=bool(sent and sent.is_targeted),
    )


def _counted(message: QueuedMessage, was_called: bool) -> QueuedMessage:
    return message.noting(attempts=message.envelope.attempts + 1) if was_called else message


def _dropped(error: AppError) -> tuple[Status, Outcome]:
    match error:
        case ExpiredError():
            return Status.EXPIRED, Outcome.EXPIRED
        case CancelledError():
            return Status.CANCELLED, Outcome.CANCELLED
        case _:
            return Status.SUPPRESSED, Outcome.SUPPRESSED
