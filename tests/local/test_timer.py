import json
from datetime import UTC, datetime
from typing import Any

import azure.functions as func
import pytest

from local.environment import StartError
from local.functions import Function
from local.timer import Timer, next_run
from local.worker import Worker
from tests.support.waiting import PATIENCE_SECONDS, until


@pytest.mark.parametrize(
    ("schedule", "on_startup", "count"),
    [("*/1 * * * * *", False, 2), ("00:00:01", False, 2), ("0 0 0 29 2 *", True, 1)],
)
def test_a_timer_runs_again_and_again_or_at_the_start(schedule, on_startup, count):
    runs: list[Any] = []

    def tick(timer: func.TimerRequest) -> None:
        runs.append(timer)
        raise RuntimeError("the next run comes all the same")

    trigger = {"type": "timerTrigger", "name": "timer", "schedule": schedule}
    worker = Worker()
    function = Function("tick", {**trigger, "runOnStartup": on_startup}, tick, False)
    timer = Timer(function, worker)
    timer.start()
    until(lambda: len(runs) >= count)
    timer.stop()
    worker.stop()

    assert timer.in_flight.wait_until_at_most(0, PATIENCE_SECONDS)
    assert {(run.past_due, json.dumps(run.schedule)) for run in runs} == {
        (False, '{"AdjustForDST": true}')
    }


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
