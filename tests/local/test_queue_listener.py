import base64
import functools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue import QueueClient, QueueServiceClient

from tests.local.forwarder import Forwarder
from tests.local.host_process import HostProcess, write_app
from tests.support.waiting import until

# Each run leaves a line in the file `runs`; a message tells what its run is to do.
APP = """
import json, os, pathlib, threading, time
import azure.functions as func

app = func.FunctionApp()
here = pathlib.Path(os.environ["APP"])


def write(**run):
    with open(here / "runs", "a") as runs:
        runs.write(json.dumps(run) + "\\n")


@app.function_name("Handle")
@app.queue_trigger(arg_name="msg", queue_name="%QUEUE%", connection="AzureWebJobsStorage")
def handle(msg: func.QueueMessage) -> None:
    body = msg.get_body().decode()
    times = (msg.insertion_time, msg.expiration_time, msg.time_next_visible)
    write(
        body=body, id=msg.id, count=msg.dequeue_count, receipt=msg.pop_receipt,
        times=[time.isoformat() for time in times], thread=threading.get_ident(),
    )
    if body.startswith("fail"):
        raise RuntimeError("as told")
    if body.startswith("sleep"):
        time.sleep(float(body.split()[1]))
    if body.startswith("wait"):
        while not (here / body).exists():
            time.sleep(0.01)
    write(done=body)


@app.route("thread", auth_level=func.AuthLevel.ANONYMOUS)
def thread(req: func.HttpRequest) -> str:
    return str(threading.get_ident())
"""


class Queue:
    """A queue of a test's own, and the host that listens to it."""

    def __init__(self, connection_string: str, app: Path, name: str) -> None:
        self.connection_string = connection_string
        self.name = name
        self.app = app
        self.service = QueueServiceClient.from_connection_string(connection_string)
        self.messages = self.service.get_queue_client(name)
        self.poison = self.service.get_queue_client(f"{name}-poison")

    @contextmanager
    def host(
        self, *options: str, connection_string: str | None = None, threads: int = 8, **queues: Any
    ) -> Iterator[HostProcess]:
        queues = {"maxPollingInterval": "00:00:00.2", **queues}
        write_app(self.app, APP, {"extensions": {"queues": queues}})
        settings = {
            "QUEUE": self.name,
            "AzureWebJobsStorage": connection_string or self.connection_string,
            "PYTHON_THREADPOOL_THREAD_COUNT": str(threads),
        }
        with HostProcess(self.app, *options, **settings) as host:
            yield host

    def send(self, *bodies: str) -> None:
        for body in bodies:
            self.messages.send_message(base64.b64encode(body.encode()).decode())

    def see_handled(self, *bodies: str) -> None:
        """Send messages and wait for each before the next."""
        for body in bodies:
            self.send(body)
            until(functools.partial(self.is_done, body))

    def runs(self, body: str | None = None) -> list[dict[str, Any]]:
        """What the function wrote when it began with a message, and when it ended."""
        path = self.app / "runs"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        runs = [json.loads(line) for line in lines if line.endswith("\n")]
        return runs if body is None else [run for run in runs if run.get("body") == body]

    def is_done(self, body: str) -> bool:
        return body in self.done()

    def done(self) -> list[str]:
        return [run["done"] for run in self.runs() if "done" in run]

    def length(self) -> int:
        """How many messages there are, leased ones too."""
        return self.messages.get_queue_properties().approximate_message_count or 0


def visible(queue: QueueClient) -> list[str]:
    try:
        return [message.content for message in queue.peek_messages(max_messages=32)]
    except ResourceNotFoundError:
        return []


@pytest.fixture
def queue(azurite, tmp_path: Path) -> Queue:
    queue = Queue(azurite.connection_string, tmp_path / "app", f"q{uuid4().hex}")
    queue.messages.create_queue()
    return queue


def test_a_message_is_handled_and_deleted(queue):
    sent = queue.messages.send_message(base64.b64encode("grüße".encode()).decode())

    with queue.host():
        until(lambda: queue.length() == 0)

    run, _ = queue.runs()
    assert (run["body"], run["id"], run["count"]) == ("grüße", sent.id, 1)
    assert run["receipt"]
    inserted, expires, next_visible = run["times"]
    assert inserted == sent.inserted_on.isoformat()
    assert expires == sent.expires_on.isoformat()
    assert inserted < next_visible < expires
    assert queue.done() == ["grüße"]


def test_an_empty_message_is_handled_too(queue):
    queue.messages.send_message("")

    with queue.host():
        until(lambda: queue.length() == 0)

    assert queue.done() == [""]


def test_messages_that_come_later_are_handled_too(queue):
    with queue.host():
        queue.see_handled("first", "second", "third")


def test_messages_are_plain_text_if_host_json_says_so(queue):
    queue.messages.send_message("plain <text> & more")

    with queue.host(messageEncoding="none"):
        until(lambda: queue.done() == ["plain <text> & more"])


def test_a_message_that_keeps_failing_is_tried_so_often_and_then_poison(queue):
    queue.send("fail")

    with queue.host(maxDequeueCount=3):
        until(lambda: queue.length() == 0)

    assert [run["count"] for run in queue.runs()] == [1, 2, 3]
    poison = queue.poison.receive_message()
    assert poison.content == base64.b64encode(b"fail").decode()
    assert poison.expires_on.year == 9999


def test_five_tries_are_the_default(queue):
    queue.send("fail")

    with queue.host():
        until(lambda: queue.length() == 0)

    assert len(queue.runs()) == 5


def test_poison_joins_what_is_in_the_poison_queue_already(queue):
    queue.poison.create_queue()
    queue.poison.send_message("older")
    queue.send("fail")

    with queue.host(maxDequeueCount=1, visibilityTimeout="01:00:00"):
        until(lambda: len(visible(queue.poison)) == 2)


def test_a_failed_message_stays_invisible_for_the_visibility_timeout(queue):
    queue.send("fail")

    with queue.host(visibilityTimeout="01:00:00"):
        until(lambda: queue.runs("fail"))
        queue.see_handled("1", "2", "3", "4", "5")
        until(lambda: queue.length() == 1)

    assert len(queue.runs("fail")) == 1


def test_a_message_that_was_taken_too_often_is_poison_without_a_run(queue):
    queue.send("often")
    for _ in range(3):
        message = queue.messages.receive_message()
        queue.messages.update_message(message.id, message.pop_receipt, visibility_timeout=0)

    with queue.host(maxDequeueCount=3):
        until(lambda: queue.length() == 0)

    assert len(visible(queue.poison)) == 1
    assert queue.runs() == []


@pytest.mark.parametrize("text", ['{"id": "abcdef"}', "grüße"])
def test_a_message_that_is_not_base64_is_poison_as_it_is(queue, text):
    queue.messages.send_message(text)

    with queue.host():
        until(lambda: queue.length() == 0)

    assert visible(queue.poison) == [text]
    assert queue.runs() == []


@pytest.mark.parametrize("tries", [1, 5])
def test_what_fails_in_a_poison_queue_stays_there(azurite, tmp_path, tries):
    queue = Queue(azurite.connection_string, tmp_path / "app", f"q{uuid4().hex}-poison")
    queue.messages.create_queue()
    queue.send("fail")

    with queue.host(maxDequeueCount=tries):
        until(lambda: queue.runs("fail"))
        queue.see_handled("1", "2", "3", "4", "5")
        until(lambda: queue.length() == 1)

    assert len(queue.runs("fail")) == 1
    assert visible(queue.poison) == []


def test_a_queue_that_is_made_later_is_listened_to(queue):
    queue.messages.delete_queue()

    with queue.host() as host:
        host.get("/api/thread")
        queue.messages.create_queue()
        queue.send("late")
        until(lambda: queue.done() == ["late"])

    assert "Cannot read" not in host.log()


def test_an_outage_of_the_storage_is_told_once_and_survived(queue):
    with (
        Forwarder(queue.connection_string) as storage,
        queue.host(connection_string=storage.connection_string) as host,
    ):
        queue.see_handled("before")
        until(lambda: queue.length() == 0)
        storage.is_down = True
        until(lambda: storage.refused > 7)  # each fetch is tried three times
        storage.is_down = False
        queue.see_handled("after")
        until(lambda: queue.length() == 0)

    assert queue.done() == ["before", "after"]
    assert host.log().count(f"Cannot read the queue {queue.name}") == 1
    assert host.log().count(f"The queue {queue.name} can be read again") == 1


def test_the_lease_is_renewed_for_as_long_as_the_function_runs(queue):
    queue.send("sleep 9")

    with queue.host("--lease-seconds", "8"):
        until(lambda: queue.length() == 0)

    assert [run["count"] for run in queue.runs("sleep 9")] == [1]
    assert queue.done() == ["sleep 9"]


def test_a_lease_that_nobody_renews_runs_out(queue):
    queue.send("wait for ever")

    with queue.host("--lease-seconds", "2") as host:
        until(lambda: queue.runs())
        host.process.kill()
        until(lambda: visible(queue.messages))


def test_the_next_batch_is_fetched_when_few_enough_are_running(queue):
    queue.send(*(f"wait {number}" for number in range(6)))

    def running() -> int:
        return len(queue.runs()) - 2 * len(queue.done())

    with queue.host(batchSize=2, newBatchThreshold=1):
        until(lambda: running() == 2)
        (queue.app / queue.runs()[0]["body"]).touch()
        until(lambda: running() == 3)
        for number in range(6):
            (queue.app / f"wait {number}").touch()
        until(lambda: queue.length() == 0)

    most = now = 0
    for run in queue.runs():
        now += -1 if "done" in run else 1
        most = max(most, now)
    assert most == 3


def test_queues_and_http_share_one_pool_of_threads(queue):
    queue.send("a", "b", "c")

    with queue.host(threads=1) as host:
        until(lambda: len(queue.done()) == 3)
        threads = {host.get("/api/thread").body.decode()}

    threads |= {str(run["thread"]) for run in queue.runs() if "thread" in run}
    assert len(threads) == 1


def test_when_the_host_stops_what_runs_ends_and_what_waits_goes_back(queue):
    queue.send("wait 1", "wait 2")

    with queue.host(threads=1) as host:
        until(lambda: queue.runs())
        until(lambda: visible(queue.messages) == [])
        host.process.terminate()
        running = queue.runs()[0]["body"]
        waiting = {"wait 1": "wait 2", "wait 2": "wait 1"}[running]
        until(lambda: len(visible(queue.messages)) == 1)
        (queue.app / running).touch()
        status = host.process.wait(timeout=60)

    assert status == 0
    assert queue.done() == [running]
    assert visible(queue.messages) == [base64.b64encode(waiting.encode()).decode()]
    assert queue.length() == 1
