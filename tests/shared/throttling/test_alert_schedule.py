from datetime import timedelta

import pytest

from shared.errors import OnQueue
from shared.throttling.lane import Lane
from tests.shared.throttling.pacing import HOUR, LANE, OTHER, held_back, methods

AHEAD = timedelta(seconds=30)
ALERT_INTERVAL = 1 / 36


def schedule(pacer, *lanes, count=90):
    """When the first of an alert's calls is due in each lane."""
    calls = dict.fromkeys(lanes or (LANE,), count)
    return list(pacer.schedule(calls, within=AHEAD).values())


def test_alerts_leave_a_tenth_of_the_pace_to_others(pacer, instance):
    assert pacer.alert_interval.total_seconds() == pytest.approx(ALERT_INTERVAL, abs=1e-6)
    assert instance(rate_per_second=100).alert_interval.total_seconds() == pytest.approx(
        1 / 90, abs=1e-6
    )


def test_an_alerts_calls_begin_at_once_and_what_comes_next_after_them(pacer, time, storage_calls):
    firsts = [schedule(pacer, count=count)[0] for count in (90, 36, 1, 1)]

    assert [time.until(first) for first in firsts] == pytest.approx(
        [0, 2.5, 3.5, 3.5 + ALERT_INTERVAL], abs=0.001
    )
    # A lane is scheduled with one write, and nobody without storage.
    storage_calls()
    schedule(pacer)
    assert methods(storage_calls()) == ["PUT"]
    assert pacer.schedule({}, within=AHEAD) == {}
    assert storage_calls() == []


def test_two_alerts_share_a_lane_over_all_instances(instance, time):
    instances = [instance(), instance()]

    firsts = [schedule(instances[number % 2], count=36)[0] for number in range(6)]

    # Who was overtaken has slept for a moment.
    assert time.until(firsts[0]) == pytest.approx(0, abs=0.1)
    assert [(first - firsts[0]).total_seconds() for first in firsts] == pytest.approx(
        range(6), abs=0.001
    )


def test_an_alerts_lanes_are_due_by_themselves(pacer, time):
    schedule(pacer, count=360)

    first, other = schedule(pacer, LANE, OTHER)

    assert time.until(first) == pytest.approx(10, abs=0.001)
    assert time.until(other) == 0


def test_an_alert_comes_after_what_is_reserved_and_reserves_nothing(pacer, time, row):
    schedule(pacer, OTHER, count=360)
    assert "nextSlotAt" not in row(OTHER)
    assert time.until(pacer.reserve(OTHER).at) == 0

    for _ in range(20):
        pacer.reserve(LANE)
    [first] = schedule(pacer)
    assert first == row()["nextSlotAt"] > time.now


def test_beyond_the_time_ahead_nothing_is_scheduled_in_any_lane(pacer, time, row):
    schedule(pacer, count=720)
    before = row()

    held = held_back(pacer.schedule, {OTHER: 1, LANE: 361}, within=AHEAD)

    # Twenty seconds are taken, and it takes some ten more.
    assert held.retry_after_seconds == pytest.approx(ALERT_INTERVAL, abs=0.001)
    assert held.on_queue is OnQueue.WAIT
    assert row() == before
    assert row(OTHER) is None
    time.pass_by(held.retry_after_seconds + 0.001)
    assert time.until(schedule(pacer, count=361)[0]) == pytest.approx(20, abs=0.1)


@pytest.mark.parametrize("seconds", [60, HOUR])
def test_a_lane_that_is_paused_holds_up_only_those_who_wait_for_nothing_else(
    pacer, time, seconds, pause
):
    if seconds == HOUR:
        pause()
    else:
        pacer.throttled(LANE, None, seconds)

    paused, other = schedule(pacer, LANE, OTHER)
    held = held_back(pacer.schedule, {LANE: 36}, within=AHEAD)

    assert time.until(other) == 0
    assert time.until(paused) == pytest.approx(seconds)
    assert held.retry_after_seconds == pytest.approx(seconds + 1 - 30, abs=0.001)
    # What comes within the time ahead is waited for.
    third = Lane("third.example.com")
    pacer.throttled(third, None, 12)
    assert time.until(schedule(pacer, third)[0]) == pytest.approx(12)


def test_while_the_credential_fails_an_alert_waits(pacer, time):
    pacer.no_token()
    pacer.reserve(LANE)

    held = held_back(pacer.schedule, {LANE: 36, OTHER: 36}, within=AHEAD)

    assert held.retry_after_seconds == pytest.approx(60 + 1 - 30, abs=0.001)
