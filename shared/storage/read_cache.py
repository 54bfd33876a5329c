"""What was read before, so that many who ask for the same thing at once read it once."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from datetime import timedelta
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

_Found = TypeVar("_Found")


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
        self._found: OrderedDict[Hashable, tuple[float, _Found]] = OrderedDict()
        self._room_taken = 0
        # Each for as long as somebody reads under its key.
        self._reading: WeakValueDictionary[Hashable, threading.Lock] = WeakValueDictionary()

    def get(
        self,
        key: Hashable,
        find: Callable[[], _Found],
        *,
        is_good: Callable[[_Found], bool] = lambda _found: True,
    ) -> _Found:
        """Return what is remembered under a key, if ``is_good`` says so; else what ``find`` finds.

        Whoever asks for the same meanwhile waits for that, and nobody else does.
        """
        known = self._known(key, is_good)
        if known is None:
            with self._lock:
                reading = self._reading.setdefault(key, threading.Lock())
            with reading:
                known = self._known(key, is_good) or self._read(key, find)
        return known[1]

    def _known(
        self, key: Hashable, is_good: Callable[[_Found], bool]
    ) -> tuple[float, _Found] | None:
        with self._lock:
            known = self._found.get(key)
            if known is None or known[0] <= self._clock() - self._seconds or not is_good(known[1]):
                return None
            self._found.move_to_end(key)
            return known

    def _read(self, key: Hashable, find: Callable[[], _Found]) -> tuple[float, _Found]:
        read = self._clock(), find()
        with self._lock:
            former = self._found.pop(key, None)
            self._found[key] = read
            self._room_taken += self._size_of(read[1]) - (self._size_of(former[1]) if former else 0)
            while self._room_taken > self._most and len(self._found) > 1:
                _, (_, oldest) = self._found.popitem(last=False)
                self._room_taken -= self._size_of(oldest)
        return read
