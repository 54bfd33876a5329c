import random
import threading
from bisect import bisect_left
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from urllib3 import Retry

from shared.errors import HeldBackError, OnQueue, StorageUnavailableError
from shared.settings import StorageAccount
from shared.storage.clients import Storage
from shared.storage.tables import Table, key_of
from shared.throttling.lane import CREDENTIAL, Lane, LaneRow
from shared.throttling.pacer import Pacer, Slot
from tests.support.builders import NOWHERE, unique
from tests.support.lossy_storage import LossyStorage

LANE = Lane("smba.example.com", "tenant")
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


class SlowStorage(LossyStorage):
    """Storage whose every write takes a while."""

    def __init__(self, connection_string, write_takes):
        self._write_takes = write_takes
        super().__init__(connection_string)

    def default_answer(self, request):
        if request.method != "GET":
            self._write_takes()
        return super().default_answer(request)


@pytest.fixture
def time():
    return FakeTime()


@pytest.fixture
def storage(azurite):
    return Storage(StorageAccount.from_connection_string(azurite.connection_string), threads=40)


@pytest.fixture
def app_id():
    return unique("bot")


@pytest.fixture
def instance(storage, app_id, time):
    """Makes the pacer of one more instance of the app."""

    def make(rate_per_second=40.0, clock=time):
        return Pacer(
            storage, app_id, rate_per_second=rate_per_second, clock=clock, sleep=time.sleep
        )

    return make


@pytest.fixture
def row(storage, app_id):
    def read(lane=LANE):
        return Table(storage, "lanes").get(key_of(app_id, lane.host, lane.tenant_id), "lane")

    return read


@pytest.fixture
def pause(storage, app_id, time):
    """Pauses a lane for a probe an hour, as an earlier version did."""

    def write(lane=LANE, seconds=HOUR):
        key = key_of(app_id, lane.host, lane.tenant_id)
        until = time.now + timedelta(seconds=seconds)
        LaneRow(Table(storage, "lanes"), key, time, time.sleep).change(
            lambda state: state.paused_for_probes(until, seconds, DISABLED)
        )

    return write


@pytest.fixture
def pacer(instance):
    """An instance that knows that there is a token."""
    pacer = instance()
    use(pacer, Lane("warm.example.com"))
    return pacer


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
    assert 38 <= max(in_a_second) <= 41, f"seed {seed}"


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


def test_an_uncontended_reservation_is_one_write(pacer, time, storage_calls):
    pacer.reserve(LANE)
    time.pass_by(30)
    storage_calls()

    pacer.reserve(LANE)

    assert methods(storage_calls()) == ["PUT"]


def test_two_instances_together_keep_the_rate(instance, time):
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    instances = [instance(), instance()]
    pending: list[tuple[Pacer, Slot]] = []
    used: list[tuple[datetime, datetime]] = []
    while len(used) < 300:
        pacer = dice.choice(instances)
        for _ in range(dice.choice([0, 1, 1, 2, 8])):
            with suppress(HeldBackError):
                pending.append((pacer, pacer.reserve(LANE)))
        time.pass_by(dice.choice([0, 0, 0, 0.01, 0.03, 0.09, 0.15, 1.5]) * (dice.random() < 0.3))
        pending.sort(key=lambda each: each[1].at)
        for _ in range(min(len(pending), dice.randrange(12))):
            holder, slot = pending.pop(0)
            with suppress(HeldBackError):
                slot = holder.wait(slot)
                holder.passed(slot)
                used.append((time.now, slot.at))

    times = [(at - used[0][0]).total_seconds() for at, _ in used]
    assert times == sorted(times)
    in_a_second = [
        bisect_left(times, start + 1 - 1e-9) - index for index, start in enumerate(times)
    ]
    assert max(in_a_second) <= 44, f"seed {seed}"
    # The test is one of the rate only when it was made use of.
    assert max(in_a_second) >= 20, f"seed {seed}"


def test_threads_get_slots_of_their_own_of_the_chunk_that_one_of_them_reserves(
    pacer, instance, storage_calls
):
    instances = [instance(rate_per_second=400), instance(rate_per_second=400)]

    with ThreadPoolExecutor(32) as pool:
        slots = list(pool.map(lambda index: instances[index % 2].reserve(LANE).at, range(500)))
        # Any that two of them had would be missing at the end.
        assert (max(slots) - min(slots)).total_seconds() * 400 >= 495
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
        storage = Storage(StorageAccount.from_connection_string(slow.connection_string), threads=4)
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
    storage = Storage(StorageAccount.from_connection_string(NOWHERE), threads=4)
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


# Throttling


def test_a_throttled_start_pauses_the_lane_until_its_end(pacer, time):
    pacer.throttled(LANE, None, 7)

    held = held_back(pacer.reserve, LANE)
    assert held.retry_after_seconds == pytest.approx(7)
    assert "asked for fewer calls" in held.detail
    time.pass_by(6.9)
    held_back(pacer.reserve, LANE)
    time.pass_by(0.1)
    assert pacer.reserve(LANE).probes is None


def test_a_throttled_start_pauses_its_lane_for_ten_seconds_when_the_connector_says_nothing(pacer):
    pacer.throttled(LANE, None, None)

    assert held_back(pacer.reserve, LANE).retry_after_seconds == pytest.approx(10)
    pacer.reserve(Lane("smba.example.com", "other"))


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


def test_a_reservation_finds_a_pause_by_itself(pacer, instance):
    other = instance()
    use(other)
    pacer.throttled(LANE, None, 60)

    held_back(other.reserve, LANE)


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


def test_one_throttled_conversation_does_not_pause_the_lane(pacer, instance, time, row):
    pacer.throttled(LANE, "one", 60)
    time.pass_by(1)
    instance().throttled(LANE, "one", 60)

    pacer.reserve(LANE)
    assert "one" not in row()["throttledConversation"]


def test_two_throttled_conversations_pause_the_lane_over_all_instances(pacer, instance, time):
    other = instance()
    use(other)
    pacer.throttled(LANE, "one", 60)
    time.pass_by(0.9)
    other.throttled(LANE, "two", 30)

    time.pass_by(1)
    assert held_back(pacer.reserve, LANE).retry_after_seconds == pytest.approx(29, abs=0.1)


def test_two_throttled_conversations_belong_together_for_ten_seconds(pacer, time):
    for number, (seconds, pauses) in enumerate([(10, True), (10.1, False)]):
        lane = Lane("smba.example.com", str(number))
        pacer.throttled(lane, "one", 60)
        time.pass_by(seconds)
        pacer.throttled(lane, "two", 60)

        if pauses:
            held_back(pacer.reserve, lane)
        else:
            pacer.reserve(lane)


def test_what_a_pause_holds_back_comes_back_spread_out(pacer, time):
    pacer.throttled(LANE, None, 60)
    first = [held_back(pacer.reserve, LANE).retry_after_seconds for _ in range(5)]
    pacer.throttled(LANE, None, 90)
    second = [held_back(pacer.reserve, LANE).retry_after_seconds for _ in range(2)]

    assert first == pytest.approx([60 + index / 40 for index in range(5)])
    assert second == pytest.approx([90, 90 + 1 / 40])


# Pauses with probes


def test_a_lane_that_is_paused_for_probes_waits_for_the_first_one(pacer, instance, time, pause):
    other = instance()
    use(other)
    pause()

    time.pass_by(1)
    held = held_back(other.reserve, LANE)
    assert held.retry_after_seconds == pytest.approx(HOUR - 1, abs=0.1)
    assert "an administrator has disabled the bot" in held.detail
    time.pass_by(HOUR - 2)
    held_back(other.reserve, LANE)
    held_back(pacer.reserve, LANE)


def test_of_many_who_ask_when_a_probe_is_due_one_is_it(pacer, instance, time, pause):
    instances = [pacer, instance()]
    pause()
    use(instances[1], Lane("warm.example.com"))
    time.pass_by(HOUR)

    def ask(index):
        try:
            return instances[index % 2].reserve(LANE)
        except HeldBackError as held:
            return held

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(64)))

    [probe] = [answer for answer in answers if isinstance(answer, Slot)]
    assert (probe.lane, probe.probes) == (LANE, LANE)
    assert len([each for each in answers if isinstance(each, HeldBackError)]) == 63
    # The probe does not wait.
    time.slept.clear()
    time.pass_by(5)
    assert instances[0].wait(probe) is probe
    assert time.slept == []


def test_who_comes_while_a_probe_is_out_is_back_in_a_moment_to_see_how_it_went(
    pacer, instance, time, pause
):
    pause()
    time.pass_by(HOUR)
    pacer.reserve(LANE)

    assert held_back(instance().reserve, LANE).retry_after_seconds == pytest.approx(5)
    assert held_back(pacer.count, LANE).retry_after_seconds == pytest.approx(HOUR)
    time.pass_by(5)
    assert held_back(pacer.reserve, LANE).retry_after_seconds == pytest.approx(HOUR - 5, abs=0.1)


def test_a_probe_is_not_lost_with_an_answer_of_storage(azurite, app_id, time, pause):
    pause()
    time.pass_by(HOUR)
    with LossyStorage(azurite.connection_string) as lossy:
        lossy.lose_answer(lambda request: request.method == "PUT")
        storage = Storage(StorageAccount.from_connection_string(lossy.connection_string), threads=4)
        pacer = Pacer(storage, app_id, rate_per_second=40, clock=time, sleep=time.sleep)

        assert pacer.reserve(LANE).probes == LANE


def test_a_probe_that_is_given_back_is_due_again(pacer, instance, time, pause):
    pause()
    time.pass_by(HOUR)
    probe = pacer.reserve(LANE)

    pacer.give_back(probe)

    assert instance().reserve(LANE).probes == LANE
    # Throttled meanwhile, the lane waits for that first.
    pacer.throttled(LANE, None, 2 * HOUR)
    pacer.give_back(probe)
    held_back(pacer.reserve, LANE)


def test_a_probe_that_never_came_back_is_followed_by_another_one_interval_later(
    pacer, instance, time, pause
):
    pause()
    time.pass_by(HOUR)
    instance().reserve(LANE)

    time.pass_by(HOUR - 1)
    held_back(pacer.reserve, LANE)
    time.pass_by(1)
    assert pacer.reserve(LANE).probes == LANE


def test_a_probe_that_came_through_ends_the_pause_for_all(pacer, instance, time, row, pause):
    other = instance()
    pause()
    held_back(other.reserve, LANE)
    time.pass_by(HOUR)
    probe = pacer.reserve(LANE)
    held_back(other.reserve, LANE)

    pacer.passed(probe)

    assert pacer.reserve(LANE).probes is None
    time.pass_by(1)
    assert other.reserve(LANE).probes is None
    assert {"pausedUntil", "pauseReason", "probeSeconds"}.isdisjoint(row())


def test_what_got_through_ends_a_pause_for_probes_and_no_other(pacer, pause):
    slot = pacer.reserve(LANE)
    pause()
    held_back(pacer.reserve, LANE)

    # It was on its way when the lane was paused.
    pacer.passed(slot)
    pacer.reserve(LANE)
    pacer.throttled(LANE, None, 60)
    pacer.passed(slot)
    held_back(pacer.reserve, LANE)


def test_a_lane_that_is_paused_for_probes_is_not_paused_anew(pacer, time, pause):
    pause()
    time.pass_by(600)

    assert pacer.refused(Slot(LANE, time.now), time.now) == 0

    held = held_back(pacer.reserve, LANE)
    assert held.retry_after_seconds == pytest.approx(HOUR - 600)
    assert "disabled" in held.detail


def test_throttling_and_a_pause_for_probes_together_last_as_long_as_the_longer(
    pacer, instance, time, pause
):
    probed_first, throttled_first = Lane("one.example.com"), Lane("two.example.com")
    pause(probed_first, 60)
    pacer.throttled(probed_first, None, 90)
    instance().throttled(throttled_first, None, 90)
    pause(throttled_first, 60)

    for lane in (probed_first, throttled_first):
        held = held_back(pacer.reserve, lane)
        assert held.retry_after_seconds == pytest.approx(90)
        assert "disabled" in held.detail
    time.pass_by(90)
    for lane in (probed_first, throttled_first):
        assert pacer.reserve(lane).probes == lane


# Calls over HTTP


def test_calls_over_http_take_slots_a_second_ahead_at_most_and_do_not_wait(pacer, time, row):
    other = Lane("other.example.com")
    for _ in range(5):
        pacer.count(other)
    assert time.until(pacer.reserve(other).at) == pytest.approx(5 / 40)

    for _ in range(500):
        pacer.count(LANE)
    assert time.until(row()["nextSlotAt"]) == pytest.approx(1)
    assert time.until(pacer.reserve(LANE).at) == pytest.approx(1)
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


# The bot's credential


def test_a_credential_that_fails_is_tried_once_more_and_then_once_a_minute(pacer, time):
    pacer.no_token()

    probe = pacer.reserve(LANE)
    assert (probe.lane, probe.at, probe.probes) == (LANE, time.now, CREDENTIAL)
    time.pass_by(10)
    held = held_back(pacer.reserve, Lane("other.example.com"))
    assert held.retry_after_seconds == pytest.approx(50)
    assert "the bot's own credential fails" in held.detail
    pacer.no_token()
    time.pass_by(49)
    held_back(pacer.reserve, LANE)
    time.pass_by(1)
    assert pacer.reserve(LANE).probes == CREDENTIAL


def test_a_credential_that_is_good_again_lets_everything_go_on(pacer, instance, time):
    pacer.no_token()
    other = instance()
    probe = pacer.reserve(LANE)
    held_back(other.reserve, LANE)
    # It was under way before.
    other.had_token(Slot(LANE, time.now))
    other.no_token()
    held_back(other.reserve, LANE)

    pacer.had_token(probe)

    assert pacer.reserve(LANE).probes is None
    time.pass_by(1)
    assert other.reserve(LANE).probes is None


def test_an_instance_that_starts_holds_back_while_the_credential_fails(pacer, instance):
    slots = [pacer.reserve(LANE) for _ in range(2)]
    pacer.no_token()
    # A call over HTTP may be the one that tries it.
    assert pacer.count(LANE).probes == CREDENTIAL

    held_back(pacer.wait, slots[-1])
    assert "credential" in held_back(pacer.count, LANE).detail
    held_back(instance().reserve, LANE)
    held_back(instance().count, LANE)


def test_of_the_instances_one_tries_the_credential(pacer, instance):
    instances = [pacer, *(instance() for _ in range(3))]
    pacer.no_token()

    def ask(index):
        try:
            return instances[index % 4].reserve(Lane(f"host{index}.example.com"))
        except HeldBackError:
            return None

    with ThreadPoolExecutor(16) as pool:
        probes = [slot for slot in pool.map(ask, range(32)) if slot is not None]

    assert [slot.probes for slot in probes] == [CREDENTIAL]


def test_a_good_credential_costs_nothing(instance, time, storage_calls, app_id):
    pacer = instance()
    credential_key = key_of(app_id, CREDENTIAL.host, CREDENTIAL.tenant_id)

    def reads():
        return len([call for call in storage_calls() if credential_key in call])

    pacer.reserve(LANE)
    assert reads() == 1
    for _ in range(5):
        slot = pacer.reserve(LANE)
    assert reads() == 0
    time.pass_by(1)
    pacer.reserve(LANE)
    assert reads() == 1
    pacer.had_token(slot)
    for _ in range(5):
        time.pass_by(1)
        pacer.wait(pacer.reserve(LANE))
        pacer.count(LANE)
    assert reads() == 0


def test_a_call_over_http_tells_too_that_the_credential_is_good(
    instance, pacer, time, storage_calls
):
    fresh = instance()
    fresh.had_token(fresh.count(LANE))
    time.pass_by(1)
    storage_calls()

    fresh.reserve(Lane("other.example.com"))

    assert methods(storage_calls()) == ["GET", "POST"]


def test_a_lane_that_is_paused_does_not_cost_the_credential_its_probe(pacer, instance):
    pacer.throttled(LANE, None, 60)
    pacer.no_token()

    assert "fewer calls" in held_back(pacer.reserve, LANE).detail
    assert pacer.reserve(Lane("other.example.com")).probes == CREDENTIAL


def test_a_credential_that_fails_does_not_cost_a_lane_its_probe(pacer, time, pause):
    pause()
    time.pass_by(HOUR)
    pacer.no_token()
    probe = pacer.reserve(Lane("other.example.com"))

    assert "credential" in held_back(pacer.reserve, LANE).detail
    pacer.had_token(probe)
    assert pacer.reserve(LANE).probes == LANE


# A token that is refused in one lane


def refuse(pacer, time, lane=LANE):
    """Have a message's token refused, and then another one."""
    slot = Slot(lane, time.now)
    first_refused_at, _ = pacer.suspect(slot)
    return pacer.refused(slot, first_refused_at)


def test_where_nothing_gets_through_that_lane_waits_but_for_a_probe(pacer, instance, time):
    assert refuse(pacer, time) == 120

    other = instance()
    probe = other.reserve(LANE)
    assert probe.probes == LANE
    assert "refuses the bot's credential" in held_back(pacer.reserve, LANE).detail
    use(pacer, OTHER)
    # Whoever was the probe comes back after the next one.
    assert other.suspect(probe)[1] == other.refused(probe, time.now) == 120
    # Others who were under way come back to be the next.
    assert pacer.suspect(Slot(LANE, time.now))[1] == refuse(pacer, time) == 0
    time.pass_by(59)
    held_back(pacer.reserve, LANE)
    time.pass_by(1)
    probe = pacer.reserve(LANE)
    assert probe.probes == LANE
    pacer.passed(probe)
    assert other.reserve(OTHER).probes is None


@pytest.mark.parametrize("other_lane", [False, True])
def test_what_else_got_through_in_the_lane_tells_that_the_message_is_at_fault(
    pacer, time, storage_calls, other_lane
):
    use(pacer, OTHER if other_lane else LANE)
    storage_calls()
    time.pass_by(60)

    assert refuse(pacer, time) == (120 if other_lane else None)
    if not other_lane:
        # That was asked for once; it is no news to the others.
        assert methods(storage_calls()) == ["GET"]
        time.pass_by(1)
        assert refuse(pacer, time) == 120


def test_what_got_through_in_another_process_is_known(pacer, instance, time, storage_calls):
    other = instance()
    # Told when slots are reserved next.
    use(other)
    other.reserve(LANE)
    assert refuse(pacer, time) is None

    # Told at once where that is asked for.
    time.pass_by(61)
    slot = other.reserve(LANE)
    first_refused_at, _ = pacer.suspect(Slot(LANE, time.now))
    time.pass_by(1)
    other.passed(other.reserve(LANE))
    storage_calls()
    other.passed(slot)
    assert storage_calls() == []
    # However long the message waited meanwhile.
    time.pass_by(3600)
    assert pacer.refused(Slot(LANE, time.now), first_refused_at) is None
    assert refuse(pacer, time) == 120


# Alerts


AHEAD = timedelta(seconds=30)
OTHER = Lane("smba.example.com", "other")
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


def test_two_who_schedule_at_once_get_different_times(instance):
    instances = [instance() for _ in range(4)]

    with ThreadPoolExecutor(4) as pool:
        firsts = list(pool.map(lambda each: schedule(each, count=36)[0], instances * 4))

    assert len(set(firsts)) == 16


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


def test_beyond_the_time_ahead_nothing_is_scheduled(pacer, time, row):
    schedule(pacer, count=720)
    before = row()

    held = held_back(pacer.schedule, {LANE: 361}, within=AHEAD)

    # Twenty seconds are taken, and it takes some ten more.
    assert held.retry_after_seconds == pytest.approx(ALERT_INTERVAL, abs=0.001)
    assert held.on_queue is OnQueue.WAIT
    assert row() == before
    time.pass_by(held.retry_after_seconds + 0.001)
    assert time.until(schedule(pacer, count=361)[0]) == pytest.approx(20, abs=0.1)


def test_where_one_lane_is_not_in_time_none_is_scheduled(pacer, row):
    schedule(pacer, count=1079)
    before = row()

    held_back(pacer.schedule, {OTHER: 1, LANE: 1}, within=AHEAD)

    assert row() == before
    assert row(OTHER) is None


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
