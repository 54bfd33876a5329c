"""What each recorded payload says, and what each sender asks before it sends events."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ReceiveEvent.event import Event, IgnoredEvent
from ReceiveEvent.formats import FORMATS
from ReceiveEvent.incident_decision import decide
from ReceiveEvent.request import EventQuery
from shared.alerts.incidents import Incident
from tests.ReceiveEvent.recorded import PAYLOADS, RECORDED, body_of, headers_of, read

EVENTS = json.loads((Path(__file__).parent / "events.json").read_bytes())
"""What each recorded payload says: of each event, what is neither empty nor usual."""
NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


def to_json(event: Event | IgnoredEvent) -> dict[str, Any]:
    members = json.loads(json.dumps(vars(event), default=str))
    usual: dict[str, Any] = {**dict.fromkeys(members), "text": "", "details": {}, "tells_end": True}
    return {name: member for name, member in members.items() if member != usual[name]}


def test_each_recorded_payload_says_exactly_this():
    found = {name: [to_json(each) for each in read(name, body_of(name))] for name in RECORDED}

    assert found == EVENTS


STORIES = {
    "alertmanager/firing": "alerted",
    "alertmanager/repeat": "repeated",
    "alertmanager/firing-second-joined": "repeated alerted",
    "alertmanager/firing-one-resolved": "edited repeated",
    "alertmanager/resolved": "edited",
    "azure-devops/firing": "alerted",
    "azure-devops/resolved": "edited",
    "azure-devops/resolved-minimal": "ignored",
    "azure-monitor/firing": "alerted",
    "azure-monitor/resolved": "edited",
    "azure-monitor/firing-log-v2": "alerted",
    "azure-monitor/resource-health-firing": "alerted",
    "azure-monitor/service-health-resolved": "ignored",
    "cloudevents/structured": "alerted",
    "cloudevents/binary": "repeated",
    "cloudevents/batched": "alerted alerted",
    "event-grid/schema-blob-created": "alerted",
    "event-grid/cloudevent-blob-created": "edited",
    "event-grid/schema-validation": "ignored",
    "generic/firing": "alerted",
    "generic/resolved": "edited",
    "github/firing": "alerted",
    "github/resolved": "edited",
    "github/deployment-status": "ignored",
    "github/dependabot-alert-created": "alerted",
    "github/dependabot-alert-fixed": "ignored",
    "github/issue-opened": "alerted",
    "github/pull-request-opened": "alerted",
    "github/pull-request-closed": "edited",
    "github/release-published": "alerted",
    "github/ping": "ignored",
    "grafana/firing": "alerted alerted",
    "grafana/resolved": "edited edited",
}
"""What people notice of each recorded payload, when they come in this order."""


def test_what_people_notice_of_each_recorded_payload():
    known: dict[tuple[str, str], Incident] = {}
    found = {}
    for story in STORIES:
        name, sender = f"{story}.json", story.partition("/")[0]
        actions = []
        for event in read(name, body_of(name)):
            if isinstance(event, IgnoredEvent):
                actions.append("ignored")
                continue
            key = (sender, event.key)
            decision = decide(known.get(key), event, NOON, sender=sender, query=EventQuery())
            if decision.incident:
                known[key] = replace(decision.incident, told=decision.incident.revision)
            actions.append(decision.action)
        found[story] = " ".join(actions)

    assert {f"{story}.json" for story in STORIES} == {*RECORDED}
    assert found == STORIES


def test_a_handshake_is_answered_as_its_sender_wants_it_and_nothing_else_is_one():
    answers = {
        name: FORMATS[name.partition("/")[0]].handshake(headers_of(name), body_of(name))
        for name in RECORDED
    }

    assert {name: answer for name, answer in answers.items() if answer is not None} == {
        "event-grid/schema-validation.json": {
            "validationResponse": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6"
        },
        "github/ping.json": {"events": []},
    }


def test_who_asks_by_options_whether_it_may_send_is_told_so():
    recorded = json.loads((PAYLOADS / "cloudevents/headers.json").read_bytes())["handshake"]
    asked = {name.lower(): value for name, value in recorded["headers"].items()}
    allowed = {
        "Allow": "POST",
        "WebHook-Allowed-Origin": "eventemitter.example.com",
        "WebHook-Allowed-Rate": "*",
    }

    answers = {sender: each.consent(asked) for sender, each in FORMATS.items()}

    assert {sender: answer for sender, answer in answers.items() if answer is not None} == {
        "cloudevents": allowed,
        "event-grid": allowed,
    }
    assert FORMATS["cloudevents"].consent({}) is None
