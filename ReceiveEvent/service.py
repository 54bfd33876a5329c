"""Taking what a webhook says, acting on it, and saying what would be done."""

import logging
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ReceiveEvent.event import Event, IgnoredEvent
from ReceiveEvent.incident_alert import is_for_its_own, tell
from ReceiveEvent.incident_decision import Decision, decide
from ReceiveEvent.request import IncidentQuery, ReceivedEvents, read_message
from shared.accounts.account import Account
from shared.alerts.alert import Alert
from shared.alerts.incidents import Incident
from shared.errors import AlertOverError, AppError, OnQueue, UnknownAlertError
from shared.messages.envelope import Envelope
from shared.messages.queue_names import RECEIVE_EVENT
from shared.messages.queued_message import QueuedMessage
from shared.sending.alert_lifecycle import require_records
from shared.wiring import Services

_logger = logging.getLogger(__name__)

_EVENTS_IN_A_MESSAGE = 50
_THREADS = 8


@dataclass(frozen=True)
class Taken:
    """That somebody takes care of an incident, and who; None once they are not known any more."""

    at: datetime
    person: Account | None


def accept_events(received: ReceivedEvents, services: Services) -> None:
    """Put the events on the queue."""
    events = [each for each in received.events if isinstance(each, Event)]
    for start in range(0, len(events), _EVENTS_IN_A_MESSAGE):
        message_id = uuid.uuid4().hex
        envelope = Envelope(id=message_id, accepted_at=datetime.now(UTC), posting=message_id)
        some = events[start : start + _EVENTS_IN_A_MESSAGE]
        services.queues.send(RECEIVE_EVENT, received.to_message(some), envelope)


def act_on_queued_events(message: QueuedMessage, services: Services) -> None:
    """Act on the events of a queue's message; one that fails costs no other of them.

    Raises what the first of these raised, once all were tried; at once where storage is down.
    """
    received = read_message(message.body)
    failed: AppError | None = None
    for event in received.events:
        if isinstance(event, IgnoredEvent):
            _logger.info("An event of %s was ignored: %s", received.sender, event.reason)
            continue
        try:
            _act_on(event, received, message.envelope, services)
        except AppError as error:
            if error.on_queue is OnQueue.LEAVE_TO_HOST:
                raise
            _logger.warning("An event of %s failed: %s", received.sender, error.code)
            failed = failed or error
    if failed is not None:
        raise failed


def decisions_on(
    received: ReceivedEvents, services: Services
) -> Iterator[tuple[Event | IgnoredEvent, Decision | None]]:
    """Yield what would be made of each event by now; nothing is kept, and nobody is told."""
    sender, query, now = received.sender, received.query, datetime.now(UTC)
    known: dict[str, Incident | None] = {}
    for event in received.events:
        if isinstance(event, IgnoredEvent):
            yield event, None
            continue
        key = event.key
        if key not in known:
            known[key] = services.incidents.find(sender, query.who_is_told, key)
        decision = decide(known[key], event, now, sender=sender, query=query)
        if decision.is_first_half:
            over = _as_told(decision.incident)
            decision = decide(over, event, now, sender=sender, query=query)
        known[key] = _as_told(decision.incident)
        yield event, _as_the_alert_is(decision, services)


def list_incidents(
    query: IncidentQuery, services: Services
) -> tuple[list[tuple[Incident, Taken | None]], str | None]:
    """Return a page of the incidents, with who takes care of each, and the token of the next."""
    incidents, token = services.incidents.page(
        query.page_size, query.continuation_token, state=query.state
    )
    with ThreadPoolExecutor(_THREADS) as threads:
        taken = list(threads.map(lambda each: _taken(each, services), incidents))
    return list(zip(incidents, taken, strict=True)), token


def _taken(incident: Incident, services: Services) -> Taken | None:
    if not incident.takes_answers or incident.alert_id is None:
        return None
    try:
        first = services.alerts.find(incident.alert_id).first_answer
    except UnknownAlertError:
        return None
    return Taken(first.at, services.answers.person(first)) if first is not None else None


def _act_on(event: Event, received: ReceivedEvents, envelope: Envelope, services: Services) -> None:
    """Have an incident's row say what an event makes of it, then its alert."""
    sender, query = received.sender, received.query
    is_decided = False
    while not is_decided:
        decision: Decision | None = None

        def decided(known: Incident | None) -> Incident | None:
            nonlocal decision
            decision = decide(known, event, envelope.accepted_at, sender=sender, query=query)
            return decision.incident

        incident = services.incidents.change(sender, query.who_is_told, event.key, decided)
        if incident is not None:
            tell(incident, services, traceparent=envelope.traceparent)
        is_decided = decision is None or not decision.is_first_half
        if is_decided and decision is not None:
            _logger.info("An event of %s: %s", sender, decision.reason or decision.action)


def _as_told(incident: Incident | None) -> Incident | None:
    return replace(incident, told=incident.revision) if incident else None


def _as_the_alert_is(decision: Decision, services: Services) -> Decision:
    """Return a decision by what can still be done with the alert."""
    incident = decision.incident
    if decision.action != "edited" or incident is None or incident.alert_id is None:
        return decision
    alert: Alert | None = None
    with suppress(UnknownAlertError, AlertOverError):
        found = services.alerts.find(incident.alert_id)
        require_records(found, datetime.now(UTC), services)
        alert = found
    if is_for_its_own(incident, alert):
        return Decision(incident, "alerted")
    if alert is None or alert.recalled_at is not None:
        return Decision(incident, "ignored", "The alert that told of it is gone")
    if alert.is_read and not alert.found:
        return Decision(incident, "ignored", "The alert that told of it had reached nobody")
    return decision
