"""The host under test, in a process of its own, running an app that a test wrote."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.waiting import PATIENCE_SECONDS

PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def command(*options: str, program: Sequence[str] = ("-m", "local")) -> list[str]:
    return [sys.executable, *program, "host", "--port", "0", *options]


def environment(app: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """The machine's environment without any settings of the developer's own."""
    ours = re.compile("AzureWebJobs|AZURE_|PYTHON_THREADPOOL|LocalFunctionKey")
    inherited = {name: value for name, value in os.environ.items() if not ours.match(name)}
    return {**inherited, "PYTHONPATH": str(PROJECT), "APP": str(app), **settings}


def write_app(app: Path, source: str, host_json: Mapping[str, Any] | None = None) -> Path:
    app.mkdir(exist_ok=True)
    (app / "function_app.py").write_text(source)
    if host_json is not None:
        (app / "host.json").write_text(json.dumps(host_json))
    return app


class HostProcess:
    """Started when entered, and ready then; killed, at the latest, when left."""

    program: Sequence[str] = ("-m", "local")

    def __init__(self, app: Path, *options: str, **settings: str) -> None:
        self.app = app
        self._options = options
        self.settings = settings
        self._log = app / "host.log"

    def __enter__(self) -> Self:
        # Not in the app's own folder, which is to be found by what the command line says.
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                command("--app", str(self.app), *self._options, program=self.program),
                cwd=self.app.parent,
                env=environment(self.app, self.settings),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout
        self.ready_line = self.process.stdout.readline()
        match = re.match(r"Listening on http://127\.0\.0\.1:(\d+)", self.ready_line)
        assert match, self.log()
        self.port = int(match[1])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.communicate()

    def log(self) -> str:
        return self._log.read_text()

    def stop(self, signal_number: int = signal.SIGTERM) -> int:
        self.process.send_signal(signal_number)
        return self.process.wait(timeout=PATIENCE_SECONDS)

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        connection = self.connect()
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("GET", path, headers=names)
