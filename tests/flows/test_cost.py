"""What a message costs when all goes well, counted at the wire; what pacing costs, aside."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.flows.people import remember_all
from tests.flows.running_app import SENDING, AppStorage, RunningApp, running_app
from tests.support.lossy_storage import LossyStorage
from tests.support.stub_server import ReceivedRequest

MESSAGES = 50


@pytest.fixture(scope="module")
def tables(storage: AppStorage) -> Iterator[LossyStorage]:
    """What the app asks of Table storage."""
    with LossyStorage(storage.connection_string) as tables:
        yield tables


@pytest.fixture(scope="module")
def queues(tables: LossyStorage) -> Iterator[LossyStorage]:
    """What the app and its host ask of Queue storage."""
    with LossyStorage(tables.connection_string, "Queue") as queues:
        yield queues


@pytest.fixture(scope="module")
def module_app(folder, storage, queues, connector, identity) -> Iterator[RunningApp]:
    with (
        closing(AppStorage(queues.connection_string)) as watched,
        running_app(folder, watched, connector, identity) as app,
    ):
        yield RunningApp(app.host, storage, connector, identity)


def test_a_message_costs_one_call_and_three_rows(
    app: RunningApp, tables: LossyStorage, queues: LossyStorage
):
    # The first ones make the tables that are missing.
    send(app, remember_all(app, 2))
    users = remember_all(app, MESSAGES)
    app.begin()
    table_requests, queue_requests = len(tables.requests), len(queues.requests)

    send(app, users)

    operations = Counter(table_of(each) for each in tables.requests[table_requests:])
    assert Counter(call.json["text"] for call in app.calls) == Counter(users)
    # How many slots are reserved at once depends on how busy this machine is.
    del operations["GET lanes"], operations["PUT lanes"], operations["POST lanes"]
    assert operations == dict.fromkeys(
        ("GET accounts", "POST deliveries", "PUT deliveries"), MESSAGES
    )
    asked = Counter(each.method for each in queues.requests[queue_requests:])
    # The host takes a batch, and deletes each message; neither it nor we put anything anywhere.
    assert asked.keys() == {"GET", "DELETE"}
    assert asked["DELETE"] == MESSAGES


def send(app: RunningApp, users: list[str]) -> None:
    app.enqueue(
        SENDING,
        *(
            {"recipient": {"channelId": "msteams", "userId": user}, "activity": {"text": user}}
            for user in users
        ),
    )
    app.settle()


def table_of(request: ReceivedRequest) -> str:
    """Such as `GET accounts`."""
    match = re.match(r"/devstoreaccount1/(\w+)", request.path)
    return f"{request.method} {match[1] if match else request.path}"
