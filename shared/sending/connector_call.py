"""The one Connector call of an invocation: it waits its turn, is claimed, made, and learnt from.

What comes from a queue is paced, so that all instances together stay within what the service takes,
and claimed, so that it is made once. What HTTP asks for is not delayed, but counted; its caller is
told what the Connector said, and decides.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus

from shared.connector.channel_features import channel
from shared.connector.client import Connector
from shared.connector.errors import ConnectorError
from shared.deliveries.delivery import Delivery, Destination, Status
from shared.deliveries.store import Claim
from shared.errors import (
    AppError,
    BotCredentialError,
    HeldBackError,
    StorageUnavailableError,
    SuppressedError,
    TokenRefusedError,
)
from shared.messages.queued_message import QueuedMessage, UnsentError
from shared.sending.reachability import note_within_reach, take_person_probe
from shared.sending.remedies import learn, learn_of_refused_token
from shared.sending.telemetry import Outcome, outcome_of, report
from shared.throttling.lane import CREDENTIAL, Lane
from shared.throttling.pacer import Slot
from shared.wiring import Services

_PATIENCE_SECONDS = 2.0
_MOMENT_SECONDS = 1.0


@dataclass
class Call:
    """A call that may be made now, once, and not after ``until``.

    ``message`` is the queue's message, as it is once the call is over; None over HTTP.
    ``began_at`` is when the call began, ``started`` the same in seconds of the monotonic clock;
    None where there was no call. ``prepare`` is what is left to do when everything else is ready.
    """

    _connector: Connector
    message: QueuedMessage | None = None
    _until: datetime | None = None
    _prepare: Callable[[], None] | None = None
    began_at: datetime = field(default_factory=partial(datetime.now, UTC))
    started: float | None = None

    @property
    def connector(self) -> Connector:
        """Where the call is made; raises HeldBackError when it is too late for it."""
        if self._until is not None and self._until < datetime.now(UTC):
            raise HeldBackError("its turn came too late", _MOMENT_SECONDS)
        if self._prepare is not None:
            self._prepare()
        self.began_at, self.started = datetime.now(UTC), time.monotonic()
        return self._connector


class Turn(ABC):
    """The turn of a call: whatever it needs is in hand.

    ``message`` is the queue's message as it is now; None over HTTP.
    """

    message: QueuedMessage | None = None
    _slot: Slot

    def __init__(self, destination: Destination, services: Services) -> None:
        self._destination = destination
        self._services = services
        self._connector = services.connector.at(destination.service_url)
        self._lane = Lane.of(destination.service_url, destination.tenant_id)
        self._limits = channel(destination.channel_id).conversation_limits
        self._is_over = False

    @abstractmethod
    def call(self, *until: datetime | None) -> AbstractContextManager[Call]:
        """Make the call within the block, which learns from what it raises.

        It ends before each of the times, and that of a queue's message while that is claimed.
        The block must not use storage after the call: where storage fails in it, the call counts
        as not made. Raises what the Connector answers; for a queue's message as an UnsentError,
        with the message as it is then.
        """

    def give_back(self) -> None:
        """Give the turn back for which no call is made; does nothing where one was made."""
        if not self._is_over:
            self._is_over = True
            self._services.pacer.give_back(self._slot)

    def _begins_before(self, *until: datetime | None) -> datetime | None:
        """Return until when a call may begin that ends before each of these times."""
        seconds = self._services.settings.connector_timeout_seconds
        times = [each - timedelta(seconds=seconds) for each in until if each is not None]
        return min(times, default=None)

    def _have_token(self) -> None:
        """Get the token; where there is none, a probe of the lane has shown nothing."""
        try:
            self._connector.have_token()
        except BotCredentialError:
            if self._slot.probes != CREDENTIAL:
                self.give_back()
            raise
        self._services.pacer.had_token(self._slot)

    def _failed(self, error: Exception) -> None:
        """Give the turn back unless the error is what the Connector did: no call was made then."""
        self._is_over = isinstance(error, ConnectorError | TokenRefusedError)
        self.give_back()


def take_turn(
    destination: Destination,
    services: Services,
    message: QueuedMessage | None = None,
    *,
    is_probe: bool = False,
) -> Turn:
    """Wait for the turn of a call, and return it.

    Takes where the call goes, and the queue's message that it is made for, None over HTTP.
    ``is_probe``: it shows whether a person out of reach can be reached again; where another message
    does so, the call is a SuppressedError. Raises UntrustedServiceUrlError before anything else,
    HeldBackError when the call must not be made now, and BotCredentialError.
    """
    if message is None:
        return _HttpTurn(destination, services)
    return _QueueTurn(destination, services, message, is_probe=is_probe)


class _HttpTurn(Turn):
    def __init__(self, destination: Destination, services: Services) -> None:
        super().__init__(destination, services)
        try:
            self._slot = services.pacer.count(self._lane)
            services.conversation_limits.count(destination.conversation_id, self._limits)
            self._have_token()
        except AppError as error:
            self._report(error)
            raise

    @contextmanager
    def call(self, *until: datetime | None) -> Iterator[Call]:
        started = time.monotonic()
        try:
            yield Call(self._connector, _until=self._begins_before(*until))
        except AppError as error:
            self._failed(error)
            if isinstance(error, ConnectorError):
                _note_pace(error, self._slot, self._destination, self._services)
            self._report(error, started)
            raise
        self._is_over = True
        self._services.pacer.passed(self._slot)
        self._report(None, started)

    def _report(self, error: AppError | None, started: float | None = None) -> None:
        report(
            outcome_of(error, Outcome.FAILED) if error else Outcome.SENT,
            channelId=self._destination.channel_id,
            user_id=self._destination.user_id,
            status=int(error.status) if error else None,
            code=error.code if error else None,
            correlationId=error.correlation_id if error else None,
            milliseconds=_milliseconds_since(started),
        )


class _QueueTurn(Turn):
    message: QueuedMessage

    def __init__(
        self,
        destination: Destination,
        services: Services,
        message: QueuedMessage,
        *,
        is_probe: bool,
    ) -> None:
        super().__init__(destination, services)
        self.message = message
        self._is_probe = is_probe
        try:
            wait_seconds = services.conversation_limits.take(
                destination.conversation_id, self._limits, patience_seconds=_PATIENCE_SECONDS
            )
            if wait_seconds > 0:
                time.sleep(wait_seconds)
            self._slot = services.pacer.reserve(self._lane)
            self._have_token()
        except AppError as error:
            raise UnsentError(self.message, error) from error

    def _have_token(self) -> None:
        try:
            super()._have_token()
        except BotCredentialError:
            self._services.pacer.no_token()
            raise

    @contextmanager
    def call(self, *until: datetime | None) -> Iterator[Call]:
        services, destination = self._services, self._destination
        claim = self._claim()
        message = replace(self.message, claim=claim)
        takes_probe = self._is_probe and not message.envelope.is_probe
        prepare = self._take_person_probe if takes_probe else None
        begins_before = self._begins_before(claim.delivery.until, *until)
        call = Call(self._connector, message, begins_before, prepare)
        try:
            self._slot = services.pacer.wait(self._slot)
            yield call
        except Exception as error:
            self._failed(error)
            message = self._message_after(claim, call)
            raise self._unsent(error, message, call.began_at) from error
        self._is_over = True
        services.pacer.passed(self._slot)
        call.message = self._message_after(claim, call)
        # Where a start is done, what waits for it is the probe.
        if self._is_probe and call.message.envelope.then is None:
            note_within_reach(destination, services, call.began_at)

    def _take_person_probe(self) -> None:
        """Take the person's probe, last of all: so it is not used up without a call."""
        before = self.message
        # Kept also where storage does not answer, as it may have written it.
        self.message = before.noting(is_probe=True)
        try:
            take_person_probe(self._destination, self._services)
        except SuppressedError:
            self.message = before
            raise

    def _unsent(self, error: Exception, message: QueuedMessage, began_at: datetime) -> UnsentError:
        """Learn from what kept the message from being sent; return what it means for it."""
        services, destination = self._services, self._destination
        match error:
            case TokenRefusedError():
                return learn_of_refused_token(error, self._slot, message, services)
            case BotCredentialError():
                services.pacer.no_token()
            case StorageUnavailableError():
                # No call was made, and the record says so.
                error = HeldBackError("storage does not answer", _MOMENT_SECONDS)
            case ConnectorError():
                _note_pace(error, self._slot, destination, services)
                try:
                    return learn(
                        error, destination, message, services, began_at, is_probe=self._is_probe
                    )
                except AppError as failed:
                    error = failed
        return UnsentError(message, error)

    def _message_after(self, claim: Claim, call: Call) -> QueuedMessage:
        milliseconds = _milliseconds_since(call.started)
        return replace(self.message, claim=claim, call_milliseconds=milliseconds)

    def _claim(self) -> Claim:
        envelope = self.message.envelope
        delivery = Delivery(
            id=envelope.id,
            status=Status.SENDING,
            kind=self.message.kind,
            created_at=envelope.accepted_at,
            updated_at=envelope.accepted_at,
            destination=self._destination,
            recreated="conversation" in envelope.healed,
            posting=envelope.posting,
            ambiguous=envelope.ambiguous,
            alert_id=envelope.alert,
        )
        try:
            return self._services.deliveries.claim(
                delivery,
                seconds=self._services.settings.lease_seconds,
                is_new=envelope.is_new,
            )
        except AppError as error:
            self.give_back()
            raise UnsentError(self.message, error) from error


def _note_pace(
    error: ConnectorError, slot: Slot, destination: Destination, services: Services
) -> None:
    """Note what an error tells of the pace, and whether the call got through."""
    if error.is_throttling:
        services.pacer.throttled(
            slot.lane, destination.conversation_id, error.answer.retry_after_seconds
        )
        return
    status = error.answer.status
    if status is not None and status < HTTPStatus.INTERNAL_SERVER_ERROR:
        services.pacer.passed(slot)


def _milliseconds_since(started: float | None) -> int | None:
    return None if started is None else round((time.monotonic() - started) * 1000)
