"""What stands in a message beside its body, and how what failed comes back."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from azure.storage.queue import QueueClient

from SendActivity.request import SendRequest
from shared.connector.errors import ConnectorAnswer, connector_error
from shared.deliveries.delivery import Status
from shared.messages.envelope import AccountSnapshot, AlertChange, Envelope, Step
from shared.triggers.queue import Taken, process
from tests.support.builders import unique

THEN = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
MESSAGE = {"recipient": {"channelId": "msteams", "userId": "29:alex"}, "activity": {"text": "😀"}}
LARGE = {**MESSAGE, "activity": {"text": "ü" * 24_500}}


@pytest.fixture
def queues(services):
    return services.queues


class Queue:
    """A queue of a test's own, with its poison queue."""

    def __init__(self, services, queue_reader, connection_string):
        self.services = services
        self.name = unique("queue")
        self.waiting = queue_reader(self.name)
        self.poison = queue_reader(f"{self.name}-poison")
        self._connection_string = connection_string

    def client(self, name):
        return QueueClient.from_connection_string(self._connection_string, name)

    def fail(self, message, **taken):
        """Have a message fail."""

        def handle(_queued):
            raise connector_error(400, ConnectorAnswer(400, "BadSyntax"))

        text = message if isinstance(message, str) else json.dumps(message)
        details = {"message_id": unique("message"), "inserted_at": THEN, **taken}
        process(Taken(self.name, text, **details), self.services, handle)

    def put_by_host(self, text):
        """Put a text on the poison queue, as the Functions host does."""
        with self.client(f"{self.name}-poison") as client:
            client.create_queue()
            client.send_message(base64.b64encode(text.encode()).decode())

    def texts(self):
        """The texts on the queue, as they are."""
        with self.client(self.name) as client:
            return [base64.b64decode(each.content).decode() for each in client.receive_messages()]


@pytest.fixture
def queue(services, queue_reader, azurite):
    return Queue(services, queue_reader, azurite.connection_string)


# On the way


def test_a_message_never_expires(queues, queue):
    queues.send(queue.name, MESSAGE, Envelope(id="order-7", accepted_at=THEN))

    with queue.client(queue.name) as client:
        [waiting] = client.peek_messages()
    assert waiting.expires_on.year == 9999


def test_what_is_put_on_a_queue_has_its_notes_beside_it(queues, queue):
    envelope = Envelope(id="order-7", accepted_at=THEN, attempts=2, healed=["host"], is_probe=True)

    queues.send(queue.name, MESSAGE, envelope)

    [sent] = queue.waiting.take()
    assert Envelope.model_validate(sent.pop("_flow")) == envelope
    assert sent == MESSAGE


REFERENCE = AccountSnapshot(
    conversation_id="a:1", service_url="https://x/", name="Alex 😀", key_id="k", key="c2VjcmV0"
)


@pytest.mark.parametrize(
    "noted",
    [
        {"reference": REFERENCE},
        {"step": Step(kind="read", page=7, after="f" * 64)},
        {"step": Step(kind="close", checks=3)},
        {"step": Step(kind="change", version=2, page=1, is_last=True, first_open_page=1)},
        {"change": AlertChange(delivery_id="alert-7:0:r1", version=2)},
    ],
    ids=["reference", "read", "close", "change", "of a delivery"],
)
def test_what_is_noted_about_an_alert_comes_as_it_went(queues, queue, noted):
    envelope = Envelope(id="order-7", accepted_at=THEN, alert="alert-7", **noted)

    queues.send(queue.name, MESSAGE, envelope)

    [sent] = queue.waiting.take()
    assert Envelope.model_validate(sent["_flow"]) == envelope


@pytest.mark.parametrize(
    "noted",
    [
        {"step": {}},
        {"step": {"kind": "other"}},
        {"step": {"kind": "read", "page": -1}},
        {"change": {"version": 2}},
        {"reference": {"conversationId": "a:1"}},
        {"alert": ""},
    ],
)
def test_what_is_noted_wrongly_about_an_alert_is_not_ours(queue, noted):
    queue.fail({**MESSAGE, "_flow": {"id": "x", "acceptedAt": THEN.isoformat(), **noted}})

    [entry] = queue.poison.take()
    assert entry["failure"]["code"] == "InvalidRequest"
    assert f"_flow.{next(iter(noted))}" in entry["failure"]["detail"]


def test_what_was_taken_along_can_be_left_behind():
    envelope = Envelope(id="order-7", accepted_at=THEN, reference=REFERENCE)

    assert envelope.after_call().reference == REFERENCE
    assert envelope.without_reference().reference is None
    assert envelope.anew().reference is None
    without = Envelope(id="order-7", accepted_at=THEN)
    assert without.without_reference() is without


def test_what_is_put_back_is_of_the_same_alert(queues, queue):
    change = AlertChange(delivery_id="alert-7:0:r1", version=2)
    envelope = Envelope(
        id="x", accepted_at=THEN, alert="alert-7", change=change, reference=REFERENCE, attempts=3
    )

    queues.put_back(queue.name, {**MESSAGE, "_flow": envelope.to_json()})

    [back] = queue.waiting.take()
    noted = Envelope.model_validate(back["_flow"])
    assert (noted.alert, noted.change, noted.reference) == ("alert-7", change, None)
    assert REFERENCE.key not in json.dumps(back)


def test_what_the_host_gave_up_takes_nothing_along_when_it_is_put_back(queues, queue):
    envelope = Envelope(id="x", accepted_at=THEN, alert="alert-7", reference=REFERENCE)
    queue.put_by_host(json.dumps({**MESSAGE, "_flow": envelope.to_json()}))

    assert queues.redrive(queue.name)

    [back] = queue.waiting.take()
    assert REFERENCE.key not in json.dumps(back)


# Put back


def test_what_is_put_back_starts_anew_with_what_is_its_own(queues, queue):
    noted = {
        "id": "order-7",
        "acceptedAt": THEN.isoformat(),
        "attempts": 6,
        "returns": 9,
        "healed": ["conversation", "host"],
        "started": True,
        "then": {"activity": {"text": "later"}},
        "isReply": True,
        "isProbe": True,
        "posting": "the first",
        "traceparent": "00-a-b-01",
    }
    before = datetime.now(UTC)

    queues.put_back(queue.name, {**MESSAGE, "_flow": noted})

    [back] = queue.waiting.take()
    envelope = Envelope.model_validate(back.pop("_flow"))
    assert back == MESSAGE
    assert envelope.accepted_at == THEN
    assert envelope.retried_at is not None
    assert before <= envelope.retried_at <= datetime.now(UTC)
    assert (envelope.attempts, envelope.returns, envelope.healed, envelope.started) == (
        0,
        0,
        [],
        False,
    )
    # A copy that the queue gives out once more is known by its posting; a probe is one only once.
    assert envelope.posting not in ("", "the first")
    assert not envelope.is_probe
    assert (envelope.id, envelope.then, envelope.is_reply, envelope.traceparent) == (
        "order-7",
        {"activity": {"text": "later"}},
        True,
        "00-a-b-01",
    )


@pytest.mark.parametrize("message", [MESSAGE, {**MESSAGE, "_flow": 5}, {**MESSAGE, "_flow": {}}])
def test_what_has_no_notes_of_ours_goes_back_as_it_is(queues, queue, message):
    queues.put_back(queue.name, message)

    assert queue.waiting.take() == [message]


# Redriven


def test_what_failed_is_put_back_whole_and_its_entry_is_gone(queues, queue):
    queue.fail({**MESSAGE, "id": "order-7"})

    assert queues.redrive(queue.name)

    [back] = queue.waiting.take()
    envelope = back.pop("_flow")
    assert back == {**MESSAGE, "id": "order-7"}
    assert (envelope["id"], envelope["attempts"]) == ("order-7", 0)
    assert queue.poison.count() == 0
    assert not queues.redrive(queue.name)


def test_what_failed_goes_back_in_the_order_it_failed(queues, queue):
    for number in range(3):
        queue.fail({"id": f"order-{number}"})

    assert [queues.redrive(queue.name) for _ in range(4)] == [True, True, True, False]
    assert [each["id"] for each in queue.waiting.take()] == ["order-0", "order-1", "order-2"]


def test_a_large_message_is_put_back_whole_and_what_was_kept_aside_is_gone(queues, queue):
    queue.fail({**LARGE, "id": "order-7"})
    with queue.client(f"{queue.name}-poison") as client:
        [entry] = client.peek_messages()
    key = json.loads(base64.b64decode(entry.content))["message"]["_body"]

    assert queues.redrive(queue.name)

    [carried] = queue.waiting.take()
    assert carried["_body"] != key
    assert queues.large_values.fetch(key) is None
    back = json.loads(queues.large_values.fetch(carried["_body"]))
    assert back.pop("_flow")["id"] == "order-7"
    assert back == {**LARGE, "id": "order-7"}


def test_a_large_message_that_the_host_gave_up_is_put_back_whole(queues, queue):
    envelope = {"id": "order-7", "acceptedAt": THEN.isoformat(), "attempts": 3}
    key = queues.large_values.keep(json.dumps({**LARGE, "_flow": envelope}))
    queue.put_by_host(json.dumps({"_body": key}))

    assert queues.redrive(queue.name)

    [carried] = queue.waiting.take()
    back = json.loads(queues.large_values.fetch(carried["_body"]))
    assert back.pop("_flow")["attempts"] == 0
    assert back == LARGE
    assert queues.large_values.fetch(key) is None


@pytest.mark.parametrize(
    "message",
    [
        MESSAGE,
        {"message": "of a sender"},
        {"failure": "of a sender"},
        {"_body": 5},
    ],
)
def test_a_message_that_the_host_gave_up_is_put_back_as_it_was(queues, queue, message):
    queue.put_by_host(json.dumps(message))

    assert queues.redrive(queue.name)

    [back] = queue.waiting.take()
    noted = Envelope.model_validate(back.pop("_flow"))
    assert back == message
    # Nobody knows how often it was sent.
    assert noted.ambiguous
    assert queue.poison.count() == 0


def test_a_message_on_its_way_that_the_host_gave_up_starts_anew(queues, queue):
    envelope = {"id": "order-7", "acceptedAt": THEN.isoformat(), "attempts": 5, "returns": 7}
    queue.put_by_host(json.dumps({**MESSAGE, "_flow": envelope}))

    queues.redrive(queue.name)

    [back] = queue.waiting.take()
    noted = Envelope.model_validate(back["_flow"])
    assert (noted.id, noted.attempts, noted.returns) == ("order-7", 0, 0)
    assert noted.accepted_at == THEN
    assert noted.retried_at is not None
    assert noted.retried_at > datetime.now(UTC) - timedelta(minutes=1)


@pytest.mark.parametrize("text", ["not JSON", "", '{"a": NaN}', "[1, 2]", "5", '"a text"'])
@pytest.mark.parametrize("by", ["the host", "the functions"])
def test_a_text_that_is_no_json_object_is_put_back_too(queues, queue, text, by):
    if by == "the host":
        queue.put_by_host(text)
    else:
        queue.fail(text)

    assert queues.redrive(queue.name)

    [back] = queue.texts()
    # What is JSON stands as such in the entry, and may come back written otherwise.
    assert back in (text, text.strip('"'), text.replace(" ", ""))
    assert queue.poison.count() == 0


def test_a_queue_on_which_nothing_ever_failed_has_nothing_to_put_back(queues):
    assert not queues.redrive(unique("queue"))
    assert queues.count_failed(unique("queue")) == 0


def test_what_failed_can_be_counted(queues, queue):
    for number in range(3):
        queue.fail({"id": f"order-{number}"})

    assert queues.count_failed(queue.name) == 3


# A reason that is larger than a message


def test_a_message_that_is_wrong_in_thousands_of_places_fails_with_a_reason(
    queue, services, queue_reader
):
    body = {"id": "order-7", "activities": {f"aa-{number}": 5 for number in range(4000)}}

    def handle(queued):
        SendRequest.from_json(queued.body)

    text = json.dumps(body, separators=(",", ":"))
    process(Taken(queue.name, text, message_id="message-1"), services, handle)

    [entry] = queue.poison.take()
    assert entry["failure"]["code"] == "InvalidRequest"
    assert entry["failure"]["detail"].startswith("activities.aa-0")
    assert len(entry["failure"]["detail"]) < 4096
    assert services.deliveries.find("order-7").code == "InvalidRequest"


def test_a_field_whose_name_has_no_utf_8_fails_with_a_reason(queue, services):
    def handle(queued):
        SendRequest.from_json(queued.body)

    text = '{"id": "order-7", "activities": {"\\ud83d": 5}}'
    process(Taken(queue.name, text, message_id="message-1"), services, handle)

    [entry] = queue.poison.take()
    assert entry["failure"]["code"] == "InvalidRequest"
    failed = services.deliveries.find("order-7")
    assert failed.status is Status.PERMANENT_FAILURE
    assert services.failures.find(failed.id, failed.failed_on) is not None
