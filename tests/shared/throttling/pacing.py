"""What the tests of the pace do to a lane."""

import pytest

from shared.errors import HeldBackError
from shared.throttling.lane import Lane

LANE = Lane("smba.example.com", "tenant")
OTHER = Lane("smba.example.com", "other")
HOUR = 3600.0
DISABLED = "an administrator has disabled the bot"


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
