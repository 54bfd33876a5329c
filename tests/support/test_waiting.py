from collections.abc import Iterator

import pytest

from tests.support.waiting import until


def test_it_returns_what_the_condition_said():
    answers: Iterator[object] = iter([[], None, "there"])

    assert until(lambda: next(answers)) == "there"


def test_in_vain_it_says_what_was_asked_and_seen():
    seen = [1]

    with pytest.raises(AssertionError, match=r"not within 0 s: .*len\(seen\) > 3.*saw \[1\]"):
        until(lambda: len(seen) > 3, seconds=0, seeing=lambda: seen)


def test_in_vain_it_says_what_the_condition_said():
    with pytest.raises(AssertionError, match="it said 0"):
        until(int, seconds=0)
