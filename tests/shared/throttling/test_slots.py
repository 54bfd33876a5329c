import random
from bisect import bisect_left
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from urllib3 import Retry

from shared.errors import HeldBackError, OnQueue, StorageUnavailableError
from shared.throttling.lane import CREDENTIAL, Lane
from shared.throttling.pacer import Pacer, Slot
from tests.shared.throttling.pacing import LANE, OTHER, held_back, methods, use
from tests.support.builders import NOWHERE, storage_at, unique
from tests.support.lossy_storage import LossyStorage


class SlowStorage(LossyStorage):
    """Storage whose every write takes a while."""

    def __init__(self, connection_string, write_takes):
        self._write_takes = write_takes
        super().__init__(connection_string)

    def default_answer(self, request):
        if request.method != "GET":
            self._write_takes()
        return super().default_answer(request)


def test_a_lane_is_a_host_with_its_port_and_a_tenant():
    tenant = "0E7A0000-0000-4000-8000-0000000000AA"
    for service_url, tenant_id, lane in [
        ("https://SMBA.example.com/teams/", "t", Lane("smba.example.com", "t")),
        ("https://smba.example.com:443/x", tenant, Lane("smba.example.com", tenant.lower())),
        ("http://smba.example.com:443/x", None, Lane("smba.example.com:443")),
        ("https://user:word@smba.example.com:8443/x", None, Lane("smba.example.com:8443", "-")),
        ("http://[::1]:3978", "", Lane("[::1]:3978")),
    ]:
        assert Lane.of(service_url, tenant_id) == lane


# Slots


def test_slots_of_a_lane_are_as_far_apart_as_the_rate_says(pacer, time):
    slots = [pacer.reserve(LANE) for _ in range(20)]
    spaced = [index / 40 for index in range(20)]

    assert [time.until(slot.at) for slot in slots] == pytest.approx(spaced)
    assert all(slot.probes is None and slot.lane == LANE for slot in slots)
    for lane in (Lane("smba.example.com", "other"), Lane("other.example.com", "tenant")):
        assert time.until(pacer.reserve(lane).at) == 0
    # Idle time is not saved up.
    time.pass_by(60)
    slots = [pacer.reserve(LANE) for _ in range(20)]
    assert [time.until(slot.at) for slot in slots] == pytest.approx(spaced)


def test_a_slot_is_good_for_a_tenth_of_a_second_and_then_lost(pacer, time):
    start = time.now
    # Chunks of 1, 2 and 4 slots: of the last one, at 75, 100, 125 and 150 ms, three stay in hand.
    for _ in range(4):
        pacer.reserve(LANE)
    time.pass_by(0.2)
    kept = pacer.reserve(LANE)
    time.pass_by(0.045)
    after_one_was_lost = pacer.reserve(LANE)

    assert (kept.at - start).total_seconds() == pytest.approx(0.1)
    assert (after_one_was_lost.at - start).total_seconds() == pytest.approx(0.15)


def test_a_hundred_calls_cost_a_dozen_storage_operations(pacer, instance, storage_calls):
    fresh = instance()
    storage_calls()

    for _ in range(100):
        use(fresh)

    calls = storage_calls()
    assert len(calls) <= 12
    # The lane and the credential's lane, each once.
    assert methods(calls).count("GET") == 2


def test_little_is_reserved_where_little_is_sent_or_slots_were_lost(pacer, time, row):
    # Chunks of 1, 2, 4, 8 and 16, used up.
    for _ in range(31):
        use(pacer)
    time.pass_by(0.6)
    pacer.reserve(LANE)
    assert time.until(row()["nextSlotAt"]) == pytest.approx(1 / 40)

    # Chunks of 1, 2 and 4, of which some were lost.
    time.pass_by(60)
    for _ in range(5):
        pacer.reserve(LANE)
    time.pass_by(0.3)
    pacer.reserve(LANE)
    assert time.until(row()["nextSlotAt"]) == pytest.approx(1 / 40)


def test_a_lane_far_from_its_pace_costs_next_to_nothing_and_its_pace_is_kept(
    instance, time, storage_calls
):
    """Two instances send two messages a second, and then all they can; again and again."""
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    instances = [instance(), instance()]
    for each in instances:
        use(each)
    used: list[datetime] = []

    def send(pacer):
        # At the time of its slot at the earliest, in whatever order these are due.
        slot = pacer.reserve(LANE)
        used.append(max(slot.at, time.now))

    for _ in range(3):
        storage_calls()
        for _ in range(240):
            time.pass_by(dice.expovariate(2))
            send(dice.choice(instances))
        assert len(storage_calls()) <= 0.18 * 240, f"seed {seed}"
        end = time.now + timedelta(seconds=3)
        while time.now < end:
            for each in instances:
                with suppress(HeldBackError):
                    while True:
                        send(each)
            time.pass_by(0.05)
        time.pass_by(5)

    used.sort()
    in_a_second = [
        bisect_left(used, start + timedelta(seconds=1)) - index for index, start in enumerate(used)
    ]
    # Some are used late, by a tenth of a second at most: then they are lost.
    assert 38 <= max(in_a_second) <= 44, f"seed {seed}"


def test_who_has_a_share_of_a_lane_finds_a_pause_after_twenty_calls(pacer, instance, time):
    for _ in range(3):
        time.pass_by(1)
        use(pacer)
    instance().throttled(LANE, None, 60)
    calls = 0
    with suppress(HeldBackError):
        while True:
            time.pass_by(1.1)
            use(pacer)
            calls += 1

    assert 1 <= calls <= 20


def test_the_largest_chunk_is_worth_two_fifths_of_a_second_but_one_slot_at_least(
    pacer, instance, time, row
):
    for _ in range(16):
        use(pacer)
    assert time.until(row()["nextSlotAt"]) == pytest.approx(0.4)

    time.pass_by(60)
    slow = instance(rate_per_second=0.5)
    slots = [slow.reserve(LANE) for _ in range(2)]
    assert [time.until(slot.at) for slot in slots] == pytest.approx([0, 2])


def test_threads_get_slots_of_their_own_of_the_chunk_that_one_of_them_reserves(
    pacer, instance, storage_calls
):
    instances = [instance(rate_per_second=400), instance(rate_per_second=400)]

    with ThreadPoolExecutor(32) as pool:
        slots = list(pool.map(lambda index: instances[index % 2].reserve(LANE).at, range(300)))
        # Any that two of them had would be missing at the end.
        assert (max(slots) - min(slots)).total_seconds() * 400 >= 295
        fast, other = instance(rate_per_second=400), Lane("other.example.com")
        storage_calls()
        list(pool.map(lambda _: fast.reserve(other), range(500)))

    # Chunks of 1, 2, 4 … 128, and of 160; a read of the lane and of the credential's.
    assert len(storage_calls()) <= 12


def test_what_would_wait_for_more_than_two_seconds_is_held_back(pacer, time, row, storage_calls):
    slots = []
    with suppress(HeldBackError):
        while True:
            slots.append(pacer.reserve(LANE))
    next_slot_at = row()["nextSlotAt"]
    storage_calls()

    held = [held_back(pacer.reserve, LANE) for _ in range(5)]

    assert time.until(slots[-1].at) == pytest.approx(2)
    assert row()["nextSlotAt"] == next_slot_at
    first = held[0]
    assert (first.status, first.code, first.on_queue) == (429, "Throttled", OnQueue.WAIT)
    assert not first.was_attempt
    # The first one was held back while the slots were counted.
    assert [error.retry_after_seconds for error in held] == pytest.approx(
        [1.05 + index / 40 for index in range(5)], abs=0.001
    )
    assert methods(storage_calls()) == ["GET"]  # this test's own


def test_who_does_not_know_how_much_others_reserved_reserves_no_further(pacer, instance, time, row):
    other = instance()
    other.had_token(other.reserve(LANE))
    with suppress(HeldBackError):
        while True:
            pacer.reserve(LANE)
    next_slot_at = row()["nextSlotAt"]

    held_back(other.reserve, LANE)

    assert row()["nextSlotAt"] == next_slot_at


def test_wait_sleeps_until_the_slot_is_due_and_gives_another_for_one_that_was_lost(pacer, time):
    slots = [pacer.reserve(LANE) for _ in range(3)]
    time.slept.clear()
    assert [pacer.wait(slot) for slot in slots] == slots
    assert time.slept == pytest.approx([0.025, 0.025])

    slot = pacer.reserve(LANE)
    time.pass_by(time.until(slot.at) + 0.09)
    assert pacer.wait(slot) is slot
    time.pass_by(0.02)
    another = pacer.wait(slot)
    assert another.at > slot.at
    assert 0 <= (time.now - another.at).total_seconds() <= 0.1


def test_slow_storage_is_waited_for_instead_of_losing_every_slot(azurite, app_id, time):
    with SlowStorage(azurite.connection_string, lambda: time.pass_by(0.3)) as slow:
        storage = storage_at(slow.connection_string)
        pacer = Pacer(storage, app_id, rate_per_second=40, clock=time, sleep=time.sleep)
        slots = []
        for _ in range(5):
            slots.append(use(pacer))
            time.pass_by(5)

        assert len({slot.at for slot in slots}) == 5


def test_who_is_outrun_again_and_again_gives_up(pacer, instance, time):
    outrunner = instance()
    pacer.reserve(LANE)

    def clock():
        # Between the reading and the writing of the row.
        outrunner.throttled(LANE, unique("conversation"), 0)
        time.pass_by(0.001)
        return time.now

    outrun = instance(clock=clock)
    outrun.had_token(Slot(LANE, time.now))
    time.slept.clear()

    with pytest.raises(StorageUnavailableError):
        outrun.reserve(LANE)
    assert len(set(time.slept)) > 1


def test_without_storage_nothing_is_sent_but_what_is_told_is_no_failure(
    app_id, time, monkeypatch, caplog
):
    monkeypatch.setattr(Retry, "sleep", lambda *_: None)
    storage = storage_at(NOWHERE)
    pacer = Pacer(storage, app_id, rate_per_second=40, clock=time, sleep=time.sleep)

    slot = Slot(LANE, time.now, probes=CREDENTIAL)
    pacer.throttled(LANE, None, 5)
    pacer.no_token()
    pacer.had_token(slot)
    pacer.suspect(slot)
    pacer.passed(slot)
    assert pacer.refused(Slot(OTHER, time.now), time.now) == 120

    assert caplog.text.count("could not be noted") == 5
    with pytest.raises(StorageUnavailableError):
        pacer.reserve(LANE)
    with pytest.raises(StorageUnavailableError):
        pacer.count(LANE)
