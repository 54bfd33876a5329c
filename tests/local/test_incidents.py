"""`python -m local incidents`: what it lists, and how it follows."""

import sys

import pytest

from local import __main__ as command_line
from tests.support.alerts_api import AlertsApi

DISK = {
    "alertId": "incident-1",
    "key": "disk",
    "startsAt": "2026-11-27T05:23:04+00:00",
    "severity": "warning",
    "topic": "billing",
    "title": "Disk is full\x1b[2J",
}
LOAD = {"alertId": "incident-2", "key": "load", "topic": "web", "title": "High load"}
NOW = "2026-11-27T05:30:00+00:00"
TAKEN = {"takenAt": NOW, "takenBy": {"channelId": "msteams", "userId": "29:kim", "name": "Kim"}}


@pytest.mark.parametrize(
    ("options", "status", "told"),
    [
        ((), 0, ["firing    2026-11-27T05:23:04+00:00  warning  billing  Disk is full [2J"]),
        (
            ("--follow",),
            130,
            [
                "firing    2026-11-27T05:23:04+00:00  warning  billing  Disk is full [2J",
                "firing    web  High load",
                "resolved  2026-11-27T05:23:04+00:00  warning  billing  Disk is full [2J",
                "firing    web  Very high load",
                "firing    web  Very high load  taken by Kim",
                "firing    web  Very high load  taken by somebody",
            ],
        ),
    ],
)
def test_what_fires_is_listed_and_each_change_is_told(monkeypatch, capsys, options, status, told):
    with AlertsApi() as api:
        very_high = {**LOAD, "title": "Very high load"}
        taken, erased = {**very_high, **TAKEN}, {**very_high, "takenAt": NOW}
        api.firing = [[DISK], [DISK, LOAD], [LOAD], [very_high], [taken], [erased], []]
        for name, value in api.environment.items():
            monkeypatch.setenv(name, value)

        def wait(seconds: float) -> None:
            if len(api.firing) == 1:
                raise KeyboardInterrupt

        monkeypatch.setattr("local.incidents.time.sleep", wait)
        monkeypatch.setattr(sys, "argv", ["local", "incidents", *options])
        assert command_line.main() == status
        assert capsys.readouterr().out.splitlines() == told
