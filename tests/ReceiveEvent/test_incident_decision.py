"""What becomes of an incident by one event after the other, and what people notice of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest

from ReceiveEvent.event import Event
from ReceiveEvent.incident_decision import Decision, decide
from ReceiveEvent.request import EventQuery
from shared.alerts.incidents import Incident
from shared.errors import InvalidRequestError

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NO_STATE, NO_END = {"tells_end": False, "occurrence": "1"}, {"tells_end": False}
FIRST, SECOND = {"occurrence": "1"}, {"occurrence": "2"}
# As Alertmanager tells it: all that a firing says of its time is when it began.
BEGAN = {"occurrence": NOON.isoformat(), "starts_at": NOON, "time": NOON}
BEGAN_LATER = {"occurrence": "2026-03-01T12:01:00+00:00", "time": NOON + timedelta(minutes=1)}
PAST = "It is older than what was told last"
OVER = "It was resolved already"
NOTHING = "Nothing fires that it could end"
QUIET = "It is less severe than the URL's minSeverity"


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def fires(minutes: float, **said: Any) -> tuple[float, Event]:
    """An event that comes so many minutes after noon, and says nothing of its time."""
    return minutes, Event(**{"key": "k", "state": "firing", "topic": "t", "title": "A", **said})


def ends(minutes: float, **said: Any) -> tuple[float, Event]:
    return fires(minutes, state="resolved", **said)


def ended(minutes: float) -> tuple[float, Event]:
    """The end of what BEGAN, so many minutes after noon."""
    return ends(minutes, **BEGAN | {"time": at(minutes)})


def after(
    *events: tuple[float, Event], query: EventQuery | None = None
) -> tuple[Incident | None, list[Decision]]:
    """The incident after some events, and what each of them came to."""
    incident: Incident | None = None
    decisions = []
    for minutes, event in events:
        is_over = False
        while not is_over:
            decision = decide(
                incident, event, at(minutes), sender="generic", query=query or EventQuery()
            )
            incident, is_over = decision.incident, not decision.is_first_half
            if incident is not None:
                incident = replace(incident, told=incident.revision)
        decisions.append(decision)
    return incident, decisions


def incident_after(*events: tuple[float, Event]) -> Incident:
    incident, _ = after(*events)
    assert incident is not None
    return incident


CASES = {
    "the same fires on": ([fires(0), fires(1)], "alerted repeated"),
    "other words": (
        [fires(0), fires(1, title="B"), fires(2, title="B")],
        "alerted edited repeated",
    ),
    "another severity": ([fires(0), fires(1, severity="error")], "alerted edited"),
    "another text": ([fires(0), fires(1, text="B")], "alerted edited"),
    "another link": ([fires(0), fires(1, link="https://b.example")], "alerted edited"),
    "other details alone": ([fires(0), fires(1, details={"b": "c"})], "alerted repeated"),
    "it ends": ([fires(0), ends(1)], "alerted edited"),
    "it ends twice": ([fires(0), ends(1), ends(2)], f"alerted edited {NOTHING}"),
    "it ends first": (
        [ends(0, **FIRST), fires(1, **FIRST), fires(2, **SECOND)],
        f"{NOTHING}|{OVER}|alerted",
    ),
    "it ends first, and its times tell": (
        [ends(0, time=at(-1)), fires(1, time=at(-2)), fires(20, time=at(19))],
        f"{NOTHING}|{PAST}|alerted",
    ),
    "the end that the sender names is of what fires": (
        [fires(0, **FIRST), ends(1, **FIRST), fires(2, **FIRST)],
        f"alerted|edited|{OVER}",
    ),
    "another run succeeds than failed": (
        [fires(0, **FIRST, time=at(0)), ends(1, time=at(1)), fires(2, **FIRST, time=at(0))],
        f"alerted|edited|{PAST}",
    ),
    "an end comes late, when the next one fires": (
        [
            fires(0, **FIRST, time=at(0)),
            fires(20, **SECOND, time=at(20)),
            ends(21, **FIRST, time=at(10)),
        ],
        f"alerted|alerted|{PAST}",
    ),
    "the end of a later one ends both": (
        [
            fires(0, **FIRST, time=at(0)),
            ends(20, **SECOND, time=at(20)),
            fires(21, **SECOND, time=at(15)),
            ends(22, **FIRST, time=at(5)),
        ],
        f"alerted|edited|{PAST}|{PAST}",
    ),
    "the end of another one, with no times": (
        [fires(0, **FIRST), ends(1, **SECOND)],
        f"alerted|{NOTHING}",
    ),
    "its end names what its firing did not": (
        [fires(0), ends(30, **BEGAN | {"time": at(30)}), ends(31, **BEGAN | {"time": at(30)})],
        f"alerted|edited|{NOTHING}",
    ),
    "its end is before its start by another host's clock": (
        [fires(0.1, **BEGAN), ended(-0.1), fires(0.2, **BEGAN)],
        f"alerted|edited|{OVER}",
    ),
    "it is older": (
        [fires(0, time=at(0)), fires(1, time=at(-1), title="B")],
        f"alerted|{PAST}",
    ),
    "its start and end are its times too": (
        [
            fires(0, starts_at=at(0)),
            ends(9, starts_at=at(0), ends_at=at(5)),
            fires(30, starts_at=at(4)),
        ],
        f"alerted|edited|{PAST}",
    ),
    "a later one while one fires": (
        [fires(0, **FIRST), fires(5, **SECOND), fires(6, **SECOND)],
        "alerted alerted repeated",
    ),
    "it fires anew within ten minutes": ([fires(0), ends(1), fires(10)], "alerted edited edited"),
    "it fires anew later": ([fires(0), ends(1), fires(11)], "alerted edited alerted"),
    "it flaps on": (
        [each for n in range(10) for each in (fires(2 * n), ends(2 * n + 1))],
        "alerted" + " edited" * 19,
    ),
    "it fires on for forty days": (
        [*(fires(240 * n, time=at(0)) for n in range(240)), ends(57_600, time=at(57_600))],
        "alerted" + " repeated" * 239 + " edited",
    ),
    "a rule that tells no end": (
        [fires(60 * hour, **NO_END) for hour in (0, 3, 6, 9.9, 14)],
        "alerted repeated repeated repeated alerted",
    ),
    "its link is of one evaluation": (
        [fires(0, **NO_END), fires(1, **NO_END, link="https://b.example")],
        "alerted repeated",
    ),
    "what has no state": (
        [fires(0, **NO_STATE), fires(60 * 9, **NO_STATE)],
        "alerted repeated",
    ),
    "what is told after the end": (
        [fires(0, **FIRST), ends(1, **FIRST), ends(90, **FIRST, text="Why"), fires(95, **FIRST)],
        f"alerted|edited|edited|{OVER}",
    ),
    "it is opened again under its name": (
        [
            fires(0, **FIRST, time=at(0)),
            ends(60, **FIRST, time=at(60)),
            fires(61, **FIRST, time=at(0)),
            fires(180, **FIRST, time=at(180)),
            ends(181, **FIRST, time=at(60)),
            ends(240, **FIRST, time=at(240)),
        ],
        f"alerted|edited|{PAST}|alerted|{PAST}|edited",
    ),
    "what was resolved by mistake fires on": (
        [
            fires(0, **BEGAN),
            ended(20),
            fires(140, **BEGAN),
            fires(380, **BEGAN),
            fires(381, **BEGAN, title="B"),
            ended(400),
            fires(640, **BEGAN),
        ],
        "alerted edited alerted repeated edited edited alerted",
    ),
    "it fires on within ten minutes": (
        [fires(0, **BEGAN), ended(20), fires(22, **BEGAN), fires(23, **BEGAN), ended(30)],
        "alerted edited edited repeated edited",
    ),
    "its firing comes late": (
        [fires(0, **BEGAN), ended(20), fires(21.9, **BEGAN), fires(0, **BEGAN)],
        f"alerted|edited|{PAST}|{PAST}",
    ),
    "its end comes late, when it fires on": (
        [fires(0, **BEGAN), ended(20), fires(40, **BEGAN), ended(20), ended(41)],
        f"alerted|edited|alerted|{PAST}|edited",
    ),
    "it fires on, and only its end was heard of": (
        [ended(0), fires(1, **BEGAN), fires(140, **BEGAN)],
        f"{NOTHING}|{OVER}|alerted",
    ),
    "it fires on, as another one of a pair saw it begin": (
        [fires(0, **BEGAN), ended(20), fires(140, **BEGAN_LATER)],
        "alerted edited alerted",
    ),
    "it says when it was said": (
        [
            fires(0, **BEGAN),
            ended(20),
            fires(140, **BEGAN | {"time": at(10)}),
            fires(140, **BEGAN | {"time": at(139)}),
        ],
        f"alerted|edited|{PAST}|alerted",
    ),
    "no times, and it is given out again after its end": (
        [fires(0), ends(3), fires(0), fires(30), ends(3), ends(31)],
        f"alerted|edited|{PAST}|alerted|{PAST}|edited",
    ),
    "no times, and the later one of a batch comes first": (
        [ends(3), ends(9), fires(6), fires(20), fires(19, title="B")],
        f"{NOTHING}|{NOTHING}|{PAST}|alerted|{PAST}",
    ),
    "its last words say nothing of their time": (
        [fires(0, time=at(0)), ends(3), fires(5, time=at(0)), fires(20)],
        f"alerted|edited|{OVER}|alerted",
    ),
    "it ends in the second in which it began": (
        [fires(0, time=at(0)), ends(0.01, time=at(0)), fires(0.02, time=at(0))],
        f"alerted|edited|{OVER}",
    ),
    "it ends in the second in which it began, and both are swapped": (
        [ends(0.01, time=at(0)), fires(0.02, time=at(0)), fires(20, time=at(20))],
        f"{NOTHING}|{OVER}|alerted",
    ),
    "it fires anew in the second in which it ended": (
        [
            fires(0, time=at(0)),
            ends(9, time=at(9)),
            fires(9.1, **SECOND, time=at(9)),
            ends(9.05, time=at(9)),
            ends(9.2, time=at(9)),
        ],
        f"alerted|edited|edited|{PAST}|edited",
    ),
    "no topic": (
        [fires(0, topic=""), fires(1)],
        "It names no topic, and neither does the URL|alerted",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_people_notice_of_one_event_after_the_other(case):
    events, expected = CASES[case]

    _, decisions = after(*events)

    found = [each.reason or each.action for each in decisions]
    assert found == expected.split("|" if "|" in expected else " ", len(found) - 1)


SEVERE = {
    "below": ([fires(0, severity="warning"), ends(1)], f"{QUIET}|{NOTHING}"),
    "grows": ([fires(0, severity="info"), fires(1, severity="error")], f"{QUIET}|alerted"),
    "as severe": ([fires(0, severity="error")], "alerted"),
    "unknown": ([fires(0)], "alerted"),
    "its end has another one": (
        [fires(0, severity="critical"), ends(1, severity="info")],
        "alerted|edited",
    ),
    "what people have": (
        [fires(0, severity="error"), fires(1, severity="info")],
        "alerted|edited",
    ),
    "a later one": (
        [fires(0, **FIRST, severity="error"), fires(1, **SECOND, severity="info")],
        f"alerted|{QUIET}",
    ),
}


@pytest.mark.parametrize("case", SEVERE)
def test_what_is_not_severe_enough_begins_nothing(case):
    events, expected = SEVERE[case]

    _, decisions = after(*events, query=EventQuery.from_url({"minSeverity": ["error"]}))

    assert [each.reason or each.action for each in decisions] == expected.split("|")


def test_each_occurrence_has_an_alert_of_its_own_and_a_flap_has_the_one_before():
    first = incident_after(fires(0))
    # A queue counts whole seconds.
    flapped = incident_after(fires(0), ends(0), fires(0))
    second = incident_after(fires(0), ends(1), fires(30))
    again = incident_after(fires(0))
    on = [fires(0, **BEGAN), ended(20), fires(60, **BEGAN), ended(80), fires(99, **BEGAN)]
    fired_on = [incident_after(*on[:events]) for events in (1, 3, 5)]

    assert first.alert_id == flapped.alert_id == again.alert_id == first.own_alert_id
    assert flapped.own_alert_id != flapped.alert_id
    assert second.alert_id == second.own_alert_id != first.alert_id
    assert all(each.alert_id == each.own_alert_id for each in fired_on)
    assert len({each.alert_id for each in fired_on}) == 3
    opened = [fires(0, **FIRST, time=at(0)), ends(1, time=at(1)), fires(30, **FIRST, time=at(30))]
    assert incident_after(*opened).alert_id != incident_after(opened[0]).alert_id


def test_what_a_later_one_takes_the_place_of_is_over_when_that_began():
    incident = incident_after(fires(0, **FIRST))
    minutes, later = fires(30, **SECOND, starts_at=at(20))

    half = decide(incident, later, at(minutes), sender="generic", query=EventQuery())

    assert half.is_first_half
    assert half.incident
    assert (half.incident.state, half.incident.ends_at) == ("resolved", at(20))
    assert half.incident.alert_id == incident.alert_id


def test_what_is_over_shows_its_last_words_and_how_bad_it_was():
    incident = incident_after(
        fires(0, severity="critical", text="Why", link="https://a.example", starts_at=at(-5)),
        ends(10, severity="info", title="B", ends_at=at(7)),
    )

    assert (incident.title, incident.severity, incident.text) == ("B", "critical", "Why")
    assert (incident.link, incident.starts_at, incident.ends_at) == (
        "https://a.example",
        at(-5),
        at(7),
    )


def test_a_repeat_changes_the_row_once_a_day():
    incidents = [
        incident_after(fires(0), *[fires(60 * hour) for hour in range(1, hours)])
        for hours in (2, 24, 25, 48)
    ]

    assert [each.last_event_at for each in incidents] == [
        at(0),
        at(0),
        at(24 * 60),
        at(24 * 60),
    ]


@pytest.mark.parametrize(
    "query", ["dryRun=yes", "dryRun=1", "minSeverity=bad", "topic=a&topic=b", "invented=a"]
)
def test_a_url_that_asks_for_what_is_not_there_is_refused(query):
    with pytest.raises(InvalidRequestError, match=f"^{query.partition('=')[0]}: "):
        EventQuery.from_url(parse_qs(query))


def test_two_urls_are_two_audiences_whatever_order_and_key_they_have():
    def told(query: str) -> str:
        return EventQuery.from_url(parse_qs(query)).who_is_told

    assert told("interest=a&interest=b&code=1") == told("code=2&interest=b&interest=a&dryRun=true")
    same = ["", "access_token=a", "answers=take", "dryRun=true", "dryRun=False"]
    assert {told(each) for each in same} == {told("")}
    others = ["", "interest=a", "topic=a", "channelId=a", "tenantId=a", "minSeverity=info"]
    assert len({told(each) for each in others}) == len(others)
    assert EventQuery.from_who_is_told(told("interest=a&topic=b")).topic == "b"
