"""Languages: choosing the text that a person reads best, and the people who read one."""

from collections.abc import Iterable


def is_within(tag: str, wanted: str) -> bool:
    """Tell whether a language tag is the wanted one or a kind of it: ``de-AT`` is within ``de``.

    This is the basic filtering of RFC 4647, section 3.3.1.
    """
    tag, wanted = tag.lower(), wanted.lower()
    return wanted == "*" or tag == wanted or tag.startswith(f"{wanted}-")


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
