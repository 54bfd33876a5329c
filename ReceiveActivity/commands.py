"""What a person can tell the bot about alerts, by writing to it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from unicodedata import category, normalize

_WITHOUT_TOPIC = ("stop", "start", "interests")
_WITH_TOPIC = ("mute", "follow", "unfollow")
_LONGEST_TOPIC = 200
# Slashes, quotation marks, bullets, emojis: what is no letter and no digit.
_BEFORE = re.compile(r"^[\W_]+")
_AROUND = re.compile(r"^[\W_]+|[\W_]+$")
_CLOSING = re.compile(r"[\s.!?\u2026\u3002\u200b-\u200f\ufeff]+$")
# Of 200 characters each, in one property of a row that takes 32 K.
_MOST_TOPICS = 50


@dataclass(frozen=True)
class Command:
    """A command: ``stop``, ``start``, ``interests``, or one of the others with a topic."""

    verb: str
    topic: str = ""

    @property
    def sets_muted(self) -> bool:
        """Whether it is about all alerts, not about a topic."""
        return self.verb in ("stop", "start")

    @property
    def wants_less(self) -> bool:
        """Whether it gives up a topic."""
        return self.verb in ("mute", "unfollow")


def read_command(text: str) -> Command | None:
    """Return the command that a person wrote, None when it is none.

    ``stop``, ``start`` and ``interests`` stand alone; ``mute``, ``follow`` and ``unfollow`` name a
    topic. What stands around a word and is no letter or digit does not count: ``/stop``, ``Stop!``.
    Everything else is for the bot's own conversation.
    """
    verb = _folded(text)
    if verb in _WITHOUT_TOPIC:
        return Command(verb)
    first, _, rest = " ".join(_BEFORE.sub("", text).split()).partition(" ")
    verb, topic = _folded(first), _CLOSING.sub("", rest)
    if verb in _WITH_TOPIC and 0 < len(topic) <= _LONGEST_TOPIC:
        return Command(verb, topic)
    return None


def apply_command(command: Command, preferences: Mapping[str, Any]) -> dict[str, Any]:
    """Return the preferences as they are after the command."""
    interests = list(preferences.get("interests") or ())
    muted_topics = list(preferences.get("mutedTopics") or ())
    wanted = dict(preferences)
    match command.verb:
        case "stop":
            wanted["muted"] = True
        case "start":
            wanted["muted"] = False
        case "follow":
            wanted["interests"] = [*_without(interests, command.topic), command.topic][
                -_MOST_TOPICS:
            ]
            wanted["mutedTopics"] = _without(muted_topics, command.topic)
        case "unfollow":
            wanted["interests"] = _without(interests, command.topic)
        case "mute":
            wanted["mutedTopics"] = [*_without(muted_topics, command.topic), command.topic][
                -_MOST_TOPICS:
            ]
    return {name: value for name, value in wanted.items() if value != []}


def _folded(words: str) -> str:
    """Return words as they are compared: in lower case, without what stands around or in them.

    Full-width letters are letters, a Turkish i with or without its dot is one, and what formats
    without being seen (soft hyphens, zero widths) is nothing.
    """
    seen = (each for each in normalize("NFKC", words) if category(each) != "Cf")
    return _AROUND.sub("", "".join(seen)).casefold().replace("i\u0307", "i").replace("\u0131", "i")


def _without(topics: list[str], topic: str) -> list[str]:
    return [each for each in topics if each.casefold() != topic.casefold()]
