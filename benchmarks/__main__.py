"""`python -m benchmarks`: what a message costs, measured on this machine in one run."""

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.agents_venv import NotInstalledError, agents_interpreter
from benchmarks.cold_start import first_messages
from benchmarks.messages import FILL
from benchmarks.report import Results, to_json, to_markdown
from benchmarks.rounds import alternate
from benchmarks.workers import PROJECT, Program, WorkerError, running_worker
from benchmarks.world import NotDeliveredError, World, running_world
from local.processes import ProcessError, leaving_on_signals

RESULTS = PROJECT / ".local" / "bench.json"


@dataclass(frozen=True)
class _Size:
    rounds: int
    messages: int
    first_messages: int


_WHOLE = _Size(rounds=10, messages=400, first_messages=7)
_QUICK = _Size(rounds=2, messages=100, first_messages=2)


def main() -> int:
    """Measure, print and keep the results; 1 when a message was not delivered exactly once."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer of all, for a first look")
    size = _QUICK if parser.parse_args().quick else _WHOLE
    started = time.monotonic()

    def say(progress: str) -> None:
        print(f"[{time.monotonic() - started:4.0f} s] {progress}", flush=True)

    programs = [
        Program("reference", "reference"),
        Program("bare send", "bare_send"),
        Program("accounted send", "accounted_send"),
    ]
    missing = []
    try:
        programs.append(Program("Agents SDK", "agents_sdk", agents_interpreter()))
    except NotInstalledError as error:
        missing.append(str(error))
    # From here on all is on this machine.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"
    try:
        with (
            leaving_on_signals(),
            tempfile.TemporaryDirectory() as folder,
            running_world(Path(folder)) as world,
        ):
            say(f"accounts, references and cards of {size.messages} users")
            _fill(world, size.messages)
            rounds = alternate(
                [
                    *programs,
                    Program("an alert, for each recipient", "alert"),
                    Program("an answered click", "answered_click", answers=True),
                    Program("a cached account", "cached_account", answers=True),
                    Program("a status read", "status_read", answers=True),
                ],
                world,
                rounds=size.rounds,
                messages=size.messages,
                say=say,
            )
            say(f"first messages of {size.first_messages} new processes each")
            first = first_messages(programs, world, times=size.first_messages)
            results = Results(rounds, first, missing)
    except (NotDeliveredError, ProcessError, WorkerError) as error:
        print(error, file=sys.stderr)
        return 1
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(to_json(results), indent=2))
    say(f"done; all of it is in {RESULTS.relative_to(PROJECT)}")
    print(f"\n{to_markdown(results)}")
    return 0


def _fill(world: World, users: int) -> None:
    for name in ("accounts", "references", "cards"):
        program = Program(f"The {name}", name)
        with running_worker(program, world.environment, world.folder) as worker:
            worker.send(FILL, users)


if __name__ == "__main__":
    sys.exit(main())
