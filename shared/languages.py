"""Choosing the text that a person reads best."""

from collections.abc import Iterable


def best_match(available: Iterable[str], *wanted: str) -> str:
    """Return the best of the ``available`` language tags for the first ``wanted`` that has one.

    This is the lookup of RFC 4647, section 3.4: a wanted tag is shortened from its end until it is
    available, and a single letter left at the end goes with it. When nothing fits, the first of
    the available tags is returned.
    """
    tags = list(available)
    by_lower_case = {tag.lower(): tag for tag in reversed(tags)}
    for tag in wanted:
        parts = tag.lower().split("-")
        while parts:
            match = by_lower_case.get("-".join(parts))
            if match is not None:
                return match
            parts.pop()
            if parts and len(parts[-1]) == 1:
                parts.pop()
    return tags[0]
