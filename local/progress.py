"""How far an alert is: as a bar in a terminal, as a few plain lines in a log."""

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TextIO

from local.alerts_client import FAILED, UNDER_WAY

LONGEST_BAR = 30
SHORTEST_BAR = 5
# A log gets a line for so many points.
STEP_PERCENT = 10


def progress_line(alert: Mapping[str, Any], width: int, now: datetime) -> str:
    """Return a bar and what can be said beside it, in so many characters at most."""
    cells = min(width // 3, LONGEST_BAR)
    first, *more = progress_words(alert, now)
    line = f"{first:>5}"
    if cells >= SHORTEST_BAR:
        full = cells * percentage(alert) // 100
        line = f"[{'#' * full}{'.' * (cells - full)}] {line}"
    for words in more:
        if len(f"{line}, {words}") > width:
            break
        line = f"{line}, {words}"
    return line[: max(width, 0)]


def progress_words(alert: Mapping[str, Any], now: datetime) -> list[str]:
    """Return what can be said of an alert, the most important first."""
    counts = alert["counts"]
    settled = sum(counts.values()) - sum(counts[status] for status in UNDER_WAY)
    about = "about " if alert["isEstimate"] else ""
    words = [f"{percentage(alert)} %"]
    if alert["total"] or not alert["isEstimate"]:
        words.append(f"{settled} of {about}{alert['total']}")
    if alert["status"] != "sending":
        words.append(alert["status"])
    failed = sum(counts[status] for status in FAILED)
    if failed:
        words.append(f"{failed} failed")
    if alert.get("ratePerSecond") is not None:
        words.append(f"{alert['ratePerSecond']:.1f}/s")
    if alert.get("estimatedEnd") and not alert.get("endedAt"):
        left = (datetime.fromisoformat(alert["estimatedEnd"]) - now).total_seconds()
        if left > 0:
            words.append(f"{_duration(left)} left")
    return words


def percentage(alert: Mapping[str, Any]) -> int:
    """Return how much of an alert is done; 100 only when all is."""
    # Rounded first: 0.29 * 100 is a little less than 29.
    return min(max(int(round(alert["progress"] * 100, 6)), 0), 100)


class Progress:
    """Shows how far an alert is: on one line of a terminal, or on some lines of whatever else."""

    def __init__(self, stream: TextIO) -> None:
        """Take where it is shown."""
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._drawn = 0
        self._last_percentage = 0
        self._last_line = ""

    def show(self, alert: Mapping[str, Any]) -> None:
        """Show how far the alert is now."""
        now = datetime.now(UTC)
        if self._is_terminal:
            # In the last column some terminals go on to the next line.
            self._draw(progress_line(alert, shutil.get_terminal_size().columns - 1, now))
            return
        line = ", ".join(progress_words(alert, now))
        distance = abs(percentage(alert) - self._last_percentage)
        if line != self._last_line and (distance >= STEP_PERCENT or alert.get("endedAt")):
            self._last_percentage, self._last_line = percentage(alert), line
            print(line, file=self._stream, flush=True)

    def say(self, sentence: str) -> None:
        """Say a sentence on a line of its own; the bar is back when something is shown."""
        self._clear()
        print(sentence, file=self._stream, flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # The terminal has put ^C behind the bar, which then stays as it was left.
        if kind is not KeyboardInterrupt:
            self._clear()

    def _draw(self, line: str) -> None:
        # Spaces, and no escape sequences, which not every terminal knows.
        self._stream.write(f"\r{line.ljust(self._drawn)}")
        self._stream.flush()
        self._drawn = len(line)

    def _clear(self) -> None:
        if self._drawn:
            self._draw("")
            self._stream.write("\r")
            self._stream.flush()


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 60 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 60 / 60:.0f} h"
