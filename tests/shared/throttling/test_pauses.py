import pytest

from shared.throttling.lane import Lane
from tests.shared.throttling.pacing import LANE, held_back, methods, use


@pytest.mark.parametrize(("told", "seconds"), [(7, 7), (None, 10), (3600, 600)])
def test_a_throttled_start_pauses_its_lane_as_asked_or_for_ten_seconds_or_ten_minutes_at_most(
    pacer, time, told, seconds
):
    pacer.throttled(LANE, None, told)

    held = held_back(pacer.reserve, LANE)
    assert held.retry_after_seconds == pytest.approx(seconds)
    assert "asked for fewer calls" in held.detail
    pacer.reserve(Lane("smba.example.com", "other"))
    time.pass_by(seconds - 0.1)
    held_back(pacer.reserve, LANE)
    time.pass_by(0.1)
    assert pacer.reserve(LANE).probes is None


def test_a_pause_holds_other_instances_back_within_a_second(pacer, instance, time, storage_calls):
    other = instance()
    for _ in range(10):
        use(other)
    pacer.throttled(LANE, None, 60)
    storage_calls()

    # It has slots in hand, and does not know yet.
    other.reserve(LANE)
    # Those are lost then: it finds the pause when it wants to reserve more.
    time.pass_by(1)
    held_back(other.reserve, LANE)
    for _ in range(20):
        held_back(other.reserve, LANE)

    assert methods(storage_calls()) == ["PUT", "GET"]


def test_a_pause_is_found_though_slots_are_still_good(pacer, instance, time, storage_calls):
    other = instance()
    slots = [other.reserve(LANE) for _ in range(70)]
    other.had_token(slots[0])
    pacer.throttled(LANE, None, 60)
    time.pass_by(1)
    storage_calls()

    # It has reserved more than a second ahead.
    for _ in range(4):
        held_back(other.reserve, LANE)

    assert methods(storage_calls()) == ["GET"]


def test_who_sleeps_until_a_slot_is_due_finds_the_pause_after_it(pacer, instance):
    other = instance()
    slots = [other.reserve(LANE) for _ in range(70)]
    own = [pacer.reserve(LANE) for _ in range(2)]
    pacer.throttled(LANE, None, 60)

    # One that the process knows by itself, too.
    held_back(pacer.wait, own[-1])
    held_back(other.wait, slots[-1])


def test_a_pause_is_made_longer_and_never_shorter(pacer, instance):
    for seconds, lasts in ((60, 60), (5, 60), (90, 90)):
        instance().throttled(LANE, None, seconds)
        assert held_back(instance().reserve, LANE).retry_after_seconds == pytest.approx(lasts)
    pacer.throttled(LANE, None, 6)
    assert held_back(pacer.reserve, LANE).retry_after_seconds == pytest.approx(90)


@pytest.mark.parametrize(
    ("conversation", "seconds", "pauses"),
    [("one", 1, False), ("two", 1, True), ("two", 10, True), ("two", 10.1, False)],
)
def test_two_throttled_conversations_within_ten_seconds_pause_the_lane_over_all_instances(
    pacer, instance, time, row, conversation, seconds, pauses
):
    pacer.throttled(LANE, "one", 60)
    time.pass_by(seconds)
    instance().throttled(LANE, conversation, 30)

    time.pass_by(1)
    if pauses:
        held = held_back(pacer.reserve, LANE)
        assert held.retry_after_seconds == pytest.approx(29, abs=0.1)
    else:
        pacer.reserve(LANE)
        assert conversation not in row()["throttledConversation"]


def test_what_a_pause_holds_back_comes_back_spread_out(pacer, time):
    pacer.throttled(LANE, None, 60)
    first = [held_back(pacer.reserve, LANE).retry_after_seconds for _ in range(5)]
    pacer.throttled(LANE, None, 90)
    second = [held_back(pacer.reserve, LANE).retry_after_seconds for _ in range(2)]

    assert first == pytest.approx([60 + index / 40 for index in range(5)])
    assert second == pytest.approx([90, 90 + 1 / 40])
