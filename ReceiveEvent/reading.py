"""Reading JSON of which nothing is certain: what is missing, or of another type, is empty."""

import json
import re
from contextlib import suppress
from datetime import UTC, datetime
from html import unescape
from typing import Any

_TAG = re.compile("<[^<>]*>")


def find(value: Any, *path: str | int) -> Any:
    """Return what stands at ``path``, names and positions in lists, or None."""
    for step in path:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and f"{step}".isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def text(value: Any, *path: str | int) -> str:
    """Return the text, number or truth value at ``path`` as text without white space around it."""
    found = find(value, *path)
    if isinstance(found, str):
        return found.strip()
    if isinstance(found, bool):
        return str(found).lower()
    if isinstance(found, float) and found.is_integer():
        return f"{found:.0f}"
    return str(found) if isinstance(found, int | float) else ""


def moment(value: Any, *path: str | int) -> datetime | None:
    """Return the time at ``path`` in UTC; None for what is none, has no zone, or is a default.

    Years before 1970 are defaults: 0001-01-01 is how Go writes that there is no time.
    """
    found = find(value, *path)
    if isinstance(found, str):
        with suppress(ValueError):
            time = datetime.fromisoformat(found.strip())
            if time.tzinfo is not None and 1970 <= time.year < 9000:
                return time.astimezone(UTC)
    return None


def items(value: Any, *path: str | int) -> list[Any]:
    """Return the list at ``path``, or an empty one."""
    found = find(value, *path)
    return found if isinstance(found, list) else []


def texts(value: Any, *path: str | int) -> dict[str, str]:
    """Return the members at ``path`` that have a text; their names without space around them."""
    found = find(value, *path)
    members = found.items() if isinstance(found, dict) else ()
    read = {str(name).strip(): text(member) for name, member in members}
    return {name: member for name, member in read.items() if member}


def parsed(value: Any) -> Any:
    """Return the JSON in a text, None where it is none, and what is no text as it is."""
    if not isinstance(value, str):
        return value
    with suppress(ValueError, RecursionError):
        return json.loads(value)
    return None


def mapping(value: Any, *path: str | int) -> dict[str, Any]:
    """Return the object at ``path``, or an empty one."""
    found = find(value, *path)
    return found if isinstance(found, dict) else {}


def first_text(value: Any, paths: str) -> str:
    """Return the first text that there is; paths are dotted, with a bar between them."""
    found = (text(value, *path.split(".")) for path in paths.split("|"))
    return next((each for each in found if each), "")


def texts_at(value: Any, paths: str) -> list[str]:
    """Return the texts at ``paths``, each as for first_text, with a space between them."""
    found = (first_text(value, each) for each in paths.split())
    return [each for each in found if each]


def without_tags(html: str) -> str:
    """Return what HTML says, which some senders also escape once more."""
    words = unescape(_TAG.sub(" ", unescape(html))).split()
    return " ".join(words)
