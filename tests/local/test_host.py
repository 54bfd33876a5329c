import http.client
import json
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from tests.local.host_process import HostProcess, command, environment, write_app
from tests.support.waiting import until

HEAD = """
import azure.functions as func

app = func.FunctionApp()
"""

ONE = (
    HEAD
    + """
@app.route("one")
def one(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("one")
"""
)

OUTPUT = (
    HEAD
    + """
@app.route("one")
@app.queue_output(arg_name="out", queue_name="q", connection="AzureWebJobsStorage")
def one(req: func.HttpRequest, out: func.Out[str]) -> func.HttpResponse: ...
"""
)

BLOB = (
    HEAD
    + """
@app.blob_trigger(arg_name="blob", path="a/b", connection="AzureWebJobsStorage")
def one(blob: func.InputStream) -> None: ...
"""
)

RETRY = (
    HEAD
    + """
@app.retry(strategy="fixed_delay", max_retry_count="3")
@app.timer_trigger(arg_name="timer", schedule="0 * * * * *")
def one(timer: func.TimerRequest) -> None: ...
"""
)

QUEUE = (
    HEAD
    + """
@app.queue_trigger(arg_name="msg", queue_name="q", connection="AzureWebJobsStorage")
def one(msg: func.QueueMessage) -> None: ...
"""
)

TIMER = (
    HEAD
    + """
@app.timer_trigger(arg_name="timer", schedule="0 * * * * *")
def one(timer: func.TimerRequest) -> None: ...
"""
)

WAITING = """
import os, pathlib, time
import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
here = pathlib.Path(os.environ["APP"])


@app.route("waits")
def waits(req: func.HttpRequest) -> func.HttpResponse:
    (here / "started").touch()
    while not (here / "go").exists():
        time.sleep(0.01)
    return func.HttpResponse("waited")
"""


QUICK = """

@app.route("quick")
def quick(req: func.HttpRequest) -> str:
    return "quick"
"""


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
    ("source", "reason"),
    [
        (ONE + ONE.replace(HEAD, ""), "Function one does not have a unique function name"),
        (ONE + "\nsecond = func.FunctionApp()\n", "must define one FunctionApp, not 2"),
        ("import json\n", "must define one FunctionApp, not 0"),
        ("import nothing_of_that_name\n", "No module named 'nothing_of_that_name'"),
        ("raise RuntimeError('a reason')\n", "RuntimeError: a reason"),
        (OUTPUT, "Function one: the binding queue is not supported here."),
        (BLOB, "Function one: the binding blobTrigger is not supported here."),
        (QUEUE, "The setting AzureWebJobsStorage is missing."),
        (QUEUE.replace('"q"', '"%NAME%"'), "Function one: The setting NAME is missing."),
        (QUEUE.replace("func.QueueMessage", "str"), "Function one: its parameter msg cannot be"),
        (QUEUE.replace("one(msg", "one(message"), "Function one: its parameters must be msg"),
        (TIMER.replace("0 * * * * *", "0 * * *"), "The schedule '0 * * *' is wrong"),
        (ONE.replace('"one"', '"{id:guid}"', 1), "Function one: the segment {id:guid} is not"),
        (
            TIMER.replace(
                "\n@app", '\n@app.retry(strategy="fixed_delay", max_retry_count="3")\n@app'
            ),
            "Function one: retry policies are not supported here.",
        ),
    ],
)
def test_an_app_that_cannot_run_is_told_why(tmp_path, source, reason):
    result = run(write_app(tmp_path / "app", source))

    assert (result.returncode, result.stdout) == (1, "")
    assert reason in result.stderr


def test_a_folder_without_an_app_is_told_so(tmp_path):
    result = run(tmp_path)

    assert result.returncode == 1
    assert result.stderr.endswith(f"There is no function_app.py in {tmp_path}.\n")


def test_auth_without_a_key_is_told_in_one_sentence(tmp_path):
    result = run(write_app(tmp_path / "app", ONE), "--enable-auth")

    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "The setting LocalFunctionKey is missing.\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("local.settings.json", {"IsEncrypted": True, "Values": {}}),
        ("local.settings.json", {"Values": {"Number": 5}}),
        ("host.json", {"extensions": {"queues": {"visibilityTimeout": "soon"}}}),
    ],
)
def test_wrong_settings_are_told(tmp_path, name, content):
    app = write_app(tmp_path / "app", ONE)
    (app / name).write_text(json.dumps(content))

    result = run(app)

    assert result.returncode == 1
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("count", ["0", "-1", "many"])
def test_a_wrong_number_of_threads_is_told(tmp_path, count):
    result = run(write_app(tmp_path / "app", ONE), PYTHON_THREADPOOL_THREAD_COUNT=count)

    assert result.returncode == 1
    assert "PYTHON_THREADPOOL_THREAD_COUNT" in result.stderr


def test_a_port_that_is_taken_is_told(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run(write_app(tmp_path / "app", ONE), "--port", str(port))

    assert result.returncode == 1
    assert f"Cannot listen on port {port}" in result.stderr


@pytest.mark.parametrize("seconds", ["0", "-1", "long"])
def test_a_lease_that_is_none_is_told(tmp_path, seconds):
    result = run(write_app(tmp_path / "app", ONE), "--lease-seconds", seconds)

    assert result.returncode == 2
    assert "--lease-seconds: must be a whole number above 0" in result.stderr


def test_the_help_explains_the_lease(tmp_path):
    result = run(tmp_path, "--help")

    text = " ".join(result.stdout.split())
    assert "how long a message is leased while it is worked on; the real host uses 600" in text


def test_a_function_that_was_begun_ends_before_the_host_does(tmp_path):
    app = write_app(tmp_path / "app", WAITING)

    with HostProcess(app) as host, ThreadPoolExecutor() as caller:
        answer = caller.submit(host.get, "/api/waits")
        until((app / "started").exists)
        host.process.terminate()
        until(lambda: not is_listening(host.port))
        (app / "go").touch()

        assert answer.result().body == b"waited"
        assert host.process.wait(timeout=60) == 0


def test_a_request_that_comes_while_it_stops_is_sent_away(tmp_path):
    app = write_app(tmp_path / "app", WAITING + QUICK)

    with (
        HostProcess(app) as host,
        closing(host.connect()) as open_before,
        ThreadPoolExecutor() as caller,
    ):
        open_before.request("GET", "/api/quick")
        open_before.getresponse().read()
        caller.submit(host.get, "/api/waits")
        until((app / "started").exists)
        host.process.terminate()
        until(lambda: not is_listening(host.port))

        until(lambda: status_of(open_before) == 503)
        (app / "go").touch()
        assert host.process.wait(timeout=60) == 0


def test_a_function_that_does_not_end_is_not_waited_for_for_ever(tmp_path):
    app = write_app(tmp_path / "app", WAITING)

    with HostProcess(app) as host, ThreadPoolExecutor() as caller:
        caller.submit(host.get, "/api/waits")
        until((app / "started").exists)

        assert host.stop() == 0
        assert "Some functions still run" in host.log()


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_also_with_a_connection_open(tmp_path, signal_number):
    with HostProcess(write_app(tmp_path / "app", ONE)) as host:
        connection = host.connect()
        connection.request("GET", "/api/one")
        connection.getresponse().read()

        status = host.stop(signal_number)
        connection.close()

    assert status == 0
    assert "Traceback" not in host.log()


def status_of(connection: http.client.HTTPConnection) -> int:
    connection.request("GET", "/api/quick")
    response = connection.getresponse()
    response.read()
    return response.status


def is_listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True
