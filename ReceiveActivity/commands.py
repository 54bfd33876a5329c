"""What a person can tell the bot about alerts, by writing to it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from unicodedata import category, normalize

_WITHOUT_TOPIC = {
    "stop": "stop",
    "start": "start",
    "interests": "interests",
    "help": "help",
    "hilfe": "help",
    "hi": "hello",
    "hello": "hello",
    "hey": "hello",
    "hallo": "hello",
}
_WITH_TOPIC = ("mute", "unmute", "follow", "unfollow")
_LONGEST_TOPIC = 200
# Slashes, quotation marks, bullets, emojis: what is no letter and no digit.
_BEFORE = re.compile(r"^[\W_]+")
# From the first letter or digit to the last. A pattern for what stands around them would take its
# time with a long row of it.
_WITHIN = re.compile(r"[^\W_](?:.*[^\W_])?", re.DOTALL)
_CLOSING = " .!?\u2026\u3002\u200b\u200c\u200d\u200e\u200f\ufeff"
# Of 200 characters each, in one property of a row that takes 32 K.
_MOST_TOPICS = 50


@dataclass(frozen=True)
class Command:
    """A command: ``stop``, ``start``, ``interests``, ``help``, or one of the others with a topic.

    ``hello``, and what was ``not understood``, are answered as ``help`` is.
    """

    verb: str
    topic: str = ""

    @property
    def is_talk(self) -> bool:
        """Whether it is about the bot itself."""
        return self.verb in ("help", "hello", "not understood")

    @property
    def only_asks(self) -> bool:
        """Whether it changes nothing."""
        return self.is_talk or self.verb == "interests"

    @property
    def sets_muted(self) -> bool:
        """Whether it is about all alerts, not about a topic."""
        return self.verb in ("stop", "start")

    @property
    def less(self) -> "Command | None":
        """What of it gives up a topic, None where nothing does."""
        return self if self.verb in ("mute", "unfollow") else None

    def applied_to(self, preferences: Mapping[str, Any]) -> dict[str, Any]:
        """Return the preferences as they are after the command."""
        interests = list(preferences.get("interests") or ())
        muted_topics = list(preferences.get("mutedTopics") or ())
        wanted = dict(preferences)
        match self.verb:
            case "stop":
                wanted["muted"] = True
            case "start":
                wanted["muted"] = False
            case "follow":
                wanted["interests"] = with_topic(interests, self.topic)[-_MOST_TOPICS:]
                wanted["mutedTopics"] = without_topics(muted_topics, self.topic)
            case "unfollow":
                wanted["interests"] = without_topics(interests, self.topic)
            case "mute":
                wanted["mutedTopics"] = with_topic(muted_topics, self.topic)[-_MOST_TOPICS:]
            case "unmute":
                wanted["mutedTopics"] = without_topics(muted_topics, self.topic)
        return {name: value for name, value in wanted.items() if value != []}


HELLO = Command("hello")
NOT_UNDERSTOOD = Command("not understood")


def read_command(text: str) -> Command | None:
    """Return the command that a person wrote, None when it is none.

    ``mute``, ``unmute``, ``follow`` and ``unfollow`` name a topic; the others stand alone. What
    stands around a word and is no letter or digit does not count: ``/stop``, ``Stop!``.
    """
    verb = _folded(text)
    if verb in _WITHOUT_TOPIC:
        return Command(_WITHOUT_TOPIC[verb])
    first, _, rest = " ".join(_BEFORE.sub("", text).split()).partition(" ")
    verb, topic = _folded(first), rest.rstrip(_CLOSING)
    if verb in _WITH_TOPIC and 0 < len(topic) <= _LONGEST_TOPIC:
        return Command(verb, topic)
    return None


def with_topic(topics: Iterable[str], topic: str) -> list[str]:
    """Return the topics with one more, at the end; in whatever case, it is there once."""
    return [*without_topics(topics, topic), topic]


def without_topics(topics: Iterable[str], *unwanted: str) -> list[str]:
    """Return the topics without those that are unwanted, in whatever case."""
    folded = {each.casefold() for each in unwanted}
    return [each for each in topics if each.casefold() not in folded]


def _folded(words: str) -> str:
    """Return words as they are compared: in lower case, without what stands around or in them.

    Full-width letters are letters, a Turkish i with or without its dot is one, and what formats
    without being seen (soft hyphens, zero widths) is nothing.
    """
    seen = (each for each in normalize("NFKC", words) if category(each) != "Cf")
    within = _WITHIN.search("".join(seen))
    folded = within[0].casefold() if within else ""
    return folded.replace("i\u0307", "i").replace("\u0131", "i")
