import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import azure.functions as func
import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue import QueueClient, QueueServiceClient

from local import queue_listener, storage
from local.environment import read_host_json
from local.functions import Function
from local.queue_listener import QueueListener
from local.worker import Worker
from tests.local.host_process import HostProcess, write_app
from tests.support.lossy_storage import LossyStorage
from tests.support.waiting import PATIENCE_SECONDS, until

LEASE_SECONDS = 600


class Queue:
    """A queue of a test's own, and the function that handles its messages."""

    def __init__(self, connection_string: str, name: str) -> None:
        self.connection_string = connection_string
        self.name = name
        service = QueueServiceClient.from_connection_string(connection_string)
        self.messages = service.get_queue_client(name)
        self.poison = service.get_queue_client(f"{name}-poison")
        self.runs: list[func.QueueMessage] = []
        self.done: list[str] = []
        self.most = 0
        self.gates: dict[str, threading.Event] = {}

    def handle(self, msg: func.QueueMessage) -> None:
        body = msg.get_body().decode(errors="replace")
        self.runs.append(msg)
        self.most = max(self.most, self.running())
        if body == "fail":
            raise RuntimeError("as told")
        if body in self.gates:
            self.gates[body].wait(PATIENCE_SECONDS)
        self.done.append(body)

    @contextmanager
    def listener(
        self, connection_string: str | None = None, *, binary: bool = False, **settings: Any
    ) -> Iterator[None]:
        """Listen while the block lasts."""
        connection = f"Connection{uuid4().hex}"
        trigger = {"type": "queueTrigger", "name": "msg", "queueName": self.name}
        if binary:
            trigger["dataType"] = "BINARY"
        function = Function("Handle", {**trigger, "connection": connection}, self.handle, False)
        often = {"max_polling_interval": timedelta(seconds=0.2)}
        host_json = replace(read_host_json(Path("none")), **{**often, **settings})
        worker = Worker()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(connection, connection_string or self.connection_string)
            listener = QueueListener(function, host_json, LEASE_SECONDS, worker)
        listener.start()
        try:
            yield
        finally:
            listener.stop()
            worker.stop()
            assert listener.in_flight.wait_until_at_most(0, PATIENCE_SECONDS)

    def send(self, *bodies: str | bytes) -> None:
        for body in bodies:
            content = body if isinstance(body, bytes) else body.encode()
            self.messages.send_message(base64.b64encode(content).decode())

    def see_handled(self, *bodies: str) -> None:
        """Send messages and wait for each before the next."""
        for body in bodies:
            self.send(body)
            until(partial(self.is_done, body))

    def is_done(self, body: str) -> bool:
        return body in self.done

    def running(self) -> int:
        return len(self.runs) - len(self.done)

    def runs_of(self, body: str) -> list[func.QueueMessage]:
        return [run for run in self.runs if run.get_body() == body.encode()]

    def length(self) -> int:
        """How many messages there are, leased ones too."""
        return self.messages.get_queue_properties().approximate_message_count or 0


def visible(queue: QueueClient) -> list[str]:
    try:
        return [message.content for message in queue.peek_messages(max_messages=32)]
    except ResourceNotFoundError:
        return []


@pytest.fixture
def queue(azurite) -> Queue:
    queue = Queue(azurite.connection_string, f"q{uuid4().hex}")
    queue.messages.create_queue()
    return queue


@pytest.mark.parametrize("body", ["grüße", ""])
def test_a_message_is_handled_and_deleted(queue, body):
    sent = queue.messages.send_message(base64.b64encode(body.encode()).decode())

    with queue.listener():
        until(lambda: queue.length() == 0)

    [run] = queue.runs
    assert queue.done == [body]
    assert (run.id, run.dequeue_count) == (sent.id, 1)
    assert run.pop_receipt
    assert (run.insertion_time, run.expiration_time) == (sent.inserted_on, sent.expires_on)
    assert run.insertion_time < run.time_next_visible < run.expiration_time


# What a message says of itself, in any case of letters; null and lists are not taken.
OF_ITSELF = {
    "ID": "order-7",
    "dequeueCount": 30,
    "popReceipt": {"a": True},
    "insertionTime": "2020-01-31T08:00:00Z",
    "expirationTime": "2020-02-01T08:00:00+00:00",
    "nextVisibleTime": ["2020-01-31T08:00:00Z"],
    "invented": None,
}
# What the function is told then, but for what is the queue's own.
TAKEN_FROM_IT = {
    "id": "order-7",
    "dequeue_count": 30,
    "pop_receipt": "{'a': True}",
    "insertion_time": datetime(2020, 1, 31, 8, tzinfo=UTC),
    "expiration_time": datetime(2020, 2, 1, 8, tzinfo=UTC),
}


@pytest.mark.parametrize(
    ("binary", "body", "taken"),
    [
        (False, json.dumps(OF_ITSELF).encode(), TAKEN_FROM_IT),
        (True, json.dumps(OF_ITSELF).encode(), {}),
        (False, json.dumps(OF_ITSELF).encode("utf-8-sig"), {}),
        (False, json.dumps([OF_ITSELF]).encode(), {}),
        (True, json.dumps(OF_ITSELF).encode("utf-16"), {}),
        (True, b"\xff", {}),
    ],
)
def test_what_a_text_says_of_itself_goes_before_what_the_queue_knows(queue, binary, body, taken):
    sent = queue.messages.send_message(base64.encodebytes(body).decode())

    with queue.listener(binary=binary):
        until(lambda: queue.length() == 0)

    [run] = queue.runs
    known = {
        "id": sent.id,
        "dequeue_count": 1,
        "insertion_time": sent.inserted_on,
        "expiration_time": sent.expires_on,
        **taken,
    }
    assert run.get_body() == body
    assert {name: getattr(run, name) for name in known} == known
    assert run.time_next_visible > sent.inserted_on


@pytest.mark.parametrize("body", [b'{"dequeueCount": "abc"}', b"\xff"])
def test_a_text_that_cannot_be_handed_over_is_tried_and_then_poison(queue, body):
    queue.send(body)

    with queue.listener(max_dequeue_count=2):
        until(lambda: queue.length() == 0)

    assert (len(visible(queue.poison)), queue.runs) == (1, [])


def test_messages_are_plain_text_if_host_json_says_so(queue):
    queue.messages.send_message("plain <text> & more")

    with queue.listener(message_encoding="none"):
        until(lambda: queue.done == ["plain <text> & more"])


def test_a_message_that_keeps_failing_is_tried_so_often_and_then_poison(queue):
    queue.send("fail")

    with queue.listener(max_dequeue_count=3):
        until(lambda: queue.length() == 0)

    assert [run.dequeue_count for run in queue.runs] == [1, 2, 3]
    poison = queue.poison.receive_message()
    assert poison.content == base64.b64encode(b"fail").decode()
    assert poison.expires_on - poison.inserted_on == timedelta(days=7)


def test_a_failed_message_stays_invisible_for_the_visibility_timeout(queue):
    queue.send("fail")

    with queue.listener(visibility_timeout=timedelta(hours=1)):
        until(lambda: queue.runs_of("fail"))
        queue.see_handled("1", "2", "3", "4", "5")
        until(lambda: queue.length() == 1)

    assert len(queue.runs_of("fail")) == 1


def test_a_message_that_was_taken_too_often_is_poison_without_a_run(queue):
    queue.send("often")
    for _ in range(3):
        message = queue.messages.receive_message()
        queue.messages.update_message(message.id, message.pop_receipt, visibility_timeout=0)

    with queue.listener(max_dequeue_count=3):
        until(lambda: queue.length() == 0)

    assert len(visible(queue.poison)) == 1
    assert queue.runs == []


@pytest.mark.parametrize("text", ['{"id": "abcdef"}', "grüße"])
def test_a_message_that_is_not_base64_is_poison_as_it_is(queue, text):
    queue.messages.send_message(text)

    with queue.listener():
        until(lambda: queue.length() == 0)

    assert visible(queue.poison) == [text]
    assert queue.runs == []


@pytest.mark.parametrize("tries", [1, 5])
def test_what_fails_in_a_poison_queue_stays_there(azurite, tries):
    queue = Queue(azurite.connection_string, f"q{uuid4().hex}-poison")
    queue.messages.create_queue()
    queue.send("fail")

    with queue.listener(max_dequeue_count=tries):
        until(lambda: queue.runs_of("fail"))
        queue.see_handled("1", "2", "3", "4", "5")
        until(lambda: queue.length() == 1)

    assert len(queue.runs_of("fail")) == 1
    assert visible(queue.poison) == []


def test_a_queue_that_is_made_later_is_listened_to(queue, caplog):
    queue.messages.delete_queue()

    with (
        LossyStorage(queue.connection_string, "Queue") as proxy,
        queue.listener(proxy.connection_string),
    ):
        proxy.wait_for(2)
        queue.messages.create_queue()
        queue.see_handled("late")

    assert "Cannot read" not in caplog.text


def test_an_outage_of_the_storage_is_told_once_and_survived(queue, caplog, monkeypatch):
    monkeypatch.setattr(storage, "BACKOFF_SECONDS", 0)
    caplog.set_level("INFO", "local.queue_listener")

    with (
        LossyStorage(queue.connection_string, "Queue") as proxy,
        queue.listener(proxy.connection_string),
    ):
        queue.see_handled("before")
        # Each fetch is tried three times.
        proxy.cut(times=9, when=lambda request: request.method == "GET")
        queue.see_handled("after")
        until(lambda: queue.length() == 0)

    assert caplog.messages.count(f"The queue {queue.name} can be read again") == 1
    assert len([each for each in caplog.messages if each.startswith("Cannot read the queue")]) == 1


def test_a_message_is_leased_and_the_lease_renewed_for_as_long_as_the_function_runs(
    queue, monkeypatch
):
    monkeypatch.setattr(queue_listener, "RENEWED_AFTER", 0.1 / LEASE_SECONDS)
    queue.gates["long"] = threading.Event()
    queue.send("long")

    with LossyStorage(queue.connection_string, "Queue") as storage:

        def renewals():
            return [request for request in storage.requests if request.method == "PUT"]

        with queue.listener(storage.connection_string):
            until(lambda: len(renewals()) >= 2)
            queue.gates["long"].set()
            # With the receipt of the last renewal.
            until(lambda: queue.length() == 0)

        leases = {request.query.get("visibilitytimeout") for request in storage.requests[:1]}
        leases |= {request.query["visibilitytimeout"] for request in renewals()}
        texts = {request.body for request in renewals()}

    assert (leases, texts) == ({str(LEASE_SECONDS)}, {b""})


def test_the_next_batch_is_fetched_when_few_enough_are_running(queue):
    bodies = [str(number) for number in range(6)]
    queue.gates = {body: threading.Event() for body in bodies}
    queue.send(*bodies)

    with queue.listener(batch_size=2, new_batch_threshold=1):
        until(lambda: queue.running() == 2)
        queue.gates[queue.runs[0].get_body().decode()].set()
        until(lambda: queue.running() == 3)
        left = visible(queue.messages)
        for gate in queue.gates.values():
            gate.set()
        until(lambda: queue.length() == 0)

    assert (len(left), queue.most) == (2, 3)


APP = """
import os, pathlib, threading, time
import azure.functions as func

app = func.FunctionApp()
here = pathlib.Path(os.environ["APP"])


@app.queue_trigger(arg_name="msg", queue_name="%QUEUE%", connection="AzureWebJobsStorage")
def handle(msg: func.QueueMessage) -> None:
    body = msg.get_body().decode()
    (here / f"{body} {threading.get_ident()}").touch()
    while body != "short" and not (here / "go").exists():
        time.sleep(0.01)


@app.route("thread", auth_level=func.AuthLevel.ANONYMOUS)
def thread(req: func.HttpRequest) -> str:
    return str(threading.get_ident())
"""


@pytest.fixture
def host(queue, tmp_path) -> Iterator[HostProcess]:
    settings = {"AzureWebJobsStorage": queue.connection_string, "QUEUE": queue.name}
    polling = {"extensions": {"queues": {"maxPollingInterval": "00:00:00.2"}}}
    app = write_app(tmp_path / "app", APP, polling)
    with HostProcess(app, **settings, PYTHON_THREADPOOL_THREAD_COUNT="1") as host:
        yield host


def runs(host: HostProcess) -> list[list[str]]:
    return [path.name.split() for path in host.app.iterdir() if " " in path.name]


def test_queues_and_http_share_one_pool_of_threads(queue, host):
    queue.send("short")
    until(lambda: runs(host))

    assert runs(host) == [["short", host.get("/api/thread").body.decode()]]


def test_when_the_host_stops_what_runs_ends_and_what_waits_goes_back(queue, host):
    queue.send("1", "2")
    until(lambda: runs(host))
    until(lambda: visible(queue.messages) == [])
    host.process.terminate()
    until(lambda: len(visible(queue.messages)) == 1)
    (host.app / "go").touch()

    assert host.process.wait(timeout=PATIENCE_SECONDS) == 0
    [[running, _]] = runs(host)
    waiting = {"1": "2", "2": "1"}[running]
    assert visible(queue.messages) == [base64.b64encode(waiting.encode()).decode()]
    assert queue.length() == 1
