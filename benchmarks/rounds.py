"""What a message costs each contender: CPU, time, connections, requests; alternated in rounds."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from benchmarks.workers import Program, Worker, running_worker
from benchmarks.world import World

SLOW_SECONDS = 0.05
"""How long the Connector takes to answer in the second half of a round."""


@dataclass
class Cost:
    """What one contender took: round by round in milliseconds and a second, the rest in all."""

    program: Program
    cpu_milliseconds: list[float] = field(default_factory=list)
    per_second: list[float] = field(default_factory=list)
    per_second_slow: list[float] = field(default_factory=list)
    messages: int = 0
    connections: int = 0
    tokens: int = 0
    calls: int = 0
    storage: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Rounds:
    """What all contenders took, and the largest part of a round in which the stubs were busy."""

    costs: Sequence[Cost]
    stubs_busy: float


def alternate(
    programs: Sequence[Program],
    world: World,
    *,
    rounds: int,
    messages: int,
    say: Callable[[str], None],
) -> Rounds:
    """Have the contenders send in turn, so often, so many messages each; once to warm up."""
    with ExitStack() as stack:
        running = [
            (
                Cost(program),
                stack.enter_context(running_worker(program, world.environment, world.folder)),
            )
            for program in programs
        ]
        busiest = 0.0
        for cost, worker in running:
            _send(cost, worker, world, f"{cost.program.module}-0", messages)
        for number in range(1, rounds + 1):
            for cost, worker in running:
                name = f"{cost.program.module}-{number}"
                seconds, cpu, stubs_cpu = _send(cost, worker, world, f"{name}-fast", messages)
                cost.cpu_milliseconds.append(1000 * cpu / messages)
                cost.per_second.append(messages / seconds)
                busiest = max(busiest, stubs_cpu / seconds)
                seconds, _, _ = _send(
                    cost, worker, world, f"{name}-slow", messages, delay_seconds=SLOW_SECONDS
                )
                cost.per_second_slow.append(messages / seconds)
            told = "; ".join(
                f"{cost.program.name} {cost.cpu_milliseconds[-1]:.2f}" for cost, _ in running
            )
            say(f"round {number} of {rounds}, ms of CPU a message: {told}")
        return Rounds([cost for cost, _ in running], busiest)


def _send(
    cost: Cost,
    worker: Worker,
    world: World,
    batch: str,
    count: int,
    delay_seconds: float = 0.0,
) -> tuple[float, float, float]:
    """Return the seconds of a batch, those of CPU, and those of CPU of the stubs."""
    world.begin(delay_seconds)
    connections, stubs_cpu = world.connector.connections, time.process_time()
    taken = worker.send(batch, count)
    stubs_cpu = time.process_time() - stubs_cpu
    if not cost.program.answers:
        world.require_delivered(batch, count)
    cost.messages += count
    cost.connections += world.connector.connections - connections
    cost.calls += len(world.connector.requests)
    cost.tokens += len(world.identity.requests)
    cost.storage += world.storage_operations()
    return taken.seconds, taken.cpu_seconds, stubs_cpu
