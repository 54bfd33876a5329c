"""The loop of a contender: told on standard input what to send, it answers what that took.

Like the worker of Azure Functions it has ``azure.functions`` loaded, and says with an empty line
that it is ready. With the first order it loads the contender, the module that it was started with.

An order is ``{"batch", "count"}``: one message to each of so many users. The answer is
``{"seconds", "cpuSeconds"}``. A contender that fails says so in its log and ends.
"""

import importlib
import itertools
import json
import os
import sys
import threading
import time
from collections.abc import Callable

import azure.functions  # noqa: F401  # the worker in Azure has it loaded

from benchmarks.messages import THREADS

Send = Callable[[str, int], None]
"""Sends the message of a batch to a user."""
SendAll = Callable[[str, int], None]
"""Sends the messages of a batch to so many users."""


def in_threads(send: Send) -> SendAll:
    """Return how all is sent when one message is sent by each of many threads at a time."""

    def send_all(batch: str, count: int) -> None:
        users = itertools.count()
        errors: list[Exception] = []

        def work() -> None:
            while not errors and (user := next(users)) < count:
                try:
                    send(batch, user)
                except Exception as error:  # noqa: BLE001  # raised below, in the main thread
                    errors.append(error)

        threads = [threading.Thread(target=work) for _ in range(min(THREADS, count))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]

    return send_all


def work(contender: str) -> None:
    """Have a contender do what is ordered until no more orders come."""
    # Whatever a library prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    print(file=answers, flush=True)
    send_all: SendAll | None = None
    for line in sys.stdin:
        order = json.loads(line)
        if send_all is None:
            send_all = importlib.import_module(f"benchmarks.contenders.{contender}").contender()
        started, cpu_started = time.perf_counter(), time.process_time()
        send_all(order["batch"], order["count"])
        taken = {
            "seconds": time.perf_counter() - started,
            "cpuSeconds": time.process_time() - cpu_started,
        }
        print(json.dumps(taken), file=answers, flush=True)


if __name__ == "__main__":
    work(sys.argv[1])
