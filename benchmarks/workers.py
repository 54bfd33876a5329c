"""The programs that send, as seen from the benchmark that runs them."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[1]
_PATIENCE_SECONDS = 10


class WorkerError(Exception):
    """A program that sends has failed, for a reason in plain words."""


@dataclass(frozen=True)
class Program:
    """A program that sends: a module, and the interpreter that has what it needs.

    What one sends that only ``answers`` is not what it is measured by.
    """

    name: str
    module: str
    interpreter: Path = Path(sys.executable)
    answers: bool = False

    @property
    def command(self) -> Sequence[str]:
        """The command that starts it."""
        return [str(self.interpreter), "-m", "benchmarks.contenders.worker", self.module]


@dataclass(frozen=True)
class Taken:
    """What a batch took."""

    seconds: float
    cpu_seconds: float


class Worker:
    """A running program that sends."""

    def __init__(self, program: Program, environment: Mapping[str, str], folder: Path) -> None:
        self._program = program
        self._log = folder / f"{program.module}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                program.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=PROJECT,
                env=dict(environment),
                text=True,
            )
        self._answer()
        self.ready_at = time.perf_counter()

    def send(self, batch: str, count: int) -> Taken:
        """Have one message sent to each of so many users."""
        order = json.dumps({"batch": batch, "count": count})
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            print(order, file=self._process.stdin, flush=True)
        taken = json.loads(self._answer())
        return Taken(taken["seconds"], taken["cpuSeconds"])

    def _answer(self) -> str:
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        if not answer:
            end = "\n".join(self._log.read_text(errors="replace").splitlines()[-20:])
            raise WorkerError(f"{self._program.name} failed; its log ends with:\n{end}")
        return answer

    def end(self) -> None:
        """Let it end: no more orders come."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def running_worker(
    program: Program, environment: Mapping[str, str], folder: Path
) -> Iterator[Worker]:
    """Run a program that sends for as long as the block lasts."""
    worker = Worker(program, environment, folder)
    try:
        yield worker
    finally:
        worker.end()
