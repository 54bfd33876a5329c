"""Programs that we start, wait for and take with us when we leave."""

import os
import re
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TypeVar

Ready = TypeVar("Ready")

# On a busy machine everything takes long; what has ended is noticed at once.
START_SECONDS = 300.0
GRACE_SECONDS = 10.0
POLL_SECONDS = 0.02
TAIL_LINES = 20


class ProcessError(Exception):
    """A program does not do what it was started for, for a reason in plain words."""


class Process:
    """A program in a process group of its own, with its output in a log file.

    Its standard input stays open for as long as we live, so that it can notice when we are gone.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.name = name
        self.log = log
        try:
            with log.open("wb") as output:
                self._child = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=folder,
                    env={**os.environ, **(environment or {})},
                    start_new_session=True,
                )
        except OSError as error:
            raise ProcessError(f"{name} cannot be started: {error}.") from error

    @property
    def exit_status(self) -> int | None:
        """The exit status, negative for a signal; None while the program runs."""
        return self._child.poll()

    def require_running(self) -> None:
        """Raise ProcessError when the program has ended."""
        if self.exit_status is not None:
            raise ProcessError(
                f"{self.name} ended by itself ({self._how_it_ended()}).{self.tail()}"
            )

    def wait_for_output(self, pattern: str, *, seconds: float = START_SECONDS) -> re.Match[str]:
        """Wait until the program has printed what the pattern describes."""
        return wait_until(
            lambda: re.search(pattern, self._output()), self, what=self.name, seconds=seconds
        )

    def end(self, *, grace_seconds: float = GRACE_SECONDS) -> None:
        """Ask the program and what it started to end; after the grace time, make them."""
        self._signal(signal.SIGTERM)
        if not self._is_gone_within(grace_seconds):
            self._signal(signal.SIGKILL)
            self._child.wait()
        if self._child.stdin:
            self._child.stdin.close()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._child.pid, number)

    def _is_gone_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.exit_status is None or self._group_lives():
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def _group_lives(self) -> bool:
        try:
            os.killpg(self._child.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def _output(self) -> str:
        try:
            return self.log.read_text(errors="replace")
        except FileNotFoundError:  # some programs make their log anew
            return ""

    def _how_it_ended(self) -> str:
        status = self.exit_status or 0
        return f"exit status {status}" if status >= 0 else signal.Signals(-status).name

    def tail(self) -> str:
        """Say what its log ends with."""
        lines = self._output().splitlines()[-TAIL_LINES:]
        if not lines:
            return f" Its log, {self.log}, is empty."
        return f" Its log, {self.log}, ends with:\n" + "\n".join(f"    {line}" for line in lines)


def wait_until(
    ready: Callable[[], Ready | None],
    *programs: Process,
    what: str,
    seconds: float = START_SECONDS,
) -> Ready:
    """Ask until something is ready, and return what `ready` said then.

    Raises ProcessError when one of the programs has ended, or, with the last words of the first,
    when it takes longer; `what` is what is waited for.
    """
    deadline = time.monotonic() + seconds
    while True:
        for each in programs:
            each.require_running()
        if answer := ready():
            return answer
        if time.monotonic() > deadline:
            raise ProcessError(f"Waited {seconds:g} s for {what}.{programs[0].tail()}")
        time.sleep(POLL_SECONDS)


@contextmanager
def running(
    name: str,
    command: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Iterator[Process]:
    """Run a program for as long as the block lasts.

    One that we leave behind half started or half ended, as signals come when they like, has to end
    with its standard input.
    """
    process = Process(name, command, log=log, environment=environment, folder=folder)
    try:
        yield process
    finally:
        process.end()


@contextmanager
def leaving_on_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP leave through all context managers, as Ctrl-C does."""
    previous = {
        # In a job that a shell started in the background, SIGINT is ignored until this.
        signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
        signal.SIGTERM: signal.signal(signal.SIGTERM, _leave),
        signal.SIGHUP: signal.signal(signal.SIGHUP, _leave),
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def free_port() -> int:
    """Find a free port on 127.0.0.1, for a program that cannot choose its own.

    It is below the ports that systems give out by themselves, so that none gives it out next.
    """
    while True:
        port = 20_000 + secrets.randbelow(10_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _leave(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
