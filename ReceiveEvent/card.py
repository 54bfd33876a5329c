"""What people are shown of an incident."""

from datetime import datetime
from typing import Any

from shared.alerts.incidents import Incident


def content_of(incident: Incident, now: datetime) -> dict[str, Any]:
    """Return the JSON of the content of the alert that tells of an incident."""
    activity = {"text": "${data.state}: ${data.title}", "textFormat": "plain"}
    return {
        "activity": activity,
        "data": {"state": f"{incident.state} {now:%H:%M}"[:8], "title": incident.title},
    }
