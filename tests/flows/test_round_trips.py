"""What each person costs: storage operations, counted at the wire.

The only host on its queues is the one that is watched.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from urllib.parse import quote

import pytest

from tests.flows.listening_app import ListeningApp, listening_app
from tests.flows.people import write
from tests.flows.running_app import AppStorage, new_user
from tests.support.lossy_storage import LossyStorage


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
        user = new_user()
        write(app, user)
        send(app, user)
        yield app


def send(app: ListeningApp, user: str) -> None:
    """Have a message sent to a user by the queue."""
    recipient = {"channelId": "msteams", "userId": user}
    app.begin()
    app.enqueue("send-activity", {"recipient": recipient, "activity": {"text": "News"}})
    app.wait_for_calls(1)
    app.settle()


@pytest.fixture
def operations(wire: LossyStorage) -> Callable[[], list[str]]:
    """Tells the methods of what storage was asked since it was last told; pacing aside."""
    earlier = len(wire.requests)

    def tell() -> list[str]:
        nonlocal earlier
        asked = wire.requests[earlier:]
        earlier += len(asked)
        return [request.method for request in asked if "/lanes" not in request.path]

    return tell


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
def test_a_look_up_takes_one_round_trip_or_two_by_the_object_id(
    watched_app: ListeningApp, operations, user: str, path: str, reads: int
):
    write(watched_app, user)
    operations()

    found = watched_app.get(path.format(user=quote(user, safe="")))

    assert found.status == 200
    assert operations() == ["GET"] * reads


def test_the_first_message_of_a_person_takes_four_writes(
    watched_app: ListeningApp, operations, user: str
):
    operations()

    write(watched_app, user)

    # Read: whether they are known, and whether they said stop before they were forgotten, by
    # either id. Written: the conversation, what points from the object id, the person's key,
    # the account.
    assert operations() == ["GET", "PUT", "GET", "GET", "POST", "PUT", "POST"]


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


def test_a_send_by_user_id_reads_the_account_and_writes_before_and_after_the_call(
    watched_app: ListeningApp, operations, user: str
):
    write(watched_app, user)
    operations()

    send(watched_app, user)

    assert operations() == ["GET", "POST", "PUT"]
