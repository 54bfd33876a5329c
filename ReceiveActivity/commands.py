"""What a person can tell the bot about alerts, by writing to it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.accounts.account import LARGEST_PREFERENCES
from shared.accounts.topics import CLOSING, folded, topic_key, topics_by_key
from shared.json_text import require_size

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
MOST_TO_FOLLOW = LARGEST_PREFERENCES // 2
"""In bytes of UTF-16: the rest is left for what other systems tell, and for what people mute."""


@dataclass(frozen=True)
class Command:
    """A command: ``stop``, ``start``, ``interests``, ``help``, or one of the others with a topic.

    ``hello``, and what was ``not understood``, are answered as ``help`` is. A command whose
    topic there is no room for is ``full``.
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
        """Return the preferences as they are after the command.

        Raises RequestTooLargeError for one topic more than there is room for.
        """
        interests = list(preferences.get("interests") or ())
        muted_topics = list(preferences.get("mutedTopics") or ())
        known = topics_by_key([*interests, *muted_topics])
        topic = known.get(topic_key(self.topic), self.topic)
        wanted = dict(preferences)
        match self.verb:
            case "stop":
                wanted["muted"] = True
            case "start":
                wanted["muted"] = False
            case "follow":
                wanted["interests"] = with_topic(interests, topic)
                wanted["mutedTopics"] = without_topic(muted_topics, topic)
            case "unfollow":
                wanted["interests"] = without_topic(interests, topic)
            case "mute":
                wanted["mutedTopics"] = with_topic(muted_topics, topic)
            case "unmute":
                wanted["mutedTopics"] = without_topic(muted_topics, topic)
        if _count(wanted) > _count(preferences):
            require_size(wanted, MOST_TO_FOLLOW if self.verb == "follow" else LARGEST_PREFERENCES)
        return {name: value for name, value in wanted.items() if value != []}


HELLO = Command("hello")
NOT_UNDERSTOOD = Command("not understood")


def read_command(text: str, offered: Iterable[str] = ()) -> Command | None:
    """Return the command that a person wrote, None when it is none.

    ``mute``, ``unmute``, ``follow`` and ``unfollow`` name a topic; the others stand alone. What
    stands around a word and is no letter or digit does not count: ``/stop``, ``Stop!``. A topic
    that is ``offered`` is spelled as it is offered.
    """
    verb = _folded(text)
    if verb in _WITHOUT_TOPIC:
        return Command(_WITHOUT_TOPIC[verb])
    first, _, rest = " ".join(_BEFORE.sub("", text).split()).partition(" ")
    verb, topic = _folded(first), rest.rstrip(CLOSING)
    if verb in _WITH_TOPIC and 0 < len(topic) <= _LONGEST_TOPIC:
        return Command(verb, topics_by_key(offered).get(topic_key(topic), topic))
    return None


def with_topic(topics: Iterable[str], topic: str) -> list[str]:
    """Return the topics with one more, at the end, unless it is there."""
    return list(topics_by_key([*topics, topic]).values())


def without_topic(topics: Iterable[str], topic: str) -> list[str]:
    """Return the topics without one of them."""
    return [each for each in topics if topic_key(each) != topic_key(topic)]


def _count(preferences: Mapping[str, Any]) -> int:
    """Return how many topics stand in preferences."""
    return sum(len(preferences.get(name) or ()) for name in ("interests", "mutedTopics"))


def _folded(words: str) -> str:
    """Return words as they are compared, without what stands around them."""
    within = _WITHIN.search(folded(words))
    return within[0] if within else ""
