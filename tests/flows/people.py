"""Users of Teams who write to the running app, or are known to it."""

import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.flows.listening_app import ListeningApp
from tests.flows.running_app import THREADS, RunningApp, new_user
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


def remember_all(app: RunningApp, count: int, **account: Any) -> list[str]:
    """Make so many users of Teams known, each with their conversation; return their ids."""
    users = [new_user() for _ in range(count)]
    with ThreadPoolExecutor(THREADS) as callers:
        list(
            callers.map(
                lambda user: app.remember(
                    "msteams", user, conversation={"id": f"a:{user}"}, **account
                ),
                users,
            )
        )
    return users
