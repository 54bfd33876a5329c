"""How busy the processors are, and how much of that is the work of a test."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_PROC = Path("/proc")


@dataclass(frozen=True)
class Effort:
    """The seconds that went by, that this process and those below it computed, and idle ones.

    Only Linux tells the last two.
    """

    seconds: float
    computed: float
    idle: float

    @classmethod
    def begin(cls) -> Self:
        """Return what was spent so far, to compare with."""
        return cls(time.monotonic(), *(_spent() if _PROC.exists() else (0.0, 0.0)))

    def report(self, messages: int) -> str:
        """Tell in a line at which pace so many messages were sent, and which one was possible.

        That is the pace at which the processors are busy all the time, but for what others compute.
        """
        now = Effort.begin()
        pace = messages / (now.seconds - self.seconds)
        computed, idle = now.computed - self.computed, now.idle - self.idle
        if not computed:
            return f"{pace:.0f} messages a second"
        part = computed / (computed + idle)
        return (
            f"{pace:.0f} messages a second; the processors allow {pace / part:.0f} ({part:.0%}): "
            f"{1000 * computed / messages:.1f} ms each, Azurite and the stubs included"
        )


def _spent() -> tuple[float, float]:
    """Return the seconds that this process and those below it computed, and the idle ones."""
    ticks = os.sysconf("SC_CLK_TCK")
    spent: dict[int, tuple[int, int]] = {}
    for folder in _PROC.glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            # It has ended just now.
            continue
        spent[int(folder.name)] = int(fields[1]), int(fields[11]) + int(fields[12])
    ours = {os.getpid()}
    while found := {each for each, (parent, _) in spent.items() if parent in ours} - ours:
        ours |= found
    idle = int((_PROC / "stat").read_text().split()[4])
    return sum(spent[each][1] for each in ours) / ticks, idle / ticks
