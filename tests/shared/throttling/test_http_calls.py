import pytest

from shared.throttling.lane import Lane
from tests.shared.throttling.pacing import HOUR, LANE, held_back


def test_calls_over_http_take_slots_a_second_ahead_at_most_and_do_not_wait(pacer, time, row):
    other = Lane("other.example.com")
    for _ in range(5):
        pacer.count(other)
    assert time.until(pacer.reserve(other).at) == pytest.approx(5 / 40)

    for _ in range(500):
        pacer.count(LANE)
    assert time.until(row()["nextSlotAt"]) == pytest.approx(1 + 1 / 40)
    assert time.until(pacer.reserve(LANE).at) == pytest.approx(1 + 1 / 40)
    assert time.slept == []


def test_calls_over_http_take_what_lies_in_hand_however_far_ahead(pacer, time):
    slots = [pacer.reserve(LANE) for _ in range(64)]

    pacer.count(LANE)

    assert time.until(slots[-1].at) > 1
    assert (pacer.reserve(LANE).at - slots[-1].at).total_seconds() == pytest.approx(2 / 40)


def test_calls_over_http_that_take_no_slot_find_a_pause_too(pacer, instance, time):
    for _ in range(80):
        pacer.reserve(LANE)
    other = instance()
    other.had_token(other.count(LANE))
    pacer.throttled(LANE, None, 60)
    other.count(LANE)
    time.pass_by(1)

    held_back(other.count, LANE)


def test_a_pause_holds_calls_over_http_back_for_a_second_at_least(pacer):
    for number, (seconds, retry_after) in enumerate([(7, 7), (0.25, 1)]):
        lane = Lane("smba.example.com", str(number))
        pacer.throttled(lane, None, seconds)

        held = [held_back(pacer.count, lane).retry_after_seconds for _ in range(3)]

        assert held == pytest.approx([retry_after] * 3)


def test_a_call_over_http_may_be_the_probe(pacer, time, pause):
    pause()
    held_back(pacer.count, LANE)
    time.pass_by(HOUR)

    assert pacer.count(LANE).probes == LANE
    assert held_back(pacer.count, LANE).retry_after_seconds == pytest.approx(HOUR)
