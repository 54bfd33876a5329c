"""What another system says of one incident, in the same words whoever says it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

State: TypeAlias = Literal["firing", "resolved"]
Severity: TypeAlias = Literal["critical", "error", "warning", "info"]

SEVERITIES: tuple[Severity, ...] = ("info", "warning", "error", "critical")
"""From the least to the worst."""

_LONGEST_NAME = 200
_LONGEST_TEXT = 4_000
_MOST_DETAILS = 20
_LONGEST_ID = 500
# What is shown of a link is its host; a longer one could fill the card by itself.
_LONGEST_LINK = 4_000

# Neither a card nor a table's row takes all of these; a half surrogate pair has no UTF-8.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
# Browsers read a backslash as a slash, so the host that they go to would not be the one we name.
_NO_PART_OF_A_LINK = re.compile(r"[\s\\<>\"]")

_WORDS: dict[Severity, str] = {
    "critical": "critical crit fatal emergency emerg disaster page sev0",
    "error": "error err high major sev1 failure failed timed_out startup_failure incident security"
    " unavailable",
    "warning": "warning warn medium moderate minor sev2 partiallysucceeded degraded actionrequired",
    "info": "info information informational notice low debug trace verbose none sev3 sev4"
    " maintenance",
}
_SEVERITY_OF_WORD: dict[str, Severity] = {
    word: severity for severity, words in _WORDS.items() for word in words.split()
}


def severity_of(word: str) -> Severity | None:
    """Return how bad a sender's word is, or None for one that says nothing of it."""
    return _SEVERITY_OF_WORD.get(word.lower().replace(" ", ""))


def severity_of_number(number: str) -> Severity | None:
    """Return how bad an OpenTelemetry SeverityNumber is, 1 to 24, or None for none.

    Source: https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber
    """
    found = int(number) if re.fullmatch(r"[0-9]{1,2}", number) else 0
    limits: dict[Severity, int] = {"info": 12, "warning": 16, "error": 20, "critical": 24}
    return next((each for each, most in limits.items() if 1 <= found <= most), None)


def is_link(url: str) -> bool:
    """Tell whether it is a whole http or https URL, which a person can be sent to."""
    if len(url) > _LONGEST_LINK or _NO_PART_OF_A_LINK.search(url) or _UNPRINTABLE.search(url):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


@dataclass(frozen=True)
class Event:
    """One event: which incident it is of, what it says of it, and how that is shown.

    Every text is cut to what a card can hold. ``key`` is the incident's for this sender.
    ``occurrence`` is the sender's own name for this time that the incident fires. It is None where
    the sender has none, and where what resolves ends whatever fires: the run that succeeds is not
    the run that failed. ``time`` orders the events of an incident. ``tells_end`` is False for a
    rule that may never say that it is over, which has no ``occurrence`` and may fire anew, and for
    what just happens and has no state, which has one and does not.
    """

    key: str
    state: State
    topic: str
    title: str
    occurrence: str | None = None
    time: datetime | None = None
    severity: Severity | None = None
    text: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
    link: str | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    tells_end: bool = True

    def __post_init__(self) -> None:
        """Cut what is too long; drop a link that is none, and details without a text.

        Without times of its own, an incident begins when it fires, and ends when it is resolved.
        """
        details = {
            _cut(name, _LONGEST_NAME): _cut(value, _LONGEST_NAME)
            for name, value in self.details.items()
            if name and value
        }
        fitting = {
            "key": _whole_id(self.key),
            "occurrence": _whole_id(self.occurrence) if self.occurrence else None,
            "topic": _cut(self.topic, _LONGEST_NAME),
            "title": _cut(self.title, _LONGEST_NAME),
            "text": _cut(self.text, _LONGEST_TEXT),
            "details": dict(list(details.items())[:_MOST_DETAILS]),
            "link": self.link if self.link and is_link(self.link) else None,
            "starts_at": self.starts_at or (self.time if self.state == "firing" else None),
            "ends_at": self.ends_at or (self.time if self.state == "resolved" else None),
        }
        for name, value in fitting.items():
            object.__setattr__(self, name, value)

    @property
    def is_named_by_start(self) -> bool:
        """Whether the sender tells one occurrence from the next by when it began."""
        return self.starts_at is not None and self.occurrence == self.starts_at.isoformat()

    @property
    def words(self) -> tuple[str | None, ...]:
        """What people are shown anew when it differs.

        The link of a rule that tells no end names one evaluation, so each repeat has another.
        """
        return self.title, self.severity, self.text, self.link if self.tells_end else None


@dataclass(frozen=True)
class IgnoredEvent:
    """One event that is not acted on, and why not, in plain words for who set the sender up."""

    key: str | None
    reason: str

    def __post_init__(self) -> None:
        """Cut what is too long."""
        object.__setattr__(self, "key", _whole_id(self.key) if self.key else None)
        object.__setattr__(self, "reason", _cut(self.reason, _LONGEST_NAME))


def _cut(text: str, longest: int) -> str:
    if len(text) > longest:
        text = f"{text[: longest - 1]}…"
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def _whole_id(text: str) -> str:
    """Return an id that is as different as ``text``, and short enough to be kept."""
    if len(text) <= _LONGEST_ID and not _UNPRINTABLE.search(text):
        return text
    return f"sha256:{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"
