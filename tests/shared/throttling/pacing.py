"""A clock that stands still, and what the tests of the pace do to a lane."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from shared.errors import HeldBackError
from shared.throttling.lane import Lane

LANE = Lane("smba.example.com", "tenant")
OTHER = Lane("smba.example.com", "other")
HOUR = 3600.0
DISABLED = "an administrator has disabled the bot"


class FakeTime:
    """A clock that stands still until somebody sleeps; tells who slept for how long."""

    def __init__(self):
        self.now = datetime(2030, 1, 1, tzinfo=UTC)
        self.slept = []
        self._lock = threading.Lock()

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        with self._lock:
            self.slept.append(seconds)
            self.now += timedelta(seconds=seconds)

    def pass_by(self, seconds):
        with self._lock:
            self.now += timedelta(seconds=seconds)

    def until(self, time):
        return (time - self.now).total_seconds()


def use(pacer, lane=LANE):
    slot = pacer.wait(pacer.reserve(lane))
    pacer.had_token(slot)
    pacer.passed(slot)
    return slot


def held_back(call, *arguments, **named):
    with pytest.raises(HeldBackError) as held:
        call(*arguments, **named)
    return held.value


def methods(calls):
    return [call.split()[0] for call in calls]
