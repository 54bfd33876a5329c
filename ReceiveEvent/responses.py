"""Answers about events and incidents, in JSON."""

from collections.abc import Iterable, Sequence
from typing import Any

from ReceiveEvent.event import Event, IgnoredEvent
from ReceiveEvent.incident_decision import Decision
from ReceiveEvent.service import Taken
from shared import json_text
from shared.accounts.account import Account
from shared.alerts.incidents import Incident


def received_body(events: Sequence[Event | IgnoredEvent]) -> dict[str, Any]:
    """Return what was understood of each event."""
    return {"events": [_event_body(each) for each in events]}


def decided_body(
    decisions: Iterable[tuple[Event | IgnoredEvent, Decision | None]],
) -> dict[str, Any]:
    """Return what would be made of each event."""
    return {
        "events": [
            {
                **_event_body(event),
                "action": decision.action if decision else "ignored",
                **({"ignored": decision.reason} if decision and decision.reason else {}),
            }
            for event, decision in decisions
        ]
    }


def incident_body(incident: Incident, taken: Taken | None) -> dict[str, Any]:
    """Return an incident as it is listed, with who takes care of it."""
    times = {
        "startsAt": incident.starts_at,
        "endsAt": incident.ends_at,
        "lastEventAt": incident.last_event_at,
        "takenAt": taken.at if taken else None,
    }
    body: dict[str, Any] = {
        "sender": incident.sender,
        "key": incident.key,
        "state": incident.state,
        "title": incident.title,
        "severity": incident.severity,
        "topic": incident.topic,
        "alertId": incident.alert_id,
        "takenBy": _person(taken.person) if taken and taken.person else None,
        **{name: time.isoformat() if time else None for name, time in times.items()},
    }
    return json_text.without_none(body)


def _person(person: Account) -> dict[str, Any]:
    ids = {"channelId": person.channel_id, "userId": person.user_id, "name": person.name}
    return json_text.without_none(ids)


def _event_body(event: Event | IgnoredEvent) -> dict[str, Any]:
    if isinstance(event, IgnoredEvent):
        return json_text.without_none({"key": event.key, "ignored": event.reason})
    return {"key": event.key, "state": event.state}
