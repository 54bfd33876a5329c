import random
from concurrent.futures import ThreadPoolExecutor
from time import sleep

import pytest

from shared.errors import HeldBackError, OnQueue
from shared.throttling.conversation_limits import ConversationLimits
from tests.support.clocks import FakeSeconds

TEAMS = ((7, 1.0), (60, 30.0))
PATIENT = 3600.0


@pytest.fixture
def clock():
    return FakeSeconds()


@pytest.fixture
def conversations(clock):
    return ConversationLimits(clock)


def take(conversations, patience_seconds=PATIENT, conversation_id="one", limits=TEAMS):
    return conversations.take(conversation_id, limits, patience_seconds=patience_seconds)


def most_within(times, seconds):
    return max(
        len([time for time in times if start <= time < start + seconds - 1e-9]) for start in times
    )


def test_the_next_call_waits_until_the_first_is_long_enough_ago(conversations, clock):
    assert take(conversations) == 0
    clock.now += 0.25
    assert [take(conversations) for _ in range(6)] == [0] * 6

    # A call is counted when it will be made.
    assert take(conversations) == pytest.approx(0.75)
    assert [take(conversations) for _ in range(6)] == pytest.approx([1] * 6)
    clock.now += 1
    assert take(conversations) == pytest.approx(0.75)
    assert take(conversations, conversation_id="two") == 0


def test_the_longer_time_counts_too_until_it_is_over(conversations, clock):
    for _ in range(60):
        clock.now += take(conversations)

    # The first one was sent 8 seconds ago.
    assert take(conversations) == pytest.approx(22)
    clock.now += 52
    assert [take(conversations) for _ in range(7)] == [0] * 7


def test_where_there_are_no_limits_nothing_waits(conversations):
    assert [take(conversations, limits=(), patience_seconds=0) for _ in range(100)] == [0] * 100
    conversations.count("one", ())

    assert [take(conversations) for _ in range(7)] == [0] * 7


def test_what_must_wait_too_long_is_held_back_and_not_counted_and_comes_back_spread_out(
    conversations, clock
):
    for _ in range(7):
        take(conversations)
    assert take(conversations, patience_seconds=1) == pytest.approx(1)

    retries = []
    for _ in range(5):
        with pytest.raises(HeldBackError) as held:
            take(conversations, patience_seconds=0.9)
        retries.append(held.value.retry_after_seconds)

    assert "as many messages as its channel takes" in held.value.detail
    assert "one" not in held.value.detail.split()
    assert (held.value.status, held.value.code) == (429, "Throttled")
    assert held.value.on_queue is OnQueue.WAIT
    # As fast as the stricter limit allows for long: 60 in 30 seconds.
    assert retries == pytest.approx([1, 1.5, 2, 2.5, 3])
    clock.now += 1
    # One was counted for this moment.
    assert [take(conversations) for _ in range(6)] == [0] * 6
    assert take(conversations) > 0


def test_calls_over_http_count_but_never_wait(conversations, clock):
    for _ in range(20):
        conversations.count("one", TEAMS)
    assert take(conversations) == pytest.approx(1)

    # They come before those that wait.
    for _ in range(8):
        take(conversations, conversation_id="two")
    clock.now += 0.5
    for _ in range(6):
        conversations.count("two", TEAMS)
    # Of the last seven, one is still to come, at 1.0; the oldest was made at 0.5.
    assert take(conversations, conversation_id="two") == pytest.approx(1)


def test_no_limit_is_ever_broken(conversations, clock):
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    start = clock.now
    times = []
    for _ in range(1000):
        clock.now += dice.choice([0, 0, 0, 0.01, 0.3, 1, 5])
        try:
            times.append(clock.now - start + take(conversations, dice.choice([0, 2, 60])))
        except HeldBackError:
            clock.now += dice.choice([0, 1])

    assert most_within(times, 1) <= 7, f"seed {seed}"
    assert most_within(times, 30) <= 60, f"seed {seed}"
    # The test is one of the limits only when they were reached.
    assert most_within(times, 30) >= 30, f"seed {seed}"


class Interrupted(tuple):
    """Limits at which a thread that has looked at them lets others go on."""

    def __iter__(self):
        yield from super().__iter__()
        sleep(0)


def test_threads_together_break_no_limit(conversations):
    limits = Interrupted(TEAMS)
    with ThreadPoolExecutor(32) as pool:
        waits = list(pool.map(lambda _: take(conversations, limits=limits), range(120)))

    assert most_within(waits, 1) <= 7
    assert most_within(waits, 30) <= 60


def test_conversations_are_kept_until_their_time_is_over_with_what_their_limits_need(
    conversations, clock
):
    for _ in range(60):
        clock.now += take(conversations)
    clock.now += 2
    for number in range(5000):
        take(conversations, conversation_id=f"conversation-{number}")
        conversations.count("two", TEAMS)
    # The first one was sent 10 seconds ago.
    assert take(conversations) == pytest.approx(20)
    assert len(conversations._conversations["two"].times) == 60

    for number in range(20_000):
        take(conversations, conversation_id=f"conversation-{number}")
        conversations.count(f"other-{number}", TEAMS)
        clock.now += 1
    assert len(conversations._conversations) <= 1024
