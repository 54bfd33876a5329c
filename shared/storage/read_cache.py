"""What was read before, so that many who ask for the same thing at once read it once."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

_Found = TypeVar("_Found")


@dataclass(frozen=True)
class _Read(Generic[_Found]):
    """What was found, and when that began, in seconds of the clock."""

    at: float
    found: _Found


class ReadCache(Generic[_Found]):
    """Remembers what was found under a key for a time; one for all threads of the process.

    ``most`` is how much there is room for, in the unit of ``size_of``; by default each takes one.
    What was read last is remembered, whatever its size.
    """

    def __init__(
        self,
        held_for: timedelta,
        *,
        most: int,
        size_of: Callable[[_Found], int] = lambda _found: 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds = held_for.total_seconds()
        self._most = most
        self._size_of = size_of
        self._clock = clock
        self._lock = threading.Lock()
        self._found: OrderedDict[Hashable, _Read[_Found]] = OrderedDict()
        self._room_taken = 0
        self._reading: dict[Hashable, Future[_Found]] = {}

    def get(
        self,
        key: Hashable,
        find: Callable[[], _Found],
        *,
        is_good: Callable[[_Found], bool] = lambda _found: True,
    ) -> _Found:
        """Return what is remembered under a key, if ``is_good`` says so; else what ``find`` finds.

        Whoever asks for the same meanwhile waits for that, and nobody else does. They raise what it
        raises. Where it lasts longer than it is remembered, one of them finds it anew for all.
        """
        asked_at = self._clock()
        while True:
            with self._lock:
                known = self._known(key, asked_at)
                if known is not None and is_good(known.found):
                    return known.found
                reading = self._reading.get(key)
                if reading is None:
                    reading = self._reading[key] = Future()
                    break
            reading.result()
        self._read(key, find, reading)
        return reading.result()

    def _known(self, key: Hashable, asked_at: float) -> _Read[_Found] | None:
        """Return what is remembered, or was read since it was asked for."""
        known = self._found.get(key)
        if known is None or (known.at < asked_at and known.at <= self._clock() - self._seconds):
            return None
        self._found.move_to_end(key)
        return known

    def _read(self, key: Hashable, find: Callable[[], _Found], reading: Future[_Found]) -> None:
        try:
            try:
                read = _Read(self._clock(), find())
                self._remember(key, read)
            finally:
                with self._lock:
                    del self._reading[key]
        except BaseException as error:  # noqa: BLE001  # of any type: all who wait raise it
            reading.set_exception(error)
        else:
            reading.set_result(read.found)

    def _remember(self, key: Hashable, read: _Read[_Found]) -> None:
        with self._lock:
            former = self._found.pop(key, None)
            self._found[key] = read
            self._room_taken += self._size_of(read.found)
            self._room_taken -= self._size_of(former.found) if former else 0
            while self._room_taken > self._most and len(self._found) > 1:
                _, oldest = self._found.popitem(last=False)
                self._room_taken -= self._size_of(oldest.found)
