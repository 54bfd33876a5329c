import os
import signal
import subprocess
import sys

import pytest

from local.node import node_command
from local.processes import ProcessError, running, wait_until
from tests.local.host_process import command as host_command
from tests.local.host_process import write_app
from tests.support.waiting import PATIENCE_SECONDS, until

SLEEP = "import time; print('ready', flush=True); time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"
WITH_A_CHILD = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, '-c', {STUBBORN!r}], stdout=subprocess.PIPE)
child.stdout.readline()
print('child', child.pid, flush=True)
child.wait()
"""

# Runs a program as `make run` does, says its id, and then does what follows.
PARENT = f"""
import sys, time
from pathlib import Path
from local.node import node_command
from local.processes import leaving_on_signals, running
python = [sys.executable, '-c', {SLEEP!r}]
with leaving_on_signals(), running('Child', {{command}}, log=Path({{log!r}})) as child:
    child.wait_for_output('ready|Listening')
    print(child._child.pid, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def log(tmp_path):
    return tmp_path / "program.log"


def python(program):
    return [sys.executable, "-c", program]


def is_alive(process_id):
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    # One that has ended is still found until somebody, here the system, has waited for it.
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(process_id)], capture_output=True, text=True, check=False
    )
    return not state.stdout.startswith("Z")


def start_parent(log, command="python"):
    program = PARENT.format(command=command, log=str(log))
    return subprocess.Popen(python(program), stdout=subprocess.PIPE, text=True)


def test_a_program_runs_while_the_block_lasts_in_our_environment_and_its_folder(
    log, tmp_path, monkeypatch
):
    monkeypatch.setenv("OURS", "1")
    program = "import os; print(os.environ['OURS'], os.environ['MORE'], os.getcwd(), flush=True)"

    with running(
        "Sleeper",
        python(f"{program}; {SLEEP}"),
        log=log,
        environment={"MORE": "2"},
        folder=tmp_path,
    ) as process:
        assert process.wait_for_output(r"1 2 (.*)\nready")[1] == str(tmp_path)
        during = process.exit_status

    assert (during, process.exit_status) == (None, -signal.SIGTERM)


def test_one_that_does_not_listen_is_killed_with_all_it_started(log):
    with running("Parent", python(WITH_A_CHILD), log=log) as process:
        child = int(process.wait_for_output(r"child (\d+)\n")[1])
        alive = is_alive(child)
        process.end(grace_seconds=0)

    assert alive
    until(lambda: not is_alive(child))


def test_one_that_ends_too_early_is_told_with_its_last_words(log):
    program = "for line in range(100): print('line', line)\nraise SystemExit('No licence.')"

    with (
        running("Failer", python(program), log=log) as process,
        pytest.raises(ProcessError) as failure,
    ):
        process.wait_for_output("ready")

    reason = str(failure.value)
    assert reason.startswith("Failer ended by itself (exit status 1). Its log, ")
    assert reason.endswith("    line 99\n    No licence.")
    assert "line 50" not in reason


def test_one_that_is_killed_is_told(log):
    program = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"

    with (
        running("Victim", python(program), log=log) as process,
        pytest.raises(ProcessError, match=r"\(SIGKILL\)\. Its log, .*, is empty"),
    ):
        process.wait_for_output("ready")


def test_what_never_comes_is_told(log):
    with running("Sleeper", python(SLEEP), log=log) as process:
        process.wait_for_output("ready")
        with pytest.raises(ProcessError, match=r"Waited 0 s for rain\. Its log, .*\n    ready"):
            wait_until(lambda: None, process, what="rain", seconds=0)


def test_one_that_is_missing_is_told(log):
    with (
        pytest.raises(ProcessError, match=r"Nothing cannot be started: .*no-such-program"),
        running("Nothing", ["no-such-program"], log=log),
    ):
        pass
    with pytest.raises(ProcessError, match=r"no-such-module/index\.js is missing; `npm ci` in "):
        node_command("no-such-module/index.js")


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (signal.SIGTERM, 128 + signal.SIGTERM),
        (signal.SIGHUP, 128 + signal.SIGHUP),
        (signal.SIGINT, -signal.SIGINT),
    ],
)
def test_a_signal_ends_us_and_what_we_run(log, number, status):
    with start_parent(log) as parent:
        child = int(parent.stdout.readline())
        alive = is_alive(child)
        parent.send_signal(number)
        parent.wait(PATIENCE_SECONDS)

    assert alive
    assert parent.returncode == status
    assert not is_alive(child)


@pytest.mark.parametrize("kind", ["a program of Node", "the app"])
def test_what_we_run_ends_when_we_are_killed(log, tmp_path, kind):
    script = tmp_path / "server.js"
    script.write_text("setInterval(() => {}, 1000); console.log('ready')")
    app = write_app(tmp_path / "app", "import azure.functions\napp = azure.functions.FunctionApp()")
    command = {
        "a program of Node": f"node_command({str(script)!r})",
        "the app": str(host_command("--app", str(app), "--end-with-stdin")),
    }[kind]

    with start_parent(log, command) as parent:
        child = int(parent.stdout.readline())
        alive = is_alive(child)
        parent.kill()

    assert alive
    until(lambda: not is_alive(child))
