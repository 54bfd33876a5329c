"""Languages: how they are written, choosing the text that a person reads best, who reads one."""

import logging
import re
from collections.abc import Iterable, Mapping
from typing import Any

_logger = logging.getLogger(__name__)

_LONGEST_TAG = 64
# Behind a tag, POSIX names an encoding or a variant, Java a script, a browser what else it takes.
_LOCALE = re.compile(
    r"\s*(?P<tag>[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{1,8})*)[-_]*(?:[.@#,;].*)?\s*", re.DOTALL
)


def known_locale(locale: str) -> str | None:
    """Return a locale as a language tag of BCP 47; None, and a line in the log, where it is none.

    Clients write it in many ways: ``fr_FR``, ``EN-us``, ``zh-hans-cn``, ``de_DE.UTF-8``.
    """
    written = _LOCALE.fullmatch(locale)
    if written is None or len(written["tag"]) > _LONGEST_TAG:
        _logger.warning("A locale that names no language was dropped")
        return None
    language, *subtags = written["tag"].lower().replace("_", "-").split("-")
    tag, is_extension = [language], False
    for subtag in subtags:
        # RFC 5646, section 2.1.1.
        is_extension = is_extension or len(subtag) == 1
        if subtag.isalpha() and not is_extension and len(subtag) in (2, 4):
            subtag = subtag.upper() if len(subtag) == 2 else subtag.title()
        tag.append(subtag)
    return "-".join(tag)


def with_known_locale(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``body`` with its ``locale`` put right, or without it where it is none.

    It only says in which language something is written, or read, so it is no reason to refuse it.
    """
    known = dict(body)
    if isinstance(body.get("locale"), str):
        locale = known_locale(known.pop("locale"))
        known |= {"locale": locale} if locale is not None else {}
    return known


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
