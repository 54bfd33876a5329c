"""What was read a moment ago, so that many who ask for the same thing at once read it once."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from datetime import timedelta
from typing import Generic, TypeVar

_Found = TypeVar("_Found")


class ReadCache(Generic[_Found]):
    """Remembers what was found under a key for a time; one for all threads of the process.

    ``most`` is how many keys there is room for.
    """

    def __init__(
        self, held_for: timedelta, *, most: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = held_for.total_seconds()
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        self._found: OrderedDict[Hashable, tuple[float, _Found]] = OrderedDict()

    def get(
        self,
        key: Hashable,
        find: Callable[[], _Found],
        *,
        is_good: Callable[[_Found], bool] = lambda _found: True,
    ) -> _Found:
        """Return what is remembered under a key, if ``is_good`` says so; else what ``find`` finds.

        Whoever asks meanwhile waits for that.
        """
        with self._lock:
            known = self._found.get(key)
            since = self._clock() - self._seconds
            if known is None or known[0] <= since or not is_good(known[1]):
                known = self._clock(), find()
                self._found[key] = known
                self._found.move_to_end(key)
                if len(self._found) > self._most:
                    self._found.popitem(last=False)
            return known[1]
