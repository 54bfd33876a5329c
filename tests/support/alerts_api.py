"""The app's alerts as a caller sees them, played on loopback."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from tests.support.stub_server import Answer, ReceivedRequest, StubServer

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


def under_way(progress: float, counts: Mapping[str, int], **changes: Any) -> dict[str, Any]:
    """An alert that is being sent; counts that are not given are 0."""
    return {
        "status": "sending",
        "counts": dict.fromkeys(STATUSES, 0) | dict(counts),
        "total": sum(counts.values()),
        "isEstimate": False,
        "progress": progress,
        **changes,
    }


def ended(counts: Mapping[str, int], **changes: Any) -> dict[str, Any]:
    """An alert to which nothing more happens by itself."""
    end = {"status": "done", "endedAt": "2026-03-01T12:00:00Z"}
    return under_way(1.0, counts, **{**end, **changes})


def is_poll(request: ReceivedRequest) -> bool:
    """Whether an alert is asked for, and not its deliveries."""
    return request.method == "GET" and "/deliveries" not in request.path


class AlertsApi(StubServer):
    """Accepts alerts, and tells of them what it was told to."""

    key = "invented-function-key"

    def __init__(self) -> None:
        self.states: list[Mapping[str, Any]] = [ended({"sent": 1})]
        """What is told of the alert, one after the other, and the last from then on."""
        self.deliveries: dict[str, tuple[list[dict[str, Any]], ...]] = {}
        """Deliveries by status, in pages."""
        self.firing: list[list[dict[str, Any]]] = [[]]
        """The incidents that fire, one list after the other, and the last from then on."""
        self.answers: list[dict[str, Any]] = []
        super().__init__()

    @property
    def api(self) -> str:
        """The address that the commands are given."""
        return f"{self.url}/api"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point the commands here."""
        return {"SPEAK_FIRST_URL": self.api, "SPEAK_FIRST_KEY": self.key}

    @property
    def created(self) -> list[Any]:
        """The alerts that were asked for, as often as they were."""
        return [each.json for each in self.requests if each.method == "POST"]

    def default_answer(self, request: ReceivedRequest) -> Answer:
        """Accept an alert, send it to one person; without the key refuse it without a word."""
        if request.headers["x-functions-key"] != self.key:
            return Answer(401)
        match request.method, urlsplit(request.path).path.split("/")[1:]:
            case "POST", ["api", "alerts"]:
                return Answer(202, {"id": request.json["id"], "status": "accepted"})
            case "GET", ["api", "alerts", alert_id]:
                state = self.states[0] if len(self.states) == 1 else self.states.pop(0)
                return Answer(200, {"id": alert_id, **state})
            case "GET", ["api", "alerts", _, "deliveries"]:
                return Answer(200, self._page(request.query))
            case "GET", ["api", "alerts", _, "answers"]:
                return Answer(200, {"answers": self.answers})
            case "GET", ["api", "incidents"] if request.query == {"state": "firing"}:
                firing = self.firing[0] if len(self.firing) == 1 else self.firing.pop(0)
                return Answer(200, {"incidents": firing})
        return Answer(404)

    def _page(self, query: Mapping[str, str]) -> dict[str, Any]:
        pages = self.deliveries.get(query["status"], ([],))
        number = int(query.get("continuationToken", 0))
        more = {"continuationToken": str(number + 1)} if number + 1 < len(pages) else {}
        return {"deliveries": pages[number], **more}
