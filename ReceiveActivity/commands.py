"""What a person can tell the bot about alerts, by writing to it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_COMMAND = re.compile(
    r"(?P<verb>stop|start|interests|mute|follow|unfollow)(?:\s+(?P<topic>\S.{0,199}))?",
    re.IGNORECASE | re.DOTALL,
)
_WITHOUT_TOPIC = ("stop", "start", "interests")
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
    topic. Everything else is for the bot's own conversation.
    """
    match = _COMMAND.fullmatch(text.strip())
    if match is None:
        return None
    verb, topic = match["verb"].lower(), (match["topic"] or "").strip()
    if bool(topic) == (verb in _WITHOUT_TOPIC):
        return None
    return Command(verb, topic)


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


def _without(topics: list[str], topic: str) -> list[str]:
    return [each for each in topics if each.casefold() != topic.casefold()]
