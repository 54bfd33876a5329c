import argparse
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from local import host as local_host
from local.environment import StartError, whole_number
from tests.local.host_process import HostProcess, command, environment, write_app
from tests.support.waiting import PATIENCE_SECONDS, until

HEAD = """
import os, pathlib, time
import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
"""
ONE = """
@app.route("one")
def one(req: func.HttpRequest) -> str:
    return "one"
"""
OUTPUT = ONE.replace("\n@", '\n@app.queue_output("out", "q", "AzureWebJobsStorage")\n@')
BLOB = """
@app.blob_trigger(arg_name="blob", path="a/b", connection="AzureWebJobsStorage")
def one(blob: func.InputStream) -> None: ...
"""
QUEUE = """
@app.queue_trigger(arg_name="msg", queue_name="q", connection="AzureWebJobsStorage")
def one(msg: func.QueueMessage) -> None: ...
"""
TIMER = """
@app.timer_trigger(arg_name="timer", schedule="0 * * * * *")
def one(timer: func.TimerRequest) -> None: ...
"""
RETRY = TIMER.replace("\n@", '\n@app.retry(strategy="fixed_delay", max_retry_count="3")\n@')
WAITS = """
here = pathlib.Path(os.environ["APP"])


@app.route("waits")
def waits(req: func.HttpRequest) -> str:
    (here / "started").touch()
    while not (here / "go").exists():
        time.sleep(0.01)
    return "waited"
"""


@pytest.fixture
def start(empty_folder):
    """Starts an app in this process, which is expected to fail, and returns why."""
    before = sys.modules.pop("function_app", None)
    os.environ.pop("AzureWebJobsStorage", None)

    def start(source, port=0):
        app = write_app(empty_folder, source)
        arguments = argparse.Namespace(app=app, port=port, enable_auth=False, lease_seconds=600)
        with pytest.raises(StartError) as error:
            local_host.start(arguments)
        return str(error.value)

    yield start
    sys.modules.pop("function_app", None)
    if before:
        sys.modules["function_app"] = before


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (HEAD + ONE + ONE, "Function one does not have a unique function name"),
        (HEAD + "second = func.FunctionApp()\n", "must define one FunctionApp, not 2"),
        ("import json\n", "must define one FunctionApp, not 0"),
        (HEAD + OUTPUT, "Function one: the binding queue is not supported here."),
        (HEAD + BLOB, "Function one: the binding blobTrigger is not supported here."),
        (HEAD + QUEUE, "The setting AzureWebJobsStorage is missing."),
        (HEAD + QUEUE.replace('"q"', '"%NAME%"'), "Function one: The setting NAME is missing."),
        (
            HEAD + QUEUE.replace("func.QueueMessage", "str"),
            "Function one: its parameter msg cannot be",
        ),
        (HEAD + QUEUE.replace("(msg", "(message"), "Function one: its parameters must be msg"),
        (HEAD + TIMER.replace("0 * * * * *", "0 * * *"), "The schedule '0 * * *' is wrong"),
        (HEAD + ONE.replace('"one"', '"{id:guid}"', 1), "Function one: the segment {id:guid} is"),
        (HEAD + RETRY, "Function one: retry policies are not supported here."),
    ],
)
def test_an_app_that_cannot_run_is_told_why(start, source, reason):
    assert reason in start(source)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("local.settings.json", {"IsEncrypted": True, "Values": {}}, "is encrypted"),
        ("local.settings.json", {"Values": {"Number": 5}}, "the value of Number must be a string"),
        (
            "host.json",
            {"extensions": {"queues": {"visibilityTimeout": "soon"}}},
            "'soon' is not a time span",
        ),
    ],
)
def test_wrong_settings_are_told(start, empty_folder, name, content, reason):
    (empty_folder / name).write_text(json.dumps(content))

    assert reason in start(HEAD + ONE)


@pytest.mark.parametrize("count", ["0", "-1", "many"])
def test_a_wrong_number_of_threads_is_told(start, monkeypatch, count):
    monkeypatch.setenv("PYTHON_THREADPOOL_THREAD_COUNT", count)

    assert "PYTHON_THREADPOOL_THREAD_COUNT must be" in start(HEAD + ONE)


def test_a_port_that_is_taken_is_told(start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        assert start(HEAD + ONE, port).startswith(f"Cannot listen on port {port}")


def run(app, *options: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a host that is not expected to start."""
    return subprocess.run(
        command("--app", str(app), *options),
        cwd=app,
        env=environment(app, settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("options", "status", "reason"),
    [
        ((), 1, "There is no function_app.py in {}.\n"),
        (("--enable-auth",), 2, "The setting LocalFunctionKey is missing.\n"),
    ],
)
def test_it_says_in_one_sentence_why_it_does_not_start(tmp_path, options, status, reason):
    result = run(tmp_path, *options)

    assert (result.returncode, result.stdout) == (status, "")
    assert result.stderr == reason.format(tmp_path)


@pytest.mark.parametrize("seconds", ["0", "-1", "long"])
def test_a_lease_that_is_none_is_told(seconds):
    with pytest.raises(argparse.ArgumentTypeError, match="must be a whole number above 0"):
        whole_number(seconds)


def test_a_function_that_was_begun_ends_before_the_host_and_nothing_else_is_begun(tmp_path):
    app = write_app(tmp_path / "app", HEAD + WAITS + ONE)

    with (
        HostProcess(app) as host,
        closing(host.connect()) as open_before,
        ThreadPoolExecutor() as caller,
    ):
        status_of(open_before)
        answer = caller.submit(host.get, "/api/waits")
        until((app / "started").exists)
        host.process.terminate()
        until(lambda: not is_listening(host.port))
        until(lambda: status_of(open_before) == 503)
        (app / "go").touch()

        assert answer.result().body == b"waited"
        assert host.process.wait(timeout=PATIENCE_SECONDS) == 0


IMPATIENT = """
import sys
from local import __main__, host

host.PATIENCE_SECONDS = 0
sys.exit(__main__.main())
"""


class ImpatientHost(HostProcess):
    """Waits for nothing when it stops."""

    program = ("-c", IMPATIENT)


def test_a_function_that_does_not_end_is_not_waited_for_for_ever(tmp_path):
    app = write_app(tmp_path / "app", HEAD + WAITS)

    with ImpatientHost(app) as host, ThreadPoolExecutor() as caller:
        caller.submit(host.get, "/api/waits")
        until((app / "started").exists)

        assert host.stop() == 0
        assert "Some functions still run" in host.log()


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_also_with_a_connection_open(tmp_path, signal_number):
    with (
        HostProcess(write_app(tmp_path / "app", HEAD + ONE)) as host,
        closing(host.connect()) as connection,
    ):
        status_of(connection)

        assert host.stop(signal_number) == 0
        assert "Traceback" not in host.log()


def status_of(connection: http.client.HTTPConnection) -> int:
    connection.request("GET", "/api/one")
    response = connection.getresponse()
    response.read()
    return response.status


def is_listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True
