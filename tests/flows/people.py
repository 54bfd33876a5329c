"""Users of Teams who write to the running app."""

import http.client
import json
from typing import Any

from tests.flows.listening_app import ListeningApp
from tests.ReceiveActivity.activities import inbound


def message(app: ListeningApp, user: str, **changes: Any) -> dict[str, Any]:
    """A message of a user of Teams, whose object id is known."""
    person = {"id": user, "name": "Alex Wilber", "aadObjectId": f"object-{user}"}
    return {**inbound(app.service_url, user), "from": person, **changes}


def write(app: ListeningApp, user: str, **changes: Any) -> None:
    """Have the user write to the bot."""
    assert post_all(app, [message(app, user, **changes)]) == [200]


def post_all(app: ListeningApp, activities: list[dict[str, Any]]) -> list[int]:
    """Post activities over one connection, one after the other, and return what was answered."""
    headers = {"Authorization": f"Bearer {app.forger().sign()}"}
    connection: http.client.HTTPConnection = app.host.connect()
    statuses = []
    for activity in activities:
        connection.request("POST", "/api/messages", json.dumps(activity).encode(), headers)
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    connection.close()
    return statuses
