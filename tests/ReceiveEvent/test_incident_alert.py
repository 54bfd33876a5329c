"""The alert of an incident, whatever dies on the way: people have what its row says."""

import json
import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from ReceiveEvent.event import Event
from ReceiveEvent.request import EventQuery, IncidentQuery, ReceivedEvents
from ReceiveEvent.responses import incident_body
from ReceiveEvent.service import act_on_queued_events, decisions_on, list_incidents
from shared.messages.queue_names import SEND_ALERT
from shared.sending import alert_lifecycle
from shared.sending.alert_lifecycle import cancel_alert, recall_alert
from shared.settings import Settings
from shared.wiring import Services
from tests.ReceiveEvent.receiving import QUERY, Killed, MortalSession, Receiving, message_of
from tests.ReceiveEvent.recorded import body_of, read
from tests.SendAlert.alerting import Alerting

TAKE = EventQuery(interest=["lifts"], answers="take")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FIRST = {"title": "Title-1", "occurrence": "1", "starts_at": NOON}
CHANGED = {**FIRST, "title": "Title-C"}
FIRST_ENDS = {**FIRST, "state": "resolved"}
SECOND = {"title": "Title-2", "occurrence": "2", "starts_at": NOON + timedelta(hours=1)}
SECOND_ENDS = {**SECOND, "state": "resolved"}
BEGAN = {"title": "Title-1", "occurrence": NOON.isoformat(), "starts_at": NOON}
BEGAN_ENDS = {**BEGAN, "state": "resolved"}
FIRES_ON = {**BEGAN, "title": "Title-2", "minutes": 120}


@pytest.fixture
def receiving(services, queue_reader, connector, app_settings, monkeypatch) -> Receiving:
    # A change goes round as soon as a test takes its steps.
    monkeypatch.setattr(alert_lifecycle, "KNOWN_AFTER_SECONDS", 0)
    alerting = Alerting(services, queue_reader, connector.url)
    alerting.know(1, preferences={"interests": ["disks"]})
    return Receiving(alerting, app_settings, connector)


IN_THE_END: dict[str, tuple[list[dict[str, Any]], list[str], list[str]]] = {
    # What came, what is seen where each was sent before the next one came, and where none was.
    "it begins": ([FIRST], ["Title-1"], ["Title-1"]),
    "it changes": ([FIRST, CHANGED], ["Title-C"], ["Title-C"]),
    "it ends": ([FIRST, FIRST_ENDS], ["Title-1 resolved"], []),
    "it flaps": ([FIRST, FIRST_ENDS, SECOND], ["Title-2"], ["Title-2"]),
    "a later one fires": ([FIRST, SECOND], ["Title-1 resolved", "Title-2"], ["Title-2"]),
    "it fires on after its end": (
        [BEGAN, BEGAN_ENDS, FIRES_ON],
        ["Title-1 resolved", "Title-2"],
        ["Title-2"],
    ),
}


@pytest.mark.parametrize("case", IN_THE_END)
@pytest.mark.parametrize("is_sent", [True, False], ids=["sent", "unsent"])
def test_wherever_a_process_dies_people_have_the_same_in_the_end(receiving, case, is_sent):
    (*earlier, last), if_sent, if_unsent = IN_THE_END[case]
    seen: list[list[str]] = []
    died = True
    while died:
        receiving.begin()
        for event in earlier:
            receiving.receive(event)
            if is_sent:
                receiving.finish()
        died = receiving.dies_at(last, len(seen) + 1)
        if died:
            receiving.receive(last)
        receiving.finish()
        seen.append(receiving.seen)
        assert receiving.incident.is_told

    assert len(seen) > 3
    assert seen == [if_sent if is_sent else if_unsent] * len(seen)


@pytest.mark.parametrize(
    ("earlier", "slow", "fast", "last"),
    [
        ([], FIRST, FIRST_ENDS, {"nothing"}),
        ([FIRST], CHANGED, FIRST_ENDS, {"resolved"}),
        ([FIRST], FIRST_ENDS, SECOND, {"Title-2"}),
        ([FIRST], SECOND, SECOND_ENDS, {"resolved"}),
    ],
)
def test_who_was_overtaken_takes_nothing_back(receiving, earlier, slow, fast, last):
    is_overtaken, write = True, 0
    while is_overtaken:
        receiving.begin()
        for event in earlier:
            receiving.receive(event)
            receiving.finish()
        write += 1
        is_overtaken = receiving.is_overtaken_at(slow, write, fast)
        receiving.finish()

        *others, newest = receiving.seen or ["nothing"]
        assert {each[-8:] for each in others} <= {"resolved"}
        assert {newest.rpartition(" ")[2]} == last or not is_overtaken
        assert receiving.incident.is_told
    assert write > 3


def test_what_alertmanager_resolves_by_mistake_is_told_anew(services, queue_reader):
    queue_reader(SEND_ALERT)
    query = EventQuery(interest=[uuid4().hex])

    def received(name: str) -> ReceivedEvents:
        name = f"alertmanager/{name}.json"
        return ReceivedEvents("alertmanager", query, read(name, body_of(name))[:1])

    def after(minutes: int, name: str) -> tuple[str, str | None]:
        act_on_queued_events(message_of(received(name), minutes=minutes), services)
        found = services.incidents.find("alertmanager", query.who_is_told, "116077f230907a62")
        return found.state, found.alert_id

    (_, first), *ended = after(-300, "firing"), after(-280, "firing-one-resolved")
    late = after(-279, "repeat")
    (_, second), *fires_on = after(-200, "repeat"), after(-190, "firing-second-joined")
    again = after(-180, "firing-one-resolved")
    [(_, foreseen)] = decisions_on(received("firing"), services)

    assert [*ended, late] == [("resolved", first)] * 2
    assert fires_on == [("firing", second)]
    assert again == ("resolved", second)
    assert services.alerts.find(first or "") != services.alerts.find(second or "")
    assert foreseen is not None
    assert foreseen.action == "alerted"


def test_what_ends_on_its_way_is_told_to_nobody_else_and_fires_anew_for_all(receiving):
    receiving.alerting.know(6, preferences={"interests": ["disks"]})
    receiving.receive(FIRST)
    receiving.take_one_page()
    told = receiving.seen
    receiving.receive(FIRST_ENDS)
    receiving.finish()
    ended = receiving.seen
    receiving.receive(SECOND)
    receiving.finish()

    assert told == ["Title-1"] * 3
    assert ended == ["Title-1 resolved"] * 3
    assert receiving.seen == ended + ["Title-2"] * 7


def test_of_what_fires_for_longer_than_its_alert_is_kept_nothing_more_is_told(receiving):
    receiving.receive(FIRST)
    receiving.finish()
    receiving.forget_alert()

    for event in (FIRST, CHANGED, FIRST_ENDS):
        receiving.receive(event)
    receiving.finish()

    assert receiving.seen == ["Title-1"]
    assert receiving.incident.state == "resolved"
    assert receiving.incident.is_told


@pytest.mark.parametrize(
    ("end", "foreseen", "seen"),
    [
        ("kept no more", "ignored", ["Title-2"]),
        ("cancelled", "edited", ["Title-C"]),
        ("recalled", "ignored", []),
    ],
)
def test_what_was_told_by_a_former_alert_is_told_by_no_second_one(receiving, end, foreseen, seen):
    for event in (FIRST, FIRST_ENDS, SECOND):
        receiving.receive(event)
        receiving.finish()
    if end == "kept no more":
        receiving.forget_alert()
    else:
        stop = cancel_alert if end == "cancelled" else recall_alert
        stop(receiving.incident.alert_id, receiving.alerting.services)
        receiving.finish()

    changed = {**SECOND, "title": "Title-C"}

    assert receiving.foresee(changed) == foreseen
    receiving.receive(changed)
    receiving.finish()
    assert receiving.seen == seen


def test_what_fires_anew_has_its_own_alert_where_the_former_one_is_too_old(receiving):
    receiving.receive(FIRST)
    receiving.finish()
    receiving.begin_long_ago()
    foreseen = []
    for event in (FIRST_ENDS, SECOND):
        foreseen.append(receiving.foresee(event))
        receiving.receive(event)
    receiving.finish()

    assert foreseen == ["ignored", "alerted"]
    assert receiving.seen == ["Title-1", "Title-2"]


def test_however_events_overtake_each_other_all_that_began_is_shown_as_over(
    services, app_settings, queue_reader
):
    queue_reader(SEND_ALERT)
    moments = [datetime(2026, 3, 1, hour, tzinfo=UTC) for hour in range(3)]
    events = [
        Event(
            key=f"{incident}",
            state=state,
            topic="disks",
            title=f"Title-{number}",
            occurrence=f"{number}",
            time=moment + timedelta(minutes=30 * (state == "resolved")),
        )
        for incident in range(12)
        for number, moment in enumerate(moments)
        for state in ("firing", "resolved")
    ]
    random.Random(7).shuffle(events)

    def act(event: Event) -> None:
        received = ReceivedEvents("generic", QUERY, [event])
        message = message_of(received)
        dying = Services.of(Settings.from_environment(app_settings))
        session = MortalSession(dying.storage._transport, len(event.title + event.key) % 4 + 1)
        vars(dying.storage)["_transport"] = session
        with suppress(Killed):
            act_on_queued_events(message, dying)
        act_on_queued_events(message, services)

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(act, events))

    incidents, _ = services.incidents.page(100)
    alerts, _ = services.alerts.page(100)
    assert {(each.state, each.is_told) for each in incidents} == {("resolved", True)}
    assert {each.occurrence for each in incidents} == {"2"}
    assert len(incidents) == 12
    assert alerts
    for alert in alerts:
        shown = services.alerts.content(alert).activity(
            topic=alert.topic, name=None, locale=None, default_locale="en"
        )
        assert "resolved" in json.dumps(shown.to_json()).lower()


def test_an_incident_can_be_taken_while_it_fires_and_stays_taken(receiving, services):
    receiving.query = TAKE
    [reader] = receiving.alerting.know(1, name="Kim", preferences={"interests": ["lifts"]})
    offered = []
    for event in (FIRST, FIRST_ENDS, SECOND, {**SECOND, "title": "Title-T"}, SECOND_ENDS):
        if event.get("title") == "Title-T":
            receiving.is_taken_by(reader)
        receiving.receive(event)
        receiving.finish()
        offered.append(receiving.offers)

    assert offered == ["I take it", "Topic: disks", "I take it", *["Taken by Kim"] * 2]
    listed, _ = list_incidents(IncidentQuery(), services)
    [found] = [each for each in listed if each[0].key == receiving.key]
    body = incident_body(*found)
    kim = {"channelId": "msteams", "userId": reader.user_id, "name": "Kim"}
    assert (body["state"], body["takenBy"]) == ("resolved", kim)


def test_what_is_too_large_for_a_channel_is_told_in_short(receiving, app_settings, connector):
    smaller = {**app_settings, "LargestActivityKilobytes": "slack=28"}
    limited = Receiving(receiving.alerting, smaller, connector)
    large = {"text": "x" * 4_000, "details": {f"{n}{'x' * 197}": "x" * 200 for n in range(20)}}

    for event, seen in ((FIRST, "Title-1"), (FIRST_ENDS, "Title-1 resolved")):
        limited.receive({**event, **large})
        limited.finish()
        assert limited.seen == [seen]
        said = json.dumps(connector.requests[-1].json)
        assert "x" * 400 in said
        assert "x" * 600 not in said
