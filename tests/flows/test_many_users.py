"""Many people at once, and what each of them costs: storage operations, counted at the wire."""

import http.client
import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from tests.flows.listening_app import ListeningApp, listening_app
from tests.flows.running_app import THREADS, AppStorage, new_user
from tests.ReceiveActivity.activities import inbound
from tests.support.lossy_storage import LossyStorage

USERS = 2000
PAGE_SIZE = 300


@pytest.fixture(scope="module")
def module_app(folder, storage, connector, identity) -> Iterator[ListeningApp]:
    with listening_app(folder, storage, connector, identity) as app:
        yield app


@pytest.fixture(scope="module")
def wire(storage: AppStorage) -> Iterator[LossyStorage]:
    """What the watched app asks of Table storage."""
    with LossyStorage(storage.connection_string) as wire:
        yield wire


@pytest.fixture(scope="module")
def watched_app(tmp_path_factory, wire, connector, identity) -> Iterator[ListeningApp]:
    """The app, seen from its storage, which has all that is missing at first."""
    folder = tmp_path_factory.mktemp("watched") / "app"
    with (
        closing(AppStorage(wire.connection_string)) as storage,
        listening_app(folder, storage, connector, identity) as app,
    ):
        write(app, new_user())
        yield app


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


def all_listed(app: ListeningApp, **query: str) -> list[dict[str, Any]]:
    """All accounts that are listed, page by page."""
    asked = "".join(f"&{name}={quote(value)}" for name, value in query.items())
    page = app.get(f"/api/accounts?pageSize={PAGE_SIZE}{asked}").json()
    listed: list[dict[str, Any]] = page["accounts"]
    while token := page.get("continuationToken"):
        path = f"/api/accounts?pageSize={PAGE_SIZE}{asked}&continuationToken={quote(token)}"
        page = app.get(path).json()
        listed += page["accounts"]
    return listed


@pytest.fixture
def operations(wire: LossyStorage) -> Callable[[], list[str]]:
    """Tells the methods of what storage was asked since it was last told."""
    earlier = len(wire.requests)

    def tell() -> list[str]:
        nonlocal earlier
        asked = wire.requests[earlier:]
        earlier += len(asked)
        return [request.method for request in asked]

    return tell


def test_everybody_who_writes_at_the_same_time_is_cached(app: ListeningApp):
    tenant = {"channelData": {"tenant": {"id": uuid4().hex}}}
    users = [new_user() for _ in range(USERS)]
    activities = [message(app, user, **tenant) for user in users]

    with ThreadPoolExecutor(THREADS) as callers:
        parts = [activities[caller::THREADS] for caller in range(THREADS)]
        answered = callers.map(lambda part: post_all(app, part), parts)
        statuses = Counter(status for part in answered for status in part)
    listed = all_listed(app, tenantId=tenant["channelData"]["tenant"]["id"])

    assert statuses == {200: USERS}
    assert Counter(account["userId"] for account in listed) == dict.fromkeys(users, 1)
    assert all(each["conversation"]["id"] == f"a:{each['userId']}" for each in listed)
    assert app.calls == []
    assert app.openid.key_reads == 1


@pytest.mark.parametrize(
    ("path", "reads"),
    [
        ("/api/accounts/msteams/{user}", 1),
        # By way of the row that points to the account.
        ("/api/accounts/msteams/object-{user}", 2),
        ("/api/conversations/a%3A{user}", 1),
        ("/api/conversations/a%3A{user}?channelId=msteams", 1),
    ],
)
def test_a_look_up_is_as_many_round_trips_however_many_are_known(
    watched_app: ListeningApp, operations, user: str, path: str, reads: int
):
    write(watched_app, user)
    operations()

    found = watched_app.get(path.format(user=quote(user, safe="")))

    assert found.status == 200
    assert operations() == ["GET"] * reads


def test_the_first_message_of_a_person_takes_three_writes(
    watched_app: ListeningApp, operations, user: str
):
    operations()

    write(watched_app, user)

    # Read: whether they are known, and whether they said stop before they were forgotten, by
    # either id. Written: the conversation, what points from the object id, the account.
    assert operations() == ["GET", "PUT", "GET", "GET", "POST", "POST"]


def test_a_later_message_takes_one_write(watched_app: ListeningApp, operations, user: str):
    write(watched_app, user)
    operations()

    write(watched_app, user, timestamp="2026-01-02T10:00:00Z")

    assert operations() == ["GET", "PUT"]


def test_a_message_that_comes_twice_is_not_written_twice(
    watched_app: ListeningApp, operations, user: str
):
    write(watched_app, user)
    operations()

    write(watched_app, user)

    assert operations() == ["GET"]


def test_a_send_by_user_id_reads_the_account_and_nothing_else(
    watched_app: ListeningApp, operations, user: str
):
    write(watched_app, user)
    watched_app.begin()
    operations()

    recipient = {"channelId": "msteams", "userId": user}
    watched_app.enqueue("send-activity", {"recipient": recipient, "activity": {"text": "News"}})
    watched_app.wait_for_calls(1)
    watched_app.settle()

    assert operations() == ["GET"]
