"""What each recorded payload says, and what each sender asks before it sends events."""

import json
from pathlib import Path
from typing import Any

from ReceiveEvent.event import Event, IgnoredEvent
from ReceiveEvent.formats import FORMATS
from tests.ReceiveEvent.recorded import PAYLOADS, RECORDED, body_of, headers_of, read

EVENTS = json.loads((Path(__file__).parent / "events.json").read_bytes())
"""What each recorded payload says: of each event, what is neither empty nor usual."""


def to_json(event: Event | IgnoredEvent) -> dict[str, Any]:
    members = json.loads(json.dumps(vars(event), default=str))
    usual: dict[str, Any] = {**dict.fromkeys(members), "text": "", "details": {}, "tells_end": True}
    return {name: member for name, member in members.items() if member != usual[name]}


def test_each_recorded_payload_says_exactly_this():
    found = {name: [to_json(each) for each in read(name, body_of(name))] for name in RECORDED}

    assert found == EVENTS


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
