"""What was read a moment ago: that it is read again is seen of alerts, in tests/shared/alerts."""

from datetime import timedelta

from shared.storage.read_cache import ReadCache


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
