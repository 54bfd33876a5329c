"""The time, as it is now and as it is written.

What is tried on another day than today takes a clock.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]

# The grammar of RFC 3339, section 5.6.
_TIME = re.compile(
    r"(?P<to_minute>\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):[0-5]\d):(?P<second>[0-5]\d|60)"
    r"(?P<rest>(?:\.\d+)?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d))",
    re.ASCII | re.IGNORECASE,
)


def utc_now() -> datetime:
    """Return the time now."""
    return datetime.now(UTC)


def read_time(text: str) -> datetime:
    """Return the time that is written as RFC 3339 has it; raise ValueError for anything else.

    A leap second is the second after it. Years before 1970 are defaults of somebody's code, and
    storage takes no year 1. Years from 9000 on leave no room for adding to them.
    """
    written = _TIME.fullmatch(text)
    if written is None or not 1970 <= int(text[:4]) < 9000:
        raise ValueError("not a time")
    if written["second"] != "60":
        return datetime.fromisoformat(text.upper())
    minute = datetime.fromisoformat(f"{written['to_minute']}:59{written['rest']}".upper())
    second_after = minute.replace(microsecond=0) + timedelta(seconds=1)
    in_utc = second_after.astimezone(UTC)
    # There are leap seconds at the end of a month only.
    if (in_utc.day, in_utc.hour, in_utc.minute) != (1, 0, 0):
        raise ValueError("not a leap second")
    return second_after
