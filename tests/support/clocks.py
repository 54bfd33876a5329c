"""Clocks that stand still until a test moves them on."""

import threading
from datetime import UTC, datetime, timedelta


class FakeClock:
    """A clock that goes on where somebody sleeps by it; tells who slept for how long."""

    def __init__(self, now: datetime = datetime(2030, 1, 1, tzinfo=UTC)) -> None:
        self.now = now
        self.slept: list[float] = []
        self._lock = threading.Lock()

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept.append(seconds)
            self.now += timedelta(seconds=seconds)

    def pass_by(self, seconds: float) -> None:
        with self._lock:
            self.now += timedelta(seconds=seconds)

    def until(self, time: datetime) -> float:
        return (time - self.now).total_seconds()


class FakeSeconds:
    """A clock that counts seconds, as ``time.monotonic`` does."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
