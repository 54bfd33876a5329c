"""Where functions run, and how stopping waits for those that still do."""

import os
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Condition, Lock

from azure.functions.meta import Datum

from local.environment import StartError
from local.functions import Function

Invocation = Future[Datum | None]


class Worker:
    """The one pool of threads that all functions share, as in the real Python worker."""

    def __init__(self) -> None:
        count = os.environ.get("PYTHON_THREADPOOL_THREAD_COUNT") or None
        if count and not (count.isdecimal() and int(count) > 0):
            raise StartError("PYTHON_THREADPOOL_THREAD_COUNT must be a whole number above 0.")
        # Python's own default, min(32, processors + 4), is the real worker's too.
        self._pool = ThreadPoolExecutor(count and int(count), thread_name_prefix="function")
        self._lock = Lock()
        self._stopped = False

    def start(
        self,
        function: Function,
        data: Datum,
        metadata: Mapping[str, Datum] | None = None,
        trace_parent: str | None = None,
    ) -> Invocation:
        """Invoke the function once a thread is free; cancelled if the host stops before that."""
        with self._lock:
            if not self._stopped:
                return self._pool.submit(function.invoke, data, metadata or {}, trace_parent)
        never = Invocation()
        never.cancel()
        return never

    def stop(self) -> None:
        """Start nothing more; what runs goes on."""
        with self._lock:
            self._stopped = True
            self._pool.shutdown(wait=False, cancel_futures=True)


class InFlight:
    """Counts the work that has begun and has not ended."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = Condition()

    def add(self) -> None:
        """Count one more."""
        with self._changed:
            self._count += 1

    def remove(self) -> None:
        """Count one less."""
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def __enter__(self) -> None:
        self.add()

    def __exit__(self, *_: object) -> None:
        self.remove()

    def wait_until_at_most(self, count: int, timeout: float | None = None) -> bool:
        """Wait until no more than `count` are in flight; tell whether that came in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._count <= count, timeout)
