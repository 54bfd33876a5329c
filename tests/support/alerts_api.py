"""The app's alerts as a caller sees them, played on loopback."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.stub_server import Answer, ReceivedRequest, StubServer

PROJECT = Path(__file__).parents[2]
STATUSES = (
    "accepted",
    "sending",
    "retrying",
    "sent",
    "permanent-failure",
    "temporary-failure",
    "technical-failure",
    "suppressed",
    "expired",
    "cancelled",
)
THEN = "2026-03-01T12:00:00Z"


def under_way(progress: float, counts: Mapping[str, int], **changes: Any) -> dict[str, Any]:
    """An alert that is being sent; counts that are not given are 0."""
    return {
        "status": "sending",
        "counts": dict.fromkeys(STATUSES, 0) | dict(counts),
        "total": sum(counts.values()),
        "isEstimate": False,
        "progress": progress,
        "createdAt": THEN,
        "updatedAt": THEN,
        **changes,
    }


def ended(counts: Mapping[str, int], **changes: Any) -> dict[str, Any]:
    """An alert to which nothing more happens by itself."""
    return under_way(1.0, counts, **{"status": "done", "endedAt": THEN, **changes})


def is_poll(request: ReceivedRequest) -> bool:
    """Whether an alert is asked for, and not its deliveries."""
    return request.method == "GET" and not urlsplit(request.path).path.endswith("/deliveries")


class AlertsApi(StubServer):
    """Accepts alerts, and tells of them what it was told to."""

    key = "invented-function-key"

    def __init__(self) -> None:
        self._states: list[Mapping[str, Any]] = [ended({"sent": 1})]
        self._deliveries: dict[str, tuple[list[dict[str, Any]], ...]] = {}
        super().__init__()

    @property
    def api(self) -> str:
        """The address that the commands are given."""
        return f"{self.url}/api"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point the commands here."""
        return {"SPEAK_FIRST_URL": self.api, "SPEAK_FIRST_KEY": self.key}

    @contextmanager
    def called_by(
        self, *arguments: str, stdout: int = subprocess.PIPE
    ) -> Iterator[subprocess.Popen]:
        """Run a command that calls this, in a process of its own, which can be interrupted."""
        # A job in the background inherits that Ctrl-C is ignored; the command shall not.
        previous = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "local", *arguments],
                cwd=PROJECT,
                env={**os.environ, **self.environment, "COLUMNS": "60"},
                stdout=stdout,
                stderr=subprocess.PIPE,
                text=True,
            )
        finally:
            signal.signal(signal.SIGINT, previous)
        with process:
            try:
                yield process
            finally:
                process.kill()

    @property
    def created(self) -> list[Any]:
        """The alerts that were asked for, as often as they were."""
        return [each.json for each in self.requests if each.method == "POST"]

    def tell(self, *states: Mapping[str, Any]) -> None:
        """Tell this of the alert, one after the other, and the last from then on."""
        self._states = list(states)

    def hold(self, status: str, *pages: list[dict[str, Any]]) -> None:
        """Hold deliveries of this status, in pages."""
        self._deliveries[status] = pages

    def default_answer(self, request: ReceivedRequest) -> Answer:
        """Accept an alert, send it to one person; without the key refuse it without a word."""
        if request.headers["x-functions-key"] != self.key:
            return Answer(401)
        match request.method, urlsplit(request.path).path.split("/")[1:]:
            case "POST", ["api", "alerts"]:
                return Answer(202, {"status": "accepted", **_identity(request.json["id"])})
            case "GET", ["api", "alerts", alert_id]:
                state = self._states[0] if len(self._states) == 1 else self._states.pop(0)
                return Answer(200, {**state, **_identity(alert_id)})
            case "GET", ["api", "alerts", _, "deliveries"]:
                return Answer(200, self._page(request.query))
        return Answer(404)

    def _page(self, query: Mapping[str, str]) -> dict[str, Any]:
        pages = self._deliveries.get(query["status"], ([],))
        number = int(query.get("continuationToken", 0))
        more = {"continuationToken": str(number + 1)} if number + 1 < len(pages) else {}
        common = {"status": query["status"], "channelId": "msteams"}
        return {"deliveries": [{**common, **each} for each in pages[number]], **more}


def _identity(alert_id: str) -> dict[str, Any]:
    link = f"/api/alerts/{alert_id}"
    links = {name: f"{link}/{name}" for name in ("deliveries", "cancel", "retry", "activity")}
    return {"id": alert_id, "links": {"self": link, **links}}
