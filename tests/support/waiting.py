"""Waiting for what another thread or process is about to do."""

import inspect
import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")

# Long enough for a busy machine; a passing test never waits for it.
PATIENCE_SECONDS = 300
_FIRST_PAUSE_SECONDS = 0.01
_LONGEST_PAUSE_SECONDS = 0.1


def until(
    condition: Callable[[], Value],
    *,
    seconds: float = PATIENCE_SECONDS,
    seeing: Callable[[], object] | None = None,
) -> Value:
    """Ask until the condition holds and return what it said.

    A failure tells the condition, and what `seeing` sees at that moment.
    """
    deadline = time.monotonic() + seconds
    pause = _FIRST_PAUSE_SECONDS
    while not (value := condition()):
        if time.monotonic() > deadline:
            seen = f"; saw {seeing()!r}" if seeing else f"; it said {value!r}"
            raise AssertionError(f"not within {seconds:g} s: {_source(condition)}{seen}")
        time.sleep(pause)
        # Who asks too often takes the processor from what is waited for.
        pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
    return value


def _source(condition: Callable[[], object]) -> str:
    try:
        return " ".join(inspect.getsource(condition).split())
    except (OSError, TypeError):  # typed in, or not written in Python
        return repr(condition)
