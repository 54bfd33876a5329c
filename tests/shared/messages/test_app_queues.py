"""What stands in a message beside its body, and how what failed comes back."""

import base64
import json
import math
from datetime import UTC, datetime

import pytest
from azure.storage.queue import QueueClient

from SendActivity.request import SendRequest
from shared.connector.errors import ConnectorAnswer, connector_error
from shared.deliveries.delivery import Status
from shared.errors import StorageRefusedError
from shared.messages.envelope import AccountSnapshot, AlertChange, Envelope, Step
from shared.sending.redrive import put_back_poison
from tests.shared.triggers.settling import MESSAGE, Run
from tests.support.builders import envelope_of, on_its_way, services_of, unique
from tests.support.lossy_storage import LossyStorage

STORAGE = "AzureWebJobsStorage"
THEN = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


REFUSED = connector_error(400, ConnectorAnswer(400, "BadSyntax"))

LARGE = {**MESSAGE, "activity": {"text": "ü" * 24_500}}
TAKEN_ALONG = AccountSnapshot(
    conversation_id="a:1", service_url="https://x/", name="Alex 😀", key_id="k", key="c2VjcmV0"
)


@pytest.fixture
def queues(services):
    return services.queues


class Queue(Run):
    """A queue of a test's own, with its poison queue."""

    def __init__(self, services, queue_reader, connection_string):
        super().__init__(services, queue_reader)
        self._connection_string = connection_string

    def client(self, name):
        return QueueClient.from_connection_string(self._connection_string, name)

    def fail(self, message, error=REFUSED):
        """Have a message fail."""
        self.process(message, error, message_id=unique("message"), inserted_at=THEN)

    def put_by_host(self, text):
        """Put a text on the poison queue, as the Functions host does."""
        with self.client(f"{self.queue}-poison") as client:
            client.create_queue()
            client.send_message(base64.b64encode(text.encode()).decode())

    def back(self):
        """The message that is back on the queue, and what is noted about it."""
        [message] = self.waiting.take()
        if isinstance(message.get("_body"), str):
            message = json.loads(self.services.queues.large_values.fetch(message["_body"]))
        return message, envelope_of(message)

    def texts(self):
        """The texts on the queue, as they are."""
        with self.client(self.queue) as client:
            return [base64.b64decode(each.content).decode() for each in client.receive_messages()]


@pytest.fixture
def queue(services, queue_reader, azurite):
    return Queue(services, queue_reader, azurite.connection_string)


# On the way


@pytest.mark.parametrize(
    "noted",
    [
        {"attempts": 2, "healed": ["host"], "is_probe": True},
        {"reference": TAKEN_ALONG, "change": AlertChange(delivery_id="alert-7:0:r1", version=2)},
        {"step": Step(kind="change", version=2, page=1, first_page=3)},
        {"step": Step(kind="close", checks=3)},
    ],
    ids=["a try", "a delivery of an alert", "a step of an alert", "a check of an alert"],
)
def test_what_is_noted_comes_beside_the_message_as_it_went(queues, queue, noted):
    envelope = Envelope(id="order-7", accepted_at=THEN, alert="alert-7", **noted)

    queues.send(queue.queue, MESSAGE, envelope)

    assert queue.back() == (MESSAGE, envelope)


def test_a_message_never_expires_and_hides_no_longer_than_a_queue_can(queues, queue, storage_calls):
    queues.send(queue.queue, MESSAGE, Envelope(id="x", accepted_at=THEN), delay_seconds=10**9)

    [*_, call] = [each for each in storage_calls() if "/messages" in each]
    assert "messagettl=-1" in call
    assert f"visibilitytimeout={6 * 24 * 60 * 60}&" in call


# Redriven


def test_what_failed_can_be_counted_and_is_put_back_in_the_order_it_failed(services, queues, queue):
    assert (queues.count_failed(queue.queue), put_back_poison(queue.queue, services)) == (0, False)
    for number in range(2):
        queue.fail({**MESSAGE, "id": f"order-{number}"})

    assert queues.count_failed(queue.queue) == 2
    assert [put_back_poison(queue.queue, services) for _ in range(3)] == [True, True, False]

    back = queue.waiting.take()
    assert [each["_flow"]["id"] for each in back] == ["order-0", "order-1"]
    assert back[0] == {**MESSAGE, "id": "order-0", "_flow": back[0]["_flow"]}
    assert back[0]["_flow"]["attempts"] == 0


def test_what_cannot_be_put_back_stays_on_the_poison_queue(app_settings, queue):
    queue.fail(MESSAGE)
    with LossyStorage(app_settings[STORAGE], "Queue") as storage:
        storage.answer(400, times=math.inf, when=lambda call: f"/{queue.queue}/" in call.path)
        failing = services_of(app_settings, AzureWebJobsStorage=storage.connection_string)

        with pytest.raises(StorageRefusedError):
            put_back_poison(queue.queue, failing)

    assert (queue.waiting.count(), queue.poison.count()) == (0, 1)


def test_a_large_message_fails_with_its_reason_to_be_read_and_is_put_back_whole(
    services, queues, queue
):
    queue.fail({**LARGE, "id": "order-7"})
    with queue.client(f"{queue.queue}-poison") as client:
        [content] = client.peek_messages()
    entry = json.loads(base64.b64decode(content.content))

    assert put_back_poison(queue.queue, services)

    assert entry["failure"]["code"] == "BadSyntax"
    body, envelope = queue.back()
    assert (body, envelope.id) == ({**LARGE, "id": "order-7"}, "order-7")
    assert queues.large_values.fetch(entry["message"]["_body"]) is None


@pytest.mark.parametrize("message", [MESSAGE, {"message": "of a sender"}, {"_body": 5}])
def test_a_message_that_the_host_gave_up_is_put_back_as_it_was(services, queues, queue, message):
    queue.put_by_host(json.dumps(message))

    assert put_back_poison(queue.queue, services)

    body, envelope = queue.back()
    assert body == message
    # Nobody knows how often it was sent.
    assert envelope.ambiguous
    assert queue.poison.count() == 0


@pytest.mark.parametrize("body", [MESSAGE, LARGE], ids=["small", "large"])
def test_a_message_on_its_way_that_the_host_gave_up_starts_anew(services, queues, queue, body):
    envelope = Envelope(id="order-7", accepted_at=THEN, attempts=5, snapshot=TAKEN_ALONG)
    text = json.dumps(on_its_way(services, queue.queue, body, envelope))
    key = queues.large_values.keep(text) if body is LARGE else None
    queue.put_by_host(json.dumps({"_body": key}) if key else text)

    assert put_back_poison(queue.queue, services)

    back, noted = queue.back()
    assert back == body
    assert (noted.id, noted.accepted_at, noted.attempts) == ("order-7", THEN, 0)
    assert noted.ambiguous
    assert noted.snapshot is None
    assert key is None or queues.large_values.fetch(key) is None


@pytest.mark.parametrize("text", ["not JSON", "[1, 2]"])
@pytest.mark.parametrize("by", ["the host", "the functions"])
def test_a_text_that_is_no_json_object_is_put_back_too(services, queues, queue, text, by):
    if by == "the host":
        queue.put_by_host(text)
    else:
        queue.fail(text.encode())

    assert put_back_poison(queue.queue, services)

    # What is JSON stands as such in the entry, and may come back written otherwise.
    assert queue.texts() in ([text], [text.replace(" ", "")])
    assert queue.poison.count() == 0


# A reason that is larger than a message


@pytest.mark.parametrize(
    ("activities", "detail"),
    [
        ({f"aa-{number}": 5 for number in range(400)}, "activities.aa-0"),
        ({"\ud83d": 5}, "activities."),
    ],
    ids=["hundreds of fields", "no UTF-8"],
)
def test_a_message_that_is_wrong_in_every_way_fails_with_a_reason(
    queue, services, activities, detail
):
    message = {"id": "order-7", "activities": activities}
    queue.fail(message, lambda queued: SendRequest.from_json(queued.body))

    [entry] = queue.poison.take()
    assert entry["failure"]["code"] == "InvalidRequest"
    assert entry["failure"]["detail"].startswith(detail)
    assert len(entry["failure"]["detail"]) < 4096
    failed = services.deliveries.find("order-7")
    assert failed.status is Status.PERMANENT_FAILURE
    assert services.failures.find(failed.id, failed.failed_on) is not None
