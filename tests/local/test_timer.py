import json
from datetime import UTC, datetime

import pytest

from local.environment import StartError
from local.timer import next_run
from tests.local.host_process import HostProcess, write_app
from tests.support.waiting import until

APP = """
import json, os, pathlib
import azure.functions as func

app = func.FunctionApp()
runs = pathlib.Path(os.environ["APP"]) / "runs"


@app.timer_trigger(arg_name="timer", schedule="%SCHEDULE%", run_on_startup={on_startup})
def tick(timer: func.TimerRequest) -> None:
    with runs.open("a") as file:
        file.write(json.dumps([timer.past_due, timer.schedule]) + "\\n")
    raise RuntimeError("the next run comes all the same")
"""


def runs(host: HostProcess) -> list[str]:
    path = host.app / "runs"
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize("schedule", ["*/1 * * * * *", "00:00:01"])
def test_a_timer_runs_again_and_again(tmp_path, schedule):
    app = write_app(tmp_path / "app", APP.format(on_startup=False))

    with HostProcess(app, SCHEDULE=schedule) as host:
        until(lambda: len(runs(host)) > 1)
        assert host.stop() == 0


def test_a_timer_can_run_at_the_start(tmp_path):
    app = write_app(tmp_path / "app", APP.format(on_startup=True))

    with HostProcess(app, SCHEDULE="0 0 0 29 2 *") as host:
        until(lambda: runs(host))
        assert host.stop() == 0

    assert [json.loads(run) for run in runs(host)] == [[False, {"AdjustForDST": True}]]


@pytest.mark.parametrize(
    ("schedule", "due"),
    [
        ("*/5 * * * * *", "2026-11-22T12:34:35"),
        ("0 */5 * * * *", "2026-11-22T12:35:00"),
        ("0 0 3 * * *", "2026-11-23T03:00:00"),
        ("0 30 9 * * 1-5", "2026-11-23T09:30:00"),
        ("0 0 0 1 Jan *", "2027-01-01T00:00:00"),
        ("30 0 0 1 * Mon", "2027-02-01T00:00:30"),
        ("00:10:00", "2026-11-22T12:44:31"),
    ],
)
def test_a_schedule_tells_when_it_is_due_next(schedule, due):
    now = datetime(2026, 11, 22, 12, 34, 31, tzinfo=UTC)

    assert next_run(schedule, now) == datetime.fromisoformat(due).replace(tzinfo=UTC)


@pytest.mark.parametrize("schedule", ["", "often", "0 0 0 30 2 *", "61 * * * * *", "1:2"])
def test_a_schedule_that_is_wrong_or_never_due_is_an_error(schedule):
    with pytest.raises(StartError):
        next_run(schedule, datetime(2026, 11, 22, tzinfo=UTC))
