"""What an event makes of its incident, and what that means to the people who are told."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

from ReceiveEvent.event import SEVERITIES, Event
from ReceiveEvent.request import EventQuery
from shared.alerts.incidents import Incident

Action: TypeAlias = Literal["alerted", "edited", "repeated", "ignored"]

FLAPS_FOR = timedelta(minutes=10)
"""What fires again so soon after its end is told by the alert that people have already."""

# What is received sooner after an end may have been under way before it: Alertmanager tries again
# within 90 seconds. Its next request comes after group_interval, which is 5 minutes by default.
_COMES_LATE_FOR = timedelta(minutes=2)
_REPEATS_FOR = timedelta(hours=4)
_NOTED_EVERY = timedelta(days=1)


@dataclass(frozen=True)
class Decision:
    """The incident as it is after an event, and what people notice of that.

    ``reason`` says why an event is ignored. With ``is_first_half`` people are to be shown first
    that the former occurrence is over; then the event is to be decided once more.
    """

    incident: Incident | None
    action: Action
    reason: str | None = None
    is_first_half: bool = False


def decide(
    known: Incident | None, event: Event, now: datetime, *, sender: str, query: EventQuery
) -> Decision:
    """Return what becomes of an incident by an event of it; None where none is known yet.

    ``now`` is when the event was received, however long it has waited since.
    """
    if known is not None and _fires_on(known, event, now):
        return _begin(known, event, now, query)
    if known is not None and (_is_older(event, known, now) or _is_of_before(known, now)):
        return Decision(known, "ignored", "It is older than what was told last")
    if event.state == "resolved":
        if known is None:
            # What fires later, but began earlier, finds that it is over.
            return _nothing_fires(_heard_of(event, now, sender=sender, query=query))
        return _end(known, event, now)
    if known is None:
        return _begin(_heard_of(event, now, sender=sender, query=query), event, now, query)
    if known.state == "firing" and _is_same(known, event, now):
        return _go_on(known, event, now)
    if known.state == "resolved" and _is_told_again(event, known):
        return Decision(known, "ignored", "It was resolved already")
    if known.state == "firing" and event.tells_end and not _reason_against(event, query):
        return Decision(_over(known, event, now), "edited", is_first_half=True)
    return _begin(known, event, now, query)


def _heard_of(event: Event, now: datetime, *, sender: str, query: EventQuery) -> Incident:
    """Return the incident of the first event that is heard of it, which nothing tells of yet."""
    return Incident(
        sender=sender,
        query=query.who_is_told,
        key=event.key,
        state=event.state,
        topic=query.topic or event.topic,
        title=event.title,
        last_event_at=now,
        occurrence=event.occurrence,
        time=_time(event),
        ends_at=event.ends_at,
        tells_end=event.tells_end,
    )


def _begin(known: Incident, event: Event, now: datetime, query: EventQuery) -> Decision:
    """Return the next occurrence, told by an alert of its own, or by that of a former one."""
    if (reason := _reason_against(event, query)) is not None:
        is_new = known.state == "firing" and known.alert_id is None
        return Decision(None if is_new else known, "ignored", reason)
    if not known.is_told:
        return Decision(known, "edited", is_first_half=True)
    begun = replace(
        known,
        **_shown(event),
        state="firing",
        topic=query.topic or event.topic,
        occurrence=event.occurrence,
        time=_time(event) or known.time,
        last_event_at=now,
        starts_at=event.starts_at or now,
        ends_at=None,
        tells_end=event.tells_end,
        resolved_at=None,
        fires_on_since=now if _fires_on(known, event, now) else None,
        revision=known.revision + 1,
        first_revision=known.revision + 1,
        takes_answers=query.answers == "take",
    )
    flaps = known.resolved_at is not None and now - known.resolved_at < FLAPS_FOR
    if known.alert_id is not None and flaps:
        return Decision(begun, "edited")
    return Decision(replace(begun, alert_id=begun.own_alert_id, told=None), "alerted")


def _go_on(known: Incident, event: Event, now: datetime) -> Decision:
    """Return an occurrence that fires on."""
    told = replace(known, time=_time(event) or known.time, last_event_at=now)
    if event.words != _words(known):
        edited = replace(told, **_shown(event), revision=known.revision + 1)
        return Decision(edited, "edited")
    # When a rule that tells no end fired last decides whether it is the same the next time.
    is_noted = now - known.last_event_at < _NOTED_EVERY and (event.occurrence or event.tells_end)
    return Decision(known if is_noted else told, "repeated")


def _end(known: Incident, event: Event, now: datetime) -> Decision:
    """Return an incident that is resolved, or was already."""
    is_named = event.occurrence is not None
    is_same = event.occurrence == known.occurrence
    if known.state == "firing":
        is_other = is_named and not is_same and known.occurrence is not None
        if is_other and (known.time is None or _time(event) is None):
            return _nothing_fires(known)
        return Decision(_over(known, event, now, resolved_at=now), "edited")
    noted = replace(known, time=_time(event) or known.time, last_event_at=now)
    said_later = replace(noted, **_last_words(known, event))
    if is_named and is_same and known.alert_id and _words(said_later) != _words(known):
        return Decision(replace(said_later, revision=known.revision + 1), "edited")
    is_news = not is_same if is_named else _time(event) is None or noted.time != known.time
    return _nothing_fires(
        replace(noted, occurrence=event.occurrence or known.occurrence) if is_news else known
    )


def _nothing_fires(incident: Incident) -> Decision:
    return Decision(incident, "ignored", "Nothing fires that it could end")


def _over(
    known: Incident, event: Event, now: datetime, *, resolved_at: datetime | None = None
) -> Incident:
    """Return an incident whose occurrence has come to its end, by its own end or by a later one."""
    is_resolved = event.state == "resolved"
    began = known.starts_at or event.starts_at or now
    ends_at = (event.ends_at if is_resolved else event.starts_at) or now
    last = _last_words(known, event) if is_resolved else {}
    ended = replace(
        known,
        **last,
        state="resolved",
        time=(_time(event) if is_resolved else None) or known.time,
        last_event_at=now,
        starts_at=began,
        ends_at=max(began, ends_at),
        resolved_at=resolved_at,
        revision=known.revision + 1,
    )
    if not is_resolved or event.occurrence is None:
        return ended
    return replace(ended, occurrence=event.occurrence)


def _is_same(known: Incident, event: Event, now: datetime) -> bool:
    """Tell whether an event is of the occurrence that fires."""
    if event.occurrence is not None:
        return event.occurrence == known.occurrence
    return event.tells_end or now - known.last_event_at < _REPEATS_FOR


def _fires_on(known: Incident, event: Event, now: datetime) -> bool:
    """Tell whether an occurrence fires on although its sender has said that it is over.

    Alertmanager resolves what Prometheus is silent about for some minutes. Then it says once more
    that it fires since it began: https://github.com/prometheus/alertmanager/issues/952
    """
    if known.state == "firing" or event.state == "resolved" or not event.is_named_by_start:
        return False
    if now - known.last_event_at < _COMES_LATE_FOR:
        return False
    if _is_older(event, known, now):
        # When it began does not tell when that was said.
        return event.time in (None, event.starts_at)
    return event.occurrence == known.occurrence


def _is_of_before(known: Incident, now: datetime) -> bool:
    """Tell whether an event was received before we heard that the incident fires on."""
    return known.fires_on_since is not None and now < known.fires_on_since


def _is_older(event: Event, known: Incident, now: datetime) -> bool:
    """Tell whether an event is of before the last one, by when we heard of both if nothing else.

    A queue may give a message out once more, long after later ones, and keeps no order. What ends
    the start that fires comes after it, whatever two hosts' clocks say.
    """
    ends_it = event.state == "resolved" and known.state == "firing" and event.is_named_by_start
    if ends_it and event.occurrence == known.occurrence and known.fires_on_since is None:
        return False
    time = _time(event)
    if time is None or known.time is None or time == known.time:
        return now < known.last_event_at
    return time < known.time


def _is_told_again(event: Event, known: Incident) -> bool:
    """Tell whether what fires is what is over: it has its name, or where it has none, its time.

    What is opened again keeps its name, but says so later than the end.
    """
    time = _time(event)
    if event.occurrence is None:
        return time is not None and time == known.time
    is_later = time is not None and known.time is not None and time > known.time
    return event.occurrence == known.occurrence and (event.is_named_by_start or not is_later)


def _time(event: Event) -> datetime | None:
    """Return the sender's own time of an event."""
    ended = event.ends_at if event.state == "resolved" else None
    return event.time or ended or event.starts_at


def _reason_against(event: Event, query: EventQuery) -> str | None:
    """Return why nobody is told that an incident begins, or None."""
    if not (query.interest or query.topic or event.topic):
        return "It names no topic, and neither does the URL"
    if query.min_severity is None or event.severity is None:
        return None
    if SEVERITIES.index(event.severity) >= SEVERITIES.index(query.min_severity):
        return None
    return "It is less severe than the URL's minSeverity"


def _words(known: Incident) -> tuple[str | None, ...]:
    """Return what people are shown anew when it differs; see Event.words."""
    return known.title, known.severity, known.text, known.link if known.tells_end else None


def _shown(event: Event) -> dict[str, Any]:
    return {
        "title": event.title,
        "severity": event.severity,
        "text": event.text,
        "details": event.details,
        "link": event.link,
    }


def _last_words(known: Incident, event: Event) -> dict[str, Any]:
    """Return what a resolved incident shows: what its last event leaves out stays as it was."""
    last = {name: value for name, value in _shown(event).items() if value}
    # How bad it was, not how good it is.
    return {**last, "severity": known.severity or event.severity}
