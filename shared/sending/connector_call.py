"""The way to the Connector: every call waits its turn, is claimed, made, and learnt from.

What comes from a queue is paced, so that all instances together stay within what the service takes,
and claimed, so that it is made once. What HTTP asks for is not delayed, but counted; its caller is
told what the Connector said, and decides.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TypeVar

from shared.connector.channel_features import channel
from shared.connector.errors import ConnectorError, ConnectorThrottledError
from shared.deliveries.delivery import Delivery, Destination, Status
from shared.deliveries.store import Claim
from shared.errors import (
    AppError,
    BotCredentialError,
    HeldBackError,
    OnQueue,
    StorageUnavailableError,
)
from shared.messages.envelope import QueuedMessage
from shared.sending.refusals import heal, note_success
from shared.sending.telemetry import Outcome, outcome_of, report
from shared.throttling.lane import Lane
from shared.throttling.pacer import Slot
from shared.wiring import Services

_Answer = TypeVar("_Answer")

_PATIENCE_SECONDS = 2.0
_MOMENT_SECONDS = 1.0


class HttpTurn:
    """The turn of a call that HTTP asks for."""

    def __init__(self, destination: Destination, services: Services) -> None:
        """Count the call; raise HeldBackError when it must not be made now."""
        self._destination = destination
        self._services = services
        self._lane = _lane(destination)
        try:
            self._slot = services.pacer.count(self._lane)
            services.conversation_limits.count(_conversation(destination), _limits(destination))
            services.connector.prepare(destination.service_url)
        except AppError as error:
            self._report(error)
            raise

    def call(self, call: Callable[[], _Answer]) -> _Answer:
        """Make the call; return or raise what it does."""
        started = time.monotonic()
        try:
            answer = call()
        except AppError as error:
            if isinstance(error, ConnectorThrottledError):
                self._services.pacer.throttled(
                    self._lane, self._destination.conversation_id, error.retry_after_seconds
                )
            elif isinstance(error, ConnectorError) and _has_passed(error, self._slot):
                self._services.pacer.passed(self._slot)
            self._report(error, started)
            raise
        self._services.pacer.passed(self._slot)
        self._report(None, started)
        return answer

    def _report(self, error: AppError | None, started: float | None = None) -> None:
        report(
            outcome_of(error, Outcome.FAILED) if error else Outcome.SENT,
            channelId=self._destination.channel_id,
            user_id=self._destination.user_id,
            status=int(error.status) if error else None,
            code=error.code if error else None,
            correlationId=error.correlation_id if error else None,
            milliseconds=_milliseconds_since(started) if started is not None else None,
        )


class QueueTurn:
    """The turn of a queue's message."""

    def __init__(
        self, destination: Destination, services: Services, message: QueuedMessage
    ) -> None:
        """Have a slot and the token in hand; raise HeldBackError when that is not to be now."""
        self._destination = destination
        self._services = services
        self._message = message
        self._lane = _lane(destination)
        wait_seconds = services.conversation_limits.take(
            _conversation(destination), _limits(destination), patience_seconds=_PATIENCE_SECONDS
        )
        if wait_seconds > 0:
            time.sleep(wait_seconds)
        self._slot = services.pacer.reserve(self._lane)
        try:
            services.connector.prepare(destination.service_url)
        except BotCredentialError:
            services.pacer.refused()
            raise

    def call(self, call: Callable[[], _Answer]) -> _Answer:
        """Claim the message's delivery and make the call; return what it does.

        Raises what it raises, or what that means for the message once what could be mended is.
        """
        services, message = self._services, self._message
        message.claim = services.deliveries.claim(
            self._delivery(),
            seconds=services.settings.lease_seconds,
            is_new=message.envelope.is_new,
        )
        slot = self._due_slot(message.claim)
        started = time.monotonic()
        try:
            answer = call()
        except BotCredentialError:
            services.pacer.refused()
            raise
        except ConnectorThrottledError as error:
            services.pacer.throttled(
                self._lane, self._destination.conversation_id, error.retry_after_seconds
            )
            raise
        except ConnectorError as error:
            if _has_passed(error, slot):
                services.pacer.passed(slot)
            raise heal(error, self._destination, message, services) from error
        finally:
            message.call_milliseconds = _milliseconds_since(started)
        services.pacer.passed(slot)
        note_success(self._destination, message, services)
        return answer

    def _due_slot(self, claim: Claim) -> Slot:
        """Wait until the call may be made; raise HeldBackError while the claim is still good.

        Raises CancelledError for what is sent of an alert that was cancelled meanwhile.
        """
        envelope = self._message.envelope
        try:
            slot = self._services.pacer.wait(self._slot)
            if envelope.alert is not None and envelope.change is None:
                self._services.alerts.under_way(envelope.alert)
        except StorageUnavailableError as error:
            # No call was made, and the record shall say so.
            raise HeldBackError("storage does not tell the pace", _MOMENT_SECONDS) from error
        needed = timedelta(seconds=self._services.settings.connector_timeout_seconds)
        if claim.delivery.until is None or claim.delivery.until < datetime.now(UTC) + needed:
            raise HeldBackError("its turn came too late", _MOMENT_SECONDS)
        return slot

    def _delivery(self) -> Delivery:
        envelope = self._message.envelope
        return Delivery(
            id=envelope.id,
            status=Status.SENDING,
            created_at=envelope.accepted_at,
            updated_at=envelope.accepted_at,
            destination=self._destination,
            recreated="conversation" in envelope.healed,
            posting=envelope.posting,
            ambiguous=envelope.ambiguous,
            alert_id=envelope.alert,
        )


Turn = HttpTurn | QueueTurn


def take_turn(
    destination: Destination, services: Services, message: QueuedMessage | None = None
) -> Turn:
    """Return the turn of a call for a queue's message, or for HTTP where there is none.

    Raises UntrustedServiceUrlError before anything else, HeldBackError when the call must not be
    made now, and BotCredentialError.
    """
    services.settings.trusted_service_urls.require(destination.service_url)
    if message is None:
        return HttpTurn(destination, services)
    return QueueTurn(destination, services, message)


def _has_passed(error: ConnectorError, slot: Slot) -> bool:
    """Tell whether an error shows that what the slot probes works again."""
    status = error.answer.status
    is_still_disabled = error.on_queue is OnQueue.PAUSE and slot.probes == slot.lane
    return (
        status is not None and status < HTTPStatus.INTERNAL_SERVER_ERROR and not is_still_disabled
    )


def _lane(destination: Destination) -> Lane:
    return Lane.of(destination.service_url, destination.tenant_id)


def _conversation(destination: Destination) -> str:
    return destination.conversation_id or ""


def _limits(destination: Destination) -> tuple[tuple[int, float], ...]:
    # A start has no conversation yet.
    if destination.conversation_id is None:
        return ()
    return channel(destination.channel_id).conversation_limits


def _milliseconds_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
