"""What was read a moment ago: that it is read again is seen of alerts, in tests/shared/alerts."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from shared.storage.read_cache import ReadCache
from tests.support.waiting import PATIENCE_SECONDS


def test_only_the_latest_are_remembered_and_nothing_found_is_remembered_too():
    remembered = ReadCache[str | None](timedelta(seconds=1), most=2, clock=lambda: 0.0)
    found: list[str] = []

    def reads(key, **wanted):
        found.clear()
        remembered.get(key, lambda: found.append(key), **wanted)
        return len(found)

    assert [reads("a"), reads("b"), reads("a")] == [1, 1, 0]
    # A newer one is asked for, so the first one was read later than the second.
    assert reads("a", is_good=lambda _: False) == 1
    assert [reads("c"), reads("a"), reads("b")] == [1, 0, 1]


def test_what_is_read_for_long_is_waited_for_by_those_who_want_it_alone():
    remembered = ReadCache[str](timedelta(seconds=1), most=2, clock=lambda: 0.0)
    is_read, is_answered = threading.Event(), threading.Event()

    def answered_late():
        is_read.set()
        assert is_answered.wait(PATIENCE_SECONDS)
        return "late"

    with ThreadPoolExecutor(2) as pool:
        late = [pool.submit(remembered.get, "slow", answered_late) for _ in range(2)]
        assert is_read.wait(PATIENCE_SECONDS)
        is_read.clear()

        assert remembered.get("quick", lambda: "at once") == "at once"
        is_answered.set()
        assert [each.result() for each in late] == ["late", "late"]

    assert not is_read.is_set()


@pytest.mark.parametrize("fails", [False, True])
def test_however_long_it_takes_what_many_wait_for_is_not_read_by_each(fails):
    now, asked, read = [0.0], [], []
    have_all_asked = threading.Event()

    def clock():
        asked.append(threading.get_ident())
        if len(set(asked)) == 8:
            have_all_asked.set()
        return now[0]

    def find():
        read.append(now[0])
        assert have_all_asked.wait(PATIENCE_SECONDS)
        now[0] += 2
        if fails:
            raise ZeroDivisionError
        return read[-1]

    remembered = ReadCache[float](timedelta(seconds=1), most=2, clock=clock)
    started = threading.Barrier(8)

    def asks():
        started.wait(PATIENCE_SECONDS)
        return remembered.get("a", find)

    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(asks) for _ in range(8)]
        errors = [each.exception() for each in calls]

    # The first began before some of them asked. Where it fails, who waits for it asks no more.
    assert len(read) < 8 if fails else len(read) <= 2
    assert {type(each) for each in errors} == {ZeroDivisionError if fails else type(None)}


def test_what_could_not_be_read_is_read_again():
    remembered = ReadCache[float](timedelta(seconds=1), most=2, clock=lambda: 0.0)

    with pytest.raises(ZeroDivisionError):
        remembered.get("a", lambda: 1 / 0)

    assert remembered.get("a", lambda: 2.0) == 2.0
