"""Runs a function on its schedule, in UTC."""

import json
from concurrent.futures import CancelledError
from contextlib import suppress
from datetime import UTC, datetime
from threading import Event, Thread

from azure.functions.meta import Datum
from cronsim import CronSim, CronSimError

from local.environment import StartError, timespan
from local.functions import Function, InvocationFailedError
from local.worker import InFlight, Worker


class Timer:
    """One function with a timer trigger; a run that takes long delays the next one."""

    def __init__(self, function: Function, worker: Worker) -> None:
        self.in_flight = InFlight()
        self._function = function
        self._worker = worker
        self._stopping = Event()
        self._schedule: str = function.trigger["schedule"]
        next_run(self._schedule, datetime.now(UTC))  # a wrong schedule is told at the start

    def start(self) -> None:
        """Begin to wait for the schedule."""
        Thread(target=self._keep_time, name=f"timer {self._function.name}", daemon=True).start()

    def stop(self) -> None:
        """Run no more."""
        self._stopping.set()

    def _keep_time(self) -> None:
        if self._function.trigger.get("runOnStartup"):
            self._run()
        while self._wait_until(next_run(self._schedule, datetime.now(UTC))):
            self._run()

    def _wait_until(self, moment: datetime) -> bool:
        # In short steps, because a machine that slept has waited less than its clock went on.
        while (seconds := (moment - datetime.now(UTC)).total_seconds()) > 0:
            if self._stopping.wait(min(seconds, 10)):
                return False
        return True

    def _run(self) -> None:
        # No status: without a monitor, which keeps it in a blob, the real host has none either.
        timer = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": None, "IsPastDue": False}
        with self.in_flight, suppress(InvocationFailedError, CancelledError):
            self._worker.start(self._function, Datum(json.dumps(timer), "json")).result()


def next_run(schedule: str, now: datetime) -> datetime:
    """Return when a `{second} {minute} {hour} {day} {month} {weekday}` or `hh:mm:ss` is due."""
    if ":" in schedule:
        return now + timespan(schedule)
    try:
        moments = CronSim(schedule, now)
        # Where a day and a weekday are given, cron takes either, but Azure wants both.
        moments.day_and = True
        return next(moments)
    except (CronSimError, StopIteration) as error:
        raise StartError(f"The schedule {schedule!r} is wrong or never due. {error}") from error
