import json
import logging
import re
from datetime import UTC, datetime, timedelta

import pytest

from shared.errors import (
    BotCredentialError,
    ConnectorAnswer,
    ConnectorBusyError,
    ConnectorError,
    ConnectorRejectedError,
    ConnectorThrottledError,
    ConnectorTimeoutError,
    ConnectorUnavailableError,
    ConversationStartingError,
    FieldError,
    InvalidRequestError,
    InvalidSettingError,
    StorageUnavailableError,
)
from shared.flow import SEND_ACTIVITY, START_CONVERSATION, Flow, QueuedMessage, Queues, process
from shared.settings import StorageAccount
from shared.storage import Storage
from tests.support.builders import unique

NOW = datetime.now(UTC)
MESSAGE = {"recipient": {"channelId": "msteams", "userId": "29:alex"}, "activity": {"text": "😀"}}


@pytest.fixture
def queues(azurite):
    return Queues(Storage(StorageAccount(azurite.connection_string), threads=4))


class Run:
    """One queue of a test's own, and its messages handled one by one."""

    def __init__(self, queues, queue_reader, name=None):
        self.queues = queues
        self.name = name or unique("queue")
        self.waiting = queue_reader(self.name)
        self.poison = queue_reader(f"{self.name}-poison")
        self.handled = []
        self.ranges = []
        self.jitter = 0.0

    def process(self, message, *errors, inserted_at=NOW):
        """Have a message handled, with the error for outcome, if there is one."""
        raised = iter(errors)

        def handle(queued):
            self.handled.append(queued)
            for error in raised:
                raise error

        process(
            self.name,
            message if isinstance(message, str) else json.dumps(message),
            message_id="message-1",
            inserted_at=inserted_at,
            queues=self.queues,
            handle=handle,
            jitter=self.choose,
        )

    def choose(self, least, most):
        self.ranges.append((least, most))
        return self.jitter

    def put_back(self, message, error, **kwargs):
        """Have a message put back, and return it as it stands on the queue."""
        self.process(message, error, **kwargs)
        [back] = self.waiting.take()
        return back


@pytest.fixture
def run(queues, queue_reader):
    return Run(queues, queue_reader)


def on_the_way(**flow):
    """A message that has been on its way for a while."""
    noted = {"id": "message-1", "acceptedAt": NOW.isoformat(), **flow}
    return {**MESSAGE, "_flow": noted}


def throttled(seconds):
    return ConnectorThrottledError("slow", ConnectorAnswer(429, retry_after_seconds=seconds))


def rejected():
    return ConnectorRejectedError("The Connector answered 403", ConnectorAnswer(403, "Blocked"))


# Handled


def test_a_message_is_handled_once_and_done_with(run):
    run.process(MESSAGE)

    [handled] = run.handled
    assert (handled.queue, handled.body) == (run.name, MESSAGE)
    assert handled.flow == Flow(id="message-1", accepted_at=NOW)
    assert run.waiting.count() == run.poison.count() == 0


def test_a_message_keeps_the_id_that_it_came_with(run):
    run.process({**MESSAGE, "id": "order-7"})

    assert run.handled[0].flow.id == "order-7"


@pytest.mark.parametrize("own_id", [None, "", 5, ["x"]])
def test_a_message_without_an_id_of_its_own_is_known_by_that_of_the_queue(run, own_id):
    run.process({**MESSAGE, "id": own_id})

    assert run.handled[0].flow.id == "message-1"


def test_a_message_that_does_not_say_when_it_came_came_now(run):
    before = datetime.now(UTC)

    run.process(MESSAGE, inserted_at=None)

    assert before <= run.handled[0].flow.accepted_at <= datetime.now(UTC)


def test_what_we_noted_is_not_part_of_the_body(run):
    run.process(on_the_way(attempts=2, returns=3, started=True, more="kept"))

    [handled] = run.handled
    assert handled.body == MESSAGE
    assert (handled.flow.attempts, handled.flow.returns, handled.flow.started) == (2, 3, True)


# What can never succeed


@pytest.mark.parametrize(
    "text", ["", "not json", '{"a": NaN}', "\ufeff{}", "5x", '{"a": "\ufffd', "[" * 20_000]
)
def test_what_is_no_json_is_poison_at_once_as_it_came(run, text):
    run.process(text)

    [poison] = run.poison.take()
    assert poison["message"] == text
    assert poison["failure"]["code"] == "InvalidRequest"
    assert poison["failure"]["attempts"] == 0
    assert run.handled == []


@pytest.mark.parametrize("value", [[1, 2], 5, "text", None, True])
def test_json_that_is_no_object_is_poison_at_once_as_json(run, value):
    run.process(json.dumps(value))

    [poison] = run.poison.take()
    assert poison["message"] == value
    assert "must be a JSON object" in poison["failure"]["detail"]


@pytest.mark.parametrize(
    "flow",
    [
        5,
        [],
        {},
        {"id": "x"},
        {"id": "x", "acceptedAt": "yesterday"},
        {"id": "x", "acceptedAt": "0001-01-01T00:00:00Z"},
        {"id": "", "acceptedAt": NOW.isoformat()},
        {"id": "x", "acceptedAt": NOW.isoformat(), "attempts": -1},
        {"id": "x", "acceptedAt": NOW.isoformat(), "attempts": "1"},
        {"id": "x", "acceptedAt": NOW.isoformat(), "then": "message"},
    ],
)
def test_a_reserved_field_that_is_not_ours_is_poison_at_once(run, flow):
    run.process({**MESSAGE, "_flow": flow})

    [poison] = run.poison.take()
    assert poison["message"] == {**MESSAGE, "_flow": flow}
    assert "_flow" in poison["failure"]["detail"]
    assert run.handled == []


def test_an_id_that_is_too_long_is_poison_at_once(run):
    run.process({**MESSAGE, "id": "x" * 1025})

    [poison] = run.poison.take()
    assert poison["failure"]["code"] == "InvalidRequest"
    assert run.handled == []


def test_a_permanent_failure_is_poison_with_its_reason(run):
    before = datetime.now(UTC).replace(microsecond=0)

    run.process(on_the_way(attempts=2), rejected())

    [poison] = run.poison.take()
    failed_at = datetime.fromisoformat(poison["failure"].pop("failedAt"))
    assert poison == {
        "message": on_the_way(attempts=2),
        "failure": {"code": "Blocked", "detail": "The Connector answered 403", "attempts": 3},
    }
    assert before <= failed_at <= datetime.now(UTC)
    assert run.waiting.count() == 0


def test_a_failure_before_any_call_counts_no_attempt(run):
    run.process(MESSAGE, InvalidRequestError(FieldError("activity.text", "is missing")))

    [poison] = run.poison.take()
    assert poison["message"] == MESSAGE
    assert poison["failure"]["attempts"] == 0
    assert poison["failure"]["detail"] == "activity.text: is missing"


def test_text_that_has_no_utf_8_reaches_the_poison_queue(run):
    run.process('{"activity": {"text": "\\ud83d"}}', rejected())

    [poison] = run.poison.take()
    assert poison["message"] == {"activity": {"text": "\ud83d"}}


# What may succeed later


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (ConnectorUnavailableError("x"), 1),
        (ConnectorTimeoutError("x"), 1),
        (ConnectorBusyError("x"), 1),
        (throttled(0), 0),
        (throttled(None), 0),
        (BotCredentialError(), 0),
        (ConversationStartingError("x"), 0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_message_that_may_succeed_later_goes_back_whole(run, error, attempts):
    error.retry_after_seconds = error.retry_after_seconds and 0.0

    back = run.put_back(MESSAGE, error)

    flow = back.pop("_flow")
    assert back == MESSAGE
    assert flow["id"] == "message-1"
    assert datetime.fromisoformat(flow["acceptedAt"]) == NOW
    assert (flow["attempts"], flow["returns"]) == (attempts, 1)
    assert run.poison.count() == 0


def test_what_was_noted_by_a_newer_version_of_the_app_is_kept(run):
    back = run.put_back(on_the_way(traceparent="00-abc"), ConnectorUnavailableError("x"))

    assert back["_flow"]["traceparent"] == "00-abc"


def test_a_message_that_always_fails_has_six_attempts_and_is_then_poison(run):
    message = MESSAGE
    for _ in range(5):
        message = run.put_back(message, ConnectorUnavailableError("down"))

    run.process(message, ConnectorUnavailableError("down"))

    [poison] = run.poison.take()
    assert run.waiting.count() == 0
    assert len(run.handled) == 6
    assert poison["failure"]["attempts"] == 6
    assert poison["failure"]["code"] == "ConnectorUnavailable"


@pytest.mark.parametrize("error", [throttled(0), ConversationStartingError("x")])
def test_waiting_its_turn_is_no_attempt(run, error):
    error.retry_after_seconds = 0.0
    message = on_the_way(attempts=5)
    for _ in range(10):
        message = run.put_back(message, error)

    assert message["_flow"]["attempts"] == 5
    assert message["_flow"]["returns"] == 10
    assert run.poison.count() == 0


@pytest.mark.parametrize(
    ("returns", "longest"),
    [(0, 2), (1, 4), (2, 8), (5, 64), (7, 256), (8, 300), (1000, 300)],
)
def test_the_delay_grows_and_is_random_from_nothing_on(run, returns, longest):
    run.put_back(on_the_way(returns=returns), ConnectorUnavailableError("x"))

    assert run.ranges == [(0, longest)]


@pytest.mark.parametrize(
    ("retry_after", "spread"), [(0, (0, 1)), (7, (0, 1.7)), (600, (0, 61)), (43_200, (0, 4321))]
)
def test_nobody_comes_back_earlier_than_asked_nor_all_at_once(
    run, retry_after, spread, storage_calls
):
    run.jitter = spread[1]

    run.process(MESSAGE, throttled(retry_after))

    [delay] = delays(storage_calls())
    assert run.ranges == [spread]
    assert delay >= retry_after + spread[1]
    assert delay < retry_after + spread[1] + 1


def test_a_delay_is_kept_by_the_queue(run, storage_calls):
    run.jitter = 1.2

    run.process(MESSAGE, ConnectorUnavailableError("x"))

    assert delays(storage_calls()) == {2}
    assert run.waiting.take() == []
    assert run.waiting.count() == 1


def test_a_message_is_put_back_at_most_as_far_as_a_queue_can_hide_it(run, storage_calls):
    run.queues.send(run.name, MESSAGE, Flow(id="x", accepted_at=NOW), delay_seconds=10**9)

    assert delays(storage_calls()) == {6 * 24 * 60 * 60}


# The end of a message's life


def test_an_expired_message_is_neither_sent_nor_poison(run, caplog):
    caplog.set_level(logging.INFO)
    send = Run(run.queues, lambda _name: run.waiting, SEND_ACTIVITY)

    send.process({**MESSAGE, "expiresAt": (NOW - timedelta(seconds=1)).isoformat()})

    assert send.handled == []
    assert run.waiting.count() == 0
    assert "Expired on send-activity" in caplog.text


@pytest.mark.parametrize(
    "expires_at",
    [(NOW + timedelta(hours=1)).isoformat(), "2020-01-01T00:00:00", "soon", 5, None, {}],
)
def test_what_is_no_past_moment_does_not_expire_a_message(queues, queue_reader, expires_at):
    send = Run(queues, queue_reader, SEND_ACTIVITY)

    send.process({**MESSAGE, "expiresAt": expires_at})

    assert len(send.handled) == 1


def test_a_start_expires_with_the_message_that_waits_for_it(queues, queue_reader):
    start = Run(queues, queue_reader, START_CONVERSATION)
    then = {**MESSAGE, "expiresAt": (NOW - timedelta(seconds=1)).isoformat()}

    start.process(on_the_way(then=then))

    assert start.handled == []


def test_a_message_that_would_come_back_too_late_is_poison_now(queues, queue_reader):
    send = Run(queues, queue_reader, SEND_ACTIVITY)

    send.process({**MESSAGE, "expiresAt": (NOW + timedelta(minutes=5)).isoformat()}, throttled(600))

    [poison] = send.poison.take()
    assert poison["failure"]["code"] == "Throttled"
    assert send.waiting.count() == 0


@pytest.mark.parametrize("error", [throttled(600), BotCredentialError()])
def test_no_message_waits_longer_than_a_day(run, error):
    error.retry_after_seconds = 600.0
    accepted = datetime.now(UTC) - timedelta(hours=24) + timedelta(minutes=5)

    run.process(on_the_way(acceptedAt=accepted.isoformat()), error)

    assert [poison["failure"]["code"] for poison in run.poison.take()] == [error.code]
    assert run.waiting.count() == 0


def test_a_message_waits_for_almost_a_day(run):
    accepted = datetime.now(UTC) - timedelta(hours=23)

    back = run.put_back(on_the_way(acceptedAt=accepted.isoformat()), throttled(0))

    assert datetime.fromisoformat(back["_flow"]["acceptedAt"]) == accepted


# What the Functions host settles


@pytest.mark.parametrize(
    "error",
    [
        StorageUnavailableError("down"),
        InvalidSettingError("BotCloud", "is odd"),
        ZeroDivisionError("a bug"),
        KeyError("a bug"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_is_not_the_messages_fault_is_left_to_the_host(run, error):
    with pytest.raises(type(error)):
        run.process(MESSAGE, error)

    assert run.waiting.count() == run.poison.count() == 0


@pytest.mark.parametrize(
    "error",
    [rejected(), ConnectorUnavailableError("x"), ConnectorError("x")],
    ids=lambda error: type(error).__name__,
)
def test_a_message_that_cannot_be_put_anywhere_is_left_to_the_host(monkeypatch, error):
    nowhere = "AccountName=x;AccountKey=c2VjcmV0;QueueEndpoint=http://127.0.0.1:9/x"
    queues = Queues(Storage(StorageAccount(nowhere), threads=4))
    monkeypatch.setattr("azure.core.pipeline.transport.HttpTransport.sleep", lambda *_: None)

    with pytest.raises(StorageUnavailableError):
        Run(queues, lambda _name: None).process(MESSAGE, error)


# Start first, send then


def test_a_message_waits_inside_the_start_and_comes_back(queues, queue_reader):
    starts, sends = queue_reader(START_CONVERSATION), queue_reader(SEND_ACTIVITY)
    flow = Flow(id="order-7", accepted_at=NOW, attempts=2, returns=3)
    message = QueuedMessage(SEND_ACTIVITY, MESSAGE, flow)

    queues.start_first({"members": [{"id": "29:alex"}]}, message)
    [start] = starts.take()
    waiting = Flow.model_validate(start.pop("_flow"))
    queues.follow_up(waiting)
    [send] = sends.take()

    assert start == {"members": [{"id": "29:alex"}]}
    assert waiting.then == MESSAGE
    assert (waiting.id, waiting.attempts, waiting.accepted_at) == ("order-7", 2, NOW)
    noted = Flow.model_validate(send.pop("_flow"))
    assert send == MESSAGE
    assert noted.started
    assert noted.then is None
    assert (noted.id, noted.attempts, noted.accepted_at) == ("order-7", 2, NOW)


def test_a_start_that_nobody_waits_for_is_followed_by_nothing(queues, queue_reader):
    queues.follow_up(Flow(id="x", accepted_at=NOW))

    assert queue_reader(SEND_ACTIVITY).count() == 0


def test_nothing_of_a_message_is_logged(run, caplog):
    caplog.set_level(logging.INFO)
    for error in (rejected(), ConnectorUnavailableError("down"), throttled(0)):
        run.process({**MESSAGE, "activity": {"text": "confidential"}}, error)

    assert "Failed on" in caplog.text
    assert "Back on" in caplog.text
    assert "confidential" not in caplog.text
    assert "29:alex" not in caplog.text


def delays(calls):
    """For how many seconds messages were hidden when they were put on queues."""
    found = (re.search(r"/messages\?.*visibilitytimeout=(\d+)", call) for call in calls)
    return {int(match[1]) for match in found if match}


# What is too large for a queue message

LARGE = {**MESSAGE, "activity": {"text": "ü" * 24_500}}


def test_what_outgrows_a_message_on_its_way_is_kept_aside_and_comes_back_whole(run, queues):
    run.process(LARGE, ConnectorThrottledError("x"))
    [carried] = run.waiting.take()

    run.process(carried)

    assert set(carried) == {"_body"}
    assert run.handled[-1].body == LARGE
    assert run.handled[-1].flow.returns == 1
    assert queues.claim_checks.fetch(carried["_body"]) is None


def test_what_is_kept_aside_stays_when_the_host_shall_try_again(run, queues):
    run.process(LARGE, ConnectorThrottledError("x"))
    [carried] = run.waiting.take()

    with pytest.raises(StorageUnavailableError):
        run.process(carried, StorageUnavailableError("x"))

    assert queues.claim_checks.fetch(carried["_body"]) is not None
    run.process(carried)
    assert run.handled[-1].body == LARGE


def test_a_large_message_that_failed_is_kept_aside_with_its_reason_to_be_read(run, queues):
    run.process(LARGE, ConnectorError("x"))

    [entry] = run.poison.take()
    assert entry["failure"]["code"] == "ConnectorError"
    assert json.loads(queues.claim_checks.fetch(entry["message"]["_body"])) == LARGE


def test_what_was_kept_aside_and_is_done_with_is_not_handled_again(run):
    run.process(LARGE, ConnectorThrottledError("x"))
    [carried] = run.waiting.take()
    run.process(carried)

    run.process(carried)

    assert len(run.handled) == 2
    assert run.poison.take() == []
