"""How long the first message of a new process takes, all that it loads included."""

import time
from collections.abc import Sequence

from benchmarks.workers import Program, running_worker
from benchmarks.world import World


def first_messages(
    programs: Sequence[Program], world: World, *, times: int
) -> dict[str, list[float]]:
    """Return the milliseconds of the first message of each program, so many times, alternated."""
    milliseconds: dict[str, list[float]] = {program.name: [] for program in programs}
    # The first time is not counted: it may compile what it imports.
    for number in range(times + 1):
        for program in programs:
            world.begin()
            batch = f"cold-{program.module}-{number}"
            with running_worker(program, world.environment, world.folder) as worker:
                worker.send(batch, 1)
                taken = time.perf_counter() - worker.ready_at
            world.require_delivered(batch, 1)
            if number:
                milliseconds[program.name].append(1000 * taken)
    return milliseconds
