"""The words of ours on the card of an incident, by language; a new language is a new entry."""

from collections.abc import Mapping
from dataclasses import dataclass

SENDER_NAMES: Mapping[str, str] = {
    "alertmanager": "Alertmanager",
    "azure-devops": "Azure DevOps",
    "azure-monitor": "Azure Monitor",
    "event-grid": "Event Grid",
    "github": "GitHub",
    "grafana": "Grafana",
}
"""What people call a sender; a format that anybody may use has no name."""


@dataclass(frozen=True)
class Words:
    """The words of one language.

    ``firing`` is how bad it is: by severity, and for what has none. ``news`` is what just happened
    and has no severity. ``units`` are what a duration is counted in, one and many of them, as they
    stand after the word for 'after'.
    """

    firing: Mapping[str | None, str]
    news: str
    resolved: str
    resolved_after: str
    since: str
    topic: str
    open_link: str
    take: str
    less_than_a_minute: str
    units: Mapping[str, tuple[str, str]]


WORDS: Mapping[str, Words] = {
    "en": Words(
        firing={
            "critical": "Critical",
            "error": "Error",
            "warning": "Warning",
            "info": "Information",
            None: "Open",
        },
        news="New",
        resolved="Resolved",
        resolved_after="Resolved after {duration}",
        since="Since {time}",
        topic="Topic",
        open_link="Open {host}",
        take="I take it",
        less_than_a_minute="less than a minute",
        units={
            "day": ("day", "days"),
            "hour": ("hour", "hours"),
            "minute": ("minute", "minutes"),
        },
    ),
    "de": Words(
        firing={
            "critical": "Kritisch",
            "error": "Fehler",
            "warning": "Warnung",
            "info": "Hinweis",
            None: "Offen",
        },
        news="Neu",
        resolved="Behoben",
        resolved_after="Behoben nach {duration}",
        since="Seit {time}",
        topic="Thema",
        open_link="{host} öffnen",
        take="Ich übernehme",
        less_than_a_minute="weniger als einer Minute",
        units={
            "day": ("Tag", "Tagen"),
            "hour": ("Stunde", "Stunden"),
            "minute": ("Minute", "Minuten"),
        },
    ),
}
