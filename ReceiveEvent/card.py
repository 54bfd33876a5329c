"""What people are shown of an incident: a card in each language, and a text where there are none.

What the sender says is data of the alert: its placeholders are filled in, and what comes of that is
read by nobody again. In the card it is plain text. Only our own dates and times are left for the
card to read, so that everybody sees the time of their own clock.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from ReceiveEvent.card_words import SENDER_NAMES, WORDS, Words
from shared.alerts.incidents import Incident
from shared.alerts.plain_text import lines_of, plain, text_runs
from shared.wire_models import ADAPTIVE_CARD

# All elements that it has are of 1.2. Web Chat shows an error for a card that is newer than itself.
_VERSION = "1.2"
# Of the text for channels without cards: Teams counts it too, and a text message is short.
_LONGEST_EXCERPT = 500
_LONGEST_LINK_IN_TEXT = 500
_MOST_DETAILS_IN_TEXT = 3

_LOCAL_TIME = "{{{{DATE({0:%Y-%m-%dT%H:%M:%SZ}, SHORT)}}}}, {{{{TIME({0:%Y-%m-%dT%H:%M:%SZ})}}}}"
_HOST = re.compile(r"[a-z0-9._:-]{1,253}")

_STYLES: Mapping[str | None, str] = {
    "critical": "attention",
    "error": "attention",
    "warning": "warning",
    "info": "accent",
}


def content_of(incident: Incident, now: datetime, *, in_short: bool = False) -> dict[str, Any]:
    """Return the JSON of what an alert says of an incident as it stands.

    Its texts are as short as those of an Event, so that it fits every channel. ``in_short`` it fits
    where the setting LargestActivityKilobytes allows less, down to 28 KB.
    """
    if in_short:
        incident = replace(
            incident,
            text=_cut(incident.text),
            details=dict(list(incident.details.items())[:_MOST_DETAILS_IN_TEXT]),
            link=incident.link if len(incident.link or "") <= _LONGEST_LINK_IN_TEXT else None,
        )
    lines = lines_of(incident.text)
    details = [{"name": name, "value": value} for name, value in incident.details.items()]
    host = _host_of(incident.link) if incident.link else None
    data = {
        "title": plain(incident.title),
        "topic": plain(incident.topic),
        "lines": [plain(line) for line in lines],
        "excerpt": _cut(" ".join(lines)),
        "details": [{name: plain(text) for name, text in each.items()} for each in details],
        "host": host,
        "link": incident.link,
    }
    activities = {locale: _activity(incident, now, data, locale) for locale in WORDS}
    return {"activities": activities, "data": data}


def _activity(
    incident: Incident, now: datetime, data: Mapping[str, Any], locale: str
) -> dict[str, Any]:
    words = WORDS[locale]
    state = _state(incident, now, words)
    card = {
        "type": "AdaptiveCard",
        "version": _VERSION,
        "lang": locale,
        "fallbackText": "\n".join(_text(incident, data, words, state)),
        "body": list(_body(incident, data, words, state)),
        "actions": list(_actions(data, words)),
    }
    return {
        "type": "message",
        "summary": f"{state}: ${{data.title}}",
        "attachments": [{"contentType": ADAPTIVE_CARD, "content": card}],
    }


def _state(incident: Incident, now: datetime, words: Words) -> str:
    """Return how bad it is, or how long it lasted."""
    if incident.state == "firing":
        is_news = not incident.tells_end and incident.severity is None
        return words.news if is_news else words.firing.get(incident.severity, words.firing[None])
    if incident.starts_at is None:
        return words.resolved
    lasted = (incident.ends_at or now) - incident.starts_at
    return words.resolved_after.format(duration=_duration(lasted, words))


def _duration(lasted: timedelta, words: Words) -> str:
    """Return a duration in the two largest units that it has."""
    minutes = max(lasted, timedelta()) // timedelta(minutes=1)
    counts = {"day": minutes // 1440, "hour": minutes // 60 % 24, "minute": minutes % 60}
    said = [f"{count} {words.units[unit][count != 1]}" for unit, count in counts.items() if count]
    return " ".join(said[:2]) or words.less_than_a_minute


def _body(
    incident: Incident, data: Mapping[str, Any], words: Words, state: str
) -> Iterator[dict[str, Any]]:
    is_firing = incident.state == "firing"
    yield {
        "type": "Container",
        "style": _STYLES.get(incident.severity, "emphasis") if is_firing else "good",
        "bleed": True,
        "items": [
            {"type": "TextBlock", "text": state, "weight": "Bolder", "wrap": True},
            text_runs(
                {"text": "${data.title}", "size": "Large", "weight": "Bolder"}, spacing="None"
            ),
        ],
    }
    for index in range(len(data["lines"])):
        spacing = "Small" if index else "Default"
        yield text_runs({"text": f"${{data.lines.{index}}}"}, spacing=spacing)
    for index in range(len(data["details"])):
        path = f"data.details.{index}"
        name = {"text": f"${{{path}.name}}: ", "isSubtle": True}
        spacing = "None" if index else "Default"
        yield text_runs(name, {"text": f"${{{path}.value}}"}, spacing=spacing)
    if times := _times(incident, words, _LOCAL_TIME):
        yield {"type": "TextBlock", "text": times, "isSubtle": True, "wrap": True}
    yield text_runs({"text": _origin(incident, words), "isSubtle": True}, spacing="Small")


def _actions(data: Mapping[str, Any], words: Words) -> Iterator[dict[str, Any]]:
    if data["host"]:
        title = words.open_link.format(host="${data.host}")
        yield {"type": "Action.OpenUrl", "title": title, "url": "${data.link}"}


def _text(incident: Incident, data: Mapping[str, Any], words: Words, state: str) -> Iterator[str]:
    """Yield the lines for channels without cards."""
    yield f"{state}: ${{data.title}}"
    if data["excerpt"]:
        yield "${data.excerpt}"
    for index in range(min(len(data["details"]), _MOST_DETAILS_IN_TEXT)):
        yield f"${{data.details.{index}.name}}: ${{data.details.{index}.value}}"
    if times := _times(incident, words, "{0:%Y-%m-%d %H:%M} UTC"):
        yield times
    yield _origin(incident, words)
    if data["host"] and len(data["link"]) <= _LONGEST_LINK_IN_TEXT:
        yield "${data.link}"


def _times(incident: Incident, words: Words, form: str) -> str:
    """Return since when, or from when to when, it is so; ``form`` is how a time is written."""
    moments = [incident.starts_at]
    if incident.state == "resolved":
        moments.append(incident.ends_at)
    written = [form.format(each.astimezone(UTC)) for each in moments if each is not None]
    is_planned = incident.starts_at is not None and incident.starts_at > incident.last_event_at
    if incident.state == "firing" and incident.tells_end and not is_planned:
        return "".join(words.since.format(time=each) for each in written)
    return " → ".join(written)


def _origin(incident: Incident, words: Words) -> str:
    sender = SENDER_NAMES.get(incident.sender)
    return f"{words.topic}: ${{data.topic}}" + (f" · {sender}" if sender else "")


def _host_of(link: str) -> str | None:
    """Return the host of a link as ASCII; None where it cannot be named for certain."""
    try:
        host = (urlsplit(link).hostname or "").encode("idna").decode().lower()
    except ValueError:
        return None
    return host if _HOST.fullmatch(host) else None


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_EXCERPT else f"{text[: _LONGEST_EXCERPT - 1]}…"
