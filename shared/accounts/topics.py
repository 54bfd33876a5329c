"""Topics: when two of them are the same, however people and other systems write them."""

from collections.abc import Iterable
from functools import lru_cache
from unicodedata import category, normalize

CLOSING = " .!?\u2026\u3002\u200b\u200c\u200d\u200e\u200f\ufeff"
"""What may end a sentence with a topic, and is then no part of what a person writes of it."""

# Keyboards make curly ones of straight ones.
_QUOTATION_MARKS = "\"'`\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb\u2039\u203a"
_WITHOUT_QUOTATION_MARKS = str.maketrans("", "", _QUOTATION_MARKS)
# An alert compares the topics of everybody, and most people have the same few.
_MOST_KEYS = 2_000


@lru_cache(_MOST_KEYS)
def topic_key(topic: str) -> str:
    """Return what a topic is compared by: ``Yahoo!`` and ``yahoo`` are the same.

    White space, quotation marks and what ends a sentence do not count, nor does what ``folded``
    leaves out. A topic of nothing else is compared by all that it has.
    """
    words = " ".join(folded(topic).translate(_WITHOUT_QUOTATION_MARKS).split())
    return words.rstrip(CLOSING) or topic


def topics_by_key(topics: Iterable[str]) -> dict[str, str]:
    """Return topics by their keys: each is there once, as it is written first."""
    by_key: dict[str, str] = {}
    for topic in topics:
        by_key.setdefault(topic_key(topic), topic)
    return by_key


def have_topic_in_common(some: Iterable[str], others: Iterable[str]) -> bool:
    """Tell whether any topic is among both."""
    return not set(map(topic_key, some)).isdisjoint(map(topic_key, others))


def folded(text: str) -> str:
    """Return a text as it is compared: in lower case, and without what cannot be seen.

    Full-width letters are letters, an accent is the same in one character or two, a Turkish i with
    or without its dot is one, and what formats (soft hyphens, zero widths) is nothing.
    """
    seen = "".join(each for each in normalize("NFKC", text) if category(each) != "Cf")
    return normalize("NFKC", seen.casefold()).replace("i\u0307", "i").replace("\u0131", "i")
