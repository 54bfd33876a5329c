"""How the app keeps the pace: many messages on its queue, and a Connector that takes so many.

The app runs in its local host, once and then in two at a time, on Azurite.
"""

import base64
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from azure.storage.queue import QueueClient

from benchmarks.messages import CHANNEL_ID, STORAGE, activity, user_id
from benchmarks.workers import PROJECT, Program, running_worker
from benchmarks.world import World
from local.azurite import azurite
from local.processes import running

RATE = 45
LIMIT = 50

_HOST_THREADS = 16
_FACTOR_OF_PATIENCE = 4
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Paced:
    """How so many messages went through so many hosts."""

    hosts: int
    messages: int
    delivered: int
    seconds: float
    throttled: int

    @property
    def ideal_seconds(self) -> float:
        """How long it takes at the rate that is set, from the first call to the last."""
        return (self.messages - 1) / RATE


def paced(
    world: World, *, messages: int, hosts: Sequence[int], say: Callable[[str], None]
) -> list[Paced]:
    """Return how the messages went, for each number of hosts."""
    with azurite(log=world.folder / "azurite.log") as storage:
        environment = world.environment(
            storage.connection_string,
            SendRatePerSecond=str(RATE),
            PYTHON_THREADPOOL_THREAD_COUNT=str(_HOST_THREADS),
            PYTHONPATH=str(PROJECT),
        )
        say(f"accounts of {messages} users on Azurite")
        accounts = Program("The accounts", "accounts")
        with running_worker(accounts, environment, world.folder) as worker:
            worker.send("paced", messages)
        measured = []
        for count in hosts:
            measured.append(_run(world, environment, count, messages))
            say(f"{count} hosts: {measured[-1].seconds:.1f} s")
        return measured


def _run(world: World, environment: dict[str, str], hosts: int, messages: int) -> Paced:
    batch = f"paced-{hosts}"
    queue = QueueClient.from_connection_string(environment[STORAGE], "send-activity")
    if hosts == 1:
        queue.create_queue()
    for user in range(messages):
        recipient = {"channelId": CHANNEL_ID, "userId": user_id(user)}
        body = {"recipient": recipient, "activity": activity(batch, user)}
        queue.send_message(base64.b64encode(json.dumps(body).encode()).decode())
    queue.close()
    world.order(limit=LIMIT)
    with ExitStack() as stack:
        for number in range(hosts):
            stack.enter_context(
                running(
                    f"Host {number}",
                    [sys.executable, "-m", "local", "host", "--port", "0", "--app", str(PROJECT)],
                    log=world.folder / f"host-{hosts}-{number}.log",
                    environment=environment,
                    # Not where a developer's own settings are.
                    folder=world.folder,
                )
            )
        seen = _wait(world, messages)
    if len(seen["delivered"]) >= messages:
        world.require_delivered(batch, messages)
    return Paced(hosts, messages, len(seen["delivered"]), seen["seconds"], seen["throttled"])


def _wait(world: World, messages: int) -> dict[str, Any]:
    """Return what the Connector has seen once it has got all, or when that took far too long."""
    deadline = time.monotonic() + 10 + _FACTOR_OF_PATIENCE * messages / RATE
    while True:
        seen = world.connector.tell()
        if len(seen["delivered"]) >= messages or time.monotonic() > deadline:
            return seen
        time.sleep(_POLL_SECONDS)
