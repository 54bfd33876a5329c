import json
import logging
import re
from datetime import UTC, datetime, timedelta

import pytest

from shared.connector.errors import ConnectorAnswer, ConnectorError, NoAnswer, connector_error
from shared.deliveries.delivery import Delivery, Destination, Status
from shared.errors import (
    AlreadyDoneError,
    BotCredentialError,
    CancelledError,
    ConversationStartingError,
    DeliveryUnderWayError,
    FieldError,
    InvalidRequestError,
    InvalidSettingError,
    StorageRefusedError,
    StorageUnavailableError,
    SuppressedError,
    UnknownDeliveryError,
)
from shared.messages.envelope import (
    SEND_ACTIVITY,
    START_CONVERSATION,
    Envelope,
    QueuedMessage,
    Sent,
    StartFirst,
)
from shared.settings import Settings
from shared.triggers.queue import Taken, process
from shared.wiring import Services
from tests.support.builders import unique

NOW = datetime.now(UTC)
STORAGE = "AzureWebJobsStorage"
MESSAGE = {"recipient": {"channelId": "msteams", "userId": "29:alex"}, "activity": {"text": "😀"}}


@pytest.fixture
def queues(services):
    return services.queues


class Run:
    """One queue of a test's own, and its messages handled one by one."""

    def __init__(self, services, queue_reader, name=None):
        self.services = services
        self.queues = services.queues
        self.name = name or unique("queue")
        self.waiting = queue_reader(self.name)
        self.poison = queue_reader(f"{self.name}-poison")
        self.handled = []
        self.ranges = []
        self.jitter = 0.0

    def process(self, message, outcome=None, *, claims=False, **taken):
        """Have a message handled, with an error or what a handler returns for outcome.

        ``claims`` tells that the handler gets as far as the claim on the call.
        """

        def handle(queued):
            self.handled.append(queued)
            if claims:
                queued.claim = self.claim(queued)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        text = message if isinstance(message, str) else json.dumps(message)
        details = {"message_id": "message-1", "inserted_at": NOW, **taken}
        process(Taken(self.name, text, **details), self.services, handle, jitter=self.choose)

    def claim(self, queued):
        queued.destination = Destination("slack", "https://slack.botframework.com/")
        delivery = Delivery(
            queued.envelope.id,
            Status.SENDING,
            created_at=queued.envelope.accepted_at,
            updated_at=queued.envelope.accepted_at,
            posting=queued.envelope.posting,
            destination=queued.destination,
        )
        return self.services.deliveries.claim(delivery, seconds=25, is_new=queued.envelope.is_new)

    def delivery(self, delivery_id="message-1"):
        return self.services.deliveries.find(delivery_id)

    def choose(self, least, most):
        self.ranges.append((least, most))
        return self.jitter

    def put_back(self, message, error, **taken):
        """Have a message put back, and return it as it stands on the queue."""
        self.process(message, error, **taken)
        [back] = self.waiting.take()
        return back


@pytest.fixture
def run(services, queue_reader):
    return Run(services, queue_reader)


def on_the_way(**envelope):
    """A message that has been on its way for a while."""
    return {**MESSAGE, "_flow": {"id": "message-1", "acceptedAt": NOW.isoformat(), **envelope}}


def throttled(seconds):
    return connector_error(429, ConnectorAnswer(429, retry_after_seconds=seconds))


def unavailable():
    return connector_error(503)


def rejected():
    return connector_error(403, ConnectorAnswer(403, "Odd"))


def noted(poison_entry):
    """What a poison entry says was noted, without what each test would have to say again."""
    envelope = poison_entry["_flow"]
    del envelope["id"], envelope["acceptedAt"]
    return {name: value for name, value in envelope.items() if value}


# Handled


def test_a_message_is_handled_once_and_done_with(run):
    run.process(MESSAGE)

    [handled] = run.handled
    assert (handled.queue, handled.body) == (run.name, MESSAGE)
    assert handled.envelope == Envelope(id="message-1", accepted_at=NOW, posting="message-1")
    assert run.waiting.count() == run.poison.count() == 0


def test_a_message_keeps_the_id_that_it_came_with(run):
    run.process({**MESSAGE, "id": "order-7"})

    assert run.handled[0].envelope.id == "order-7"


@pytest.mark.parametrize("own_id", [None, "", 5, ["x"]])
def test_a_message_without_an_id_of_its_own_is_known_by_that_of_the_queue(run, own_id):
    run.process({**MESSAGE, "id": own_id})

    assert run.handled[0].envelope.id == "message-1"


def test_a_message_that_does_not_say_when_it_came_came_now(run):
    before = datetime.now(UTC)

    run.process(MESSAGE, inserted_at=None)

    assert before <= run.handled[0].envelope.accepted_at <= datetime.now(UTC)


def test_what_we_noted_is_not_part_of_the_body(run):
    run.process(on_the_way(attempts=2, returns=3, started=True, more="kept"))

    [handled] = run.handled
    assert handled.body == MESSAGE
    assert (handled.envelope.attempts, handled.envelope.returns, handled.envelope.started) == (
        2,
        3,
        True,
    )


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
    "envelope",
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
def test_a_reserved_field_that_is_not_ours_is_poison_at_once(run, envelope):
    run.process({**MESSAGE, "_flow": envelope})

    [poison] = run.poison.take()
    assert poison["message"] == {**MESSAGE, "_flow": envelope}
    assert "_flow" in poison["failure"]["detail"]
    assert run.handled == []


def test_an_id_that_is_too_long_is_poison_at_once(run):
    run.process({**MESSAGE, "id": "x" * 1025})

    [poison] = run.poison.take()
    assert poison["failure"]["code"] == "InvalidRequest"
    assert run.handled == []


def test_a_permanent_failure_is_poison_with_its_reason(run):
    before = datetime.now(UTC).replace(microsecond=0)

    run.process(on_the_way(attempts=2, returns=4), rejected())

    [poison] = run.poison.take()
    failed_at = datetime.fromisoformat(poison["failure"].pop("failedAt"))
    assert poison["message"] == MESSAGE
    assert poison["failure"] == {
        "code": "Odd",
        "detail": "The Connector answered 403 Odd",
        "attempts": 3,
    }
    assert noted(poison) == {"attempts": 3, "returns": 4}
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
        (unavailable(), 1),
        (connector_error(NoAnswer.TIMED_OUT), 1),
        (connector_error(412), 1),
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

    envelope = back.pop("_flow")
    assert back == MESSAGE
    assert envelope["id"] == "message-1"
    assert datetime.fromisoformat(envelope["acceptedAt"]) == NOW
    assert (envelope.get("attempts", 0), envelope["returns"]) == (attempts, 1)
    assert run.poison.count() == 0


def test_what_was_noted_by_a_newer_version_of_the_app_is_kept(run):
    back = run.put_back(on_the_way(more="kept"), unavailable())

    assert back["_flow"]["more"] == "kept"


def test_a_message_that_always_fails_has_six_attempts_and_is_then_poison(run):
    message = MESSAGE
    for _ in range(5):
        message = run.put_back(message, unavailable())

    run.process(message, unavailable())

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
    run.put_back(on_the_way(returns=returns), unavailable())

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

    run.process(MESSAGE, unavailable())

    assert delays(storage_calls()) == {2}
    assert run.waiting.take() == []
    assert run.waiting.count() == 1


def test_a_message_is_put_back_at_most_as_far_as_a_queue_can_hide_it(run, storage_calls):
    run.queues.send(run.name, MESSAGE, Envelope(id="x", accepted_at=NOW), delay_seconds=10**9)

    assert delays(storage_calls()) == {6 * 24 * 60 * 60}


# The end of a message's life


def test_an_expired_message_is_neither_sent_nor_poison(services, queue_reader):
    send = Run(services, queue_reader, SEND_ACTIVITY)

    send.process({**MESSAGE, "expiresAt": (NOW - timedelta(seconds=1)).isoformat()})

    assert send.handled == []
    assert send.waiting.count() == send.poison.count() == 0
    assert (send.delivery().status, send.delivery().code) == (Status.EXPIRED, "Expired")


@pytest.mark.parametrize(
    "expires_at",
    ["2999-01-01T00:00:00+00:00", "2020-01-01T00:00:00", "soon", 5, None, {}],
)
def test_what_is_no_past_moment_does_not_expire_a_message(services, queue_reader, expires_at):
    send = Run(services, queue_reader, SEND_ACTIVITY)

    send.process({**MESSAGE, "expiresAt": expires_at})

    assert len(send.handled) == 1


def test_a_start_expires_with_the_message_that_waits_for_it(services, queue_reader):
    start = Run(services, queue_reader, START_CONVERSATION)
    then = {**MESSAGE, "expiresAt": (NOW - timedelta(seconds=1)).isoformat()}

    start.process(on_the_way(then=then))

    assert start.handled == []


def test_a_message_that_would_come_back_too_late_is_poison_now(services, queue_reader):
    send = Run(services, queue_reader, SEND_ACTIVITY)

    soon = datetime.now(UTC) + timedelta(minutes=5)
    send.process({**MESSAGE, "expiresAt": soon.isoformat()}, throttled(600))

    [poison] = send.poison.take()
    assert poison["failure"]["code"] == "Throttled"
    assert send.waiting.count() == 0
    assert send.delivery().status is Status.TEMPORARY_FAILURE


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
    [rejected(), unavailable(), ConnectorError("x")],
    ids=lambda error: type(error).__name__,
)
def test_a_message_that_cannot_be_put_anywhere_is_left_to_the_host(
    app_settings, monkeypatch, run, error
):
    # Port 9 of this machine: nobody listens.
    storage = re.sub(r"(QueueEndpoint=http://127\.0\.0\.1:)\d+", r"\g<1>9", app_settings[STORAGE])
    broken = Services.of(Settings.from_environment({**app_settings, STORAGE: storage}))
    monkeypatch.setattr("azure.core.pipeline.transport.HttpTransport.sleep", lambda *_: None)

    with pytest.raises(StorageUnavailableError):
        Run(broken, lambda _name: None).process(MESSAGE, error)

    # The host tries again: it is no failure, and not done.
    run.process(MESSAGE, error)
    assert run.waiting.count() + run.poison.count() == 1


# Start first, send then


def test_a_message_waits_inside_the_start_and_comes_back(queues, queue_reader):
    starts, sends = queue_reader(START_CONVERSATION), queue_reader(SEND_ACTIVITY)
    envelope = Envelope(id="order-7", accepted_at=NOW, attempts=2, returns=3)
    message = QueuedMessage(SEND_ACTIVITY, MESSAGE, envelope)

    queues.start_first({"members": [{"id": "29:alex"}]}, message)
    [start] = starts.take()
    waiting = Envelope.model_validate(start.pop("_flow"))
    queues.follow_up(waiting)
    [send] = sends.take()

    assert start == {"members": [{"id": "29:alex"}]}
    assert waiting.then == MESSAGE
    assert (waiting.id, waiting.attempts, waiting.accepted_at) == ("order-7", 2, NOW)
    envelope = Envelope.model_validate(send.pop("_flow"))
    assert send == MESSAGE
    assert envelope.started
    assert envelope.then is None
    assert (envelope.id, envelope.attempts, envelope.accepted_at) == ("order-7", 2, NOW)


def test_a_start_that_nobody_waits_for_is_followed_by_nothing(queues, queue_reader):
    queues.follow_up(Envelope(id="x", accepted_at=NOW))

    assert queue_reader(SEND_ACTIVITY).count() == 0


def test_nothing_of_a_message_is_logged(run, caplog):
    caplog.set_level(logging.INFO)
    message = {**MESSAGE, "activity": {"text": "confidential"}}
    for error in (unavailable(), throttled(0), SuppressedError("x"), AlreadyDoneError("x")):
        run.process(message, error, message_id=unique("message"))
    with pytest.raises(ZeroDivisionError):
        run.process(message, ZeroDivisionError())
    run.process(message, ZeroDivisionError(), is_last_try=True)

    assert caplog.text.count("outcome {") == 4
    assert "confidential" not in caplog.text
    assert "29:alex" not in caplog.text


def delays(calls):
    """For how many seconds messages were hidden when they were put on queues."""
    found = (re.search(r"/messages\?.*visibilitytimeout=(\d+)", call) for call in calls)
    return {int(match[1]) for match in found if match}


# What is too large for a queue message

LARGE = {**MESSAGE, "activity": {"text": "ü" * 24_500}}


def test_what_outgrows_a_message_on_its_way_is_kept_aside_and_comes_back_whole(run, queues):
    run.process(LARGE, throttled(None))
    [carried] = run.waiting.take()

    run.process(carried)

    assert set(carried) == {"_body"}
    assert run.handled[-1].body == LARGE
    assert run.handled[-1].envelope.returns == 1
    assert queues.large_values.fetch(carried["_body"]) is None


def test_what_is_kept_aside_stays_when_the_host_shall_try_again(run, queues):
    run.process(LARGE, throttled(None))
    [carried] = run.waiting.take()

    with pytest.raises(StorageUnavailableError):
        run.process(carried, StorageUnavailableError("x"))

    assert queues.large_values.fetch(carried["_body"]) is not None
    run.process(carried)
    assert run.handled[-1].body == LARGE


def test_a_large_message_that_failed_is_kept_aside_with_its_reason_to_be_read(run, queues):
    run.process(LARGE, ConnectorError("x"))

    [entry] = run.poison.take()
    assert entry["failure"]["code"] == "ConnectorError"
    kept = json.loads(queues.large_values.fetch(entry["message"]["_body"]))
    assert noted(kept) == {"attempts": 1, "posting": "message-1"}
    del kept["_flow"]
    assert kept == LARGE


def test_what_was_kept_aside_and_is_done_with_is_not_handled_again(run):
    run.process(LARGE, throttled(None))
    [carried] = run.waiting.take()
    run.process(carried)

    run.process(carried)

    assert len(run.handled) == 2
    assert run.poison.take() == []


# What becomes of a message, and its record


def test_what_was_sent_is_recorded_as_sent_with_its_activity(run):
    run.process({**MESSAGE, "id": "order-7"}, Sent("activity-1"), claims=True)

    delivery = run.delivery("order-7")
    assert (delivery.status, delivery.activity_id) == (Status.SENT, "activity-1")
    assert (delivery.attempts, delivery.created_at) == (1, NOW)
    assert run.waiting.count() == run.poison.count() == 0


def test_a_message_for_which_no_call_was_needed_is_done_as_well(run):
    run.process(MESSAGE, Sent("activity-1"))

    assert (run.delivery().status, run.delivery().attempts) == (Status.SENT, 0)


def test_a_message_that_says_nothing_to_anybody_has_no_record(run):
    run.process(MESSAGE)

    with pytest.raises(UnknownDeliveryError):
        run.delivery()


def test_a_message_that_needs_a_start_first_is_accepted_and_waits_inside_it(services, queue_reader):
    send = Run(services, queue_reader, SEND_ACTIVITY)
    starts = queue_reader(START_CONVERSATION)

    send.process(MESSAGE, StartFirst({"members": []}))

    [start] = starts.take()
    assert start.pop("_flow")["then"] == MESSAGE
    assert start == {"members": []}
    assert send.delivery().status is Status.ACCEPTED


@pytest.mark.parametrize(("claims", "attempts"), [(True, 1), (False, 0)])
def test_what_waited_for_a_start_goes_back_to_be_sent(services, queue_reader, claims, attempts):
    start = Run(services, queue_reader, START_CONVERSATION)
    sends = queue_reader(SEND_ACTIVITY)

    start.process(on_the_way(then=MESSAGE, returns=2), Sent(), claims=claims)

    [send] = sends.take()
    envelope = send.pop("_flow")
    assert (envelope["id"], datetime.fromisoformat(envelope["acceptedAt"])) == ("message-1", NOW)
    assert (envelope.get("attempts", 0), envelope["returns"]) == (attempts, 0)
    assert (envelope["started"], envelope["then"]) == (True, None)
    assert send == MESSAGE
    # Whoever takes the message must find no claim on it.
    if claims:
        assert start.delivery().status is Status.ACCEPTED


def test_a_message_on_its_way_back_is_recorded_first(run, storage_calls):
    run.process(MESSAGE, unavailable(), claims=True)

    calls = storage_calls()
    recorded = [number for number, call in enumerate(calls) if "/deliveries" in call]
    put_back = [number for number, call in enumerate(calls) if f"/{run.name}/messages" in call]
    assert len(recorded) == 2
    assert max(recorded) < min(put_back)
    assert (run.delivery().status, run.delivery().code) == (Status.RETRYING, "ConnectorUnavailable")


def test_what_failed_is_kept_and_said_before_it_is_recorded_as_failed(run, storage_calls):
    run.process(MESSAGE, rejected(), claims=True)

    writes = [call for call in storage_calls() if call.startswith(("POST", "PUT", "PATCH"))]
    names = [
        name
        for call in writes
        for name in ("deliveries", "bodies", "failures", "-poison/messages")
        if name in call and "Tables" not in call
    ]
    assert names[0] == names[-1] == "deliveries"
    assert set(names[1:-1]) == {"bodies", "failures", "-poison/messages"}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (rejected(), Status.PERMANENT_FAILURE),
        (InvalidRequestError(FieldError("x", "is wrong")), Status.PERMANENT_FAILURE),
        (StorageRefusedError("x"), Status.TECHNICAL_FAILURE),
    ],
    ids=["rejected", "invalid", "refused by storage"],
)
def test_a_failure_says_whose_fault_it_is_and_is_kept_whole(run, services, error, status):
    run.process(MESSAGE, error, claims=True)

    delivery = run.delivery()
    assert (delivery.status, delivery.code) == (status, error.code)
    assert delivery.detail == error.detail
    assert delivery.attempts == (1 if error.was_attempt else 0)
    kept = services.failures.find("message-1", delivery.failed_on)
    assert kept.queue == run.name
    assert {name: kept.message[name] for name in MESSAGE} == MESSAGE


def test_six_attempts_in_vain_are_a_temporary_failure(run):
    run.process(on_the_way(attempts=5), unavailable(), claims=True)

    assert run.delivery().status is Status.TEMPORARY_FAILURE


def test_who_wants_no_message_gets_none_and_it_is_no_failure(run):
    run.process(MESSAGE, SuppressedError("The person wants no alerts"))

    assert (run.delivery().status, run.delivery().code) == (Status.SUPPRESSED, "Suppressed")
    assert run.waiting.count() == run.poison.count() == 0


def test_what_was_done_already_is_dropped_and_stays_as_it_was(run):
    run.process(MESSAGE, Sent("activity-1"), claims=True)

    run.process(MESSAGE, AlreadyDoneError("x"))

    assert (run.delivery().status, run.delivery().activity_id) == (Status.SENT, "activity-1")
    assert run.waiting.count() == run.poison.count() == 0


def test_a_message_whose_call_is_under_way_comes_back_when_that_is_over(run, storage_calls):
    error = DeliveryUnderWayError("x")
    error.retry_after_seconds = 17.5
    run.jitter = 1.0

    run.process(MESSAGE, error)

    assert delays(storage_calls()) == {19}
    assert run.waiting.count() == 1


def test_a_message_that_failed_and_is_given_out_again_fails_once(run):
    for _ in range(2):
        run.process(MESSAGE, InvalidRequestError(FieldError("x", "is wrong")))

    assert run.poison.count() == 1


@pytest.mark.parametrize("setting", ["resend", "giveUp"])
def test_what_nobody_knows_to_be_sent_is_sent_again_or_given_up(
    app_settings, queue_reader, setting
):
    settings = Settings.from_environment({**app_settings, "AmbiguousSend": setting})
    run = Run(Services.of(settings), queue_reader)

    run.process(MESSAGE, connector_error(NoAnswer.CUT_OFF), claims=True)

    resends = setting == "resend"
    assert (run.waiting.count(), run.poison.count()) == ((1, 0) if resends else (0, 1))
    assert run.delivery().ambiguous
    assert run.delivery().status is (Status.RETRYING if resends else Status.TEMPORARY_FAILURE)


def test_what_was_never_sent_is_not_given_up(app_settings, queue_reader):
    settings = Settings.from_environment({**app_settings, "AmbiguousSend": "giveUp"})
    run = Run(Services.of(settings), queue_reader)

    run.process(MESSAGE, connector_error(NoAnswer.UNREACHABLE), claims=True)

    assert run.waiting.count() == 1
    assert not run.delivery().ambiguous


# The host's last try


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StorageUnavailableError("down"), "StorageUnavailable"),
        (InvalidSettingError("BotCloud", "is odd"), "InvalidSetting"),
        (ZeroDivisionError("a bug"), "InternalError"),
        (KeyError("a bug"), "InternalError"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_the_host_would_give_up_is_a_technical_failure(run, error, code):
    run.process(MESSAGE, error, is_last_try=True)

    [poison] = run.poison.take()
    assert poison["message"] == MESSAGE
    assert poison["failure"]["code"] == code
    assert "a bug" not in poison["failure"]["detail"]
    assert (run.delivery().status, run.delivery().code) == (Status.TECHNICAL_FAILURE, code)


def test_the_last_try_is_a_try(run):
    run.process(MESSAGE, Sent("activity-1"), claims=True, is_last_try=True)

    assert run.delivery().status is Status.SENT


# What is noted


def test_a_trace_that_comes_with_a_message_stays_with_it(run):
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    back = run.put_back(MESSAGE, unavailable(), traceparent=trace)
    again = run.put_back(back, unavailable(), traceparent="00-another")

    assert back["_flow"]["traceparent"] == again["_flow"]["traceparent"] == trace


def test_nothing_was_accepted_in_the_future(run):
    ahead = datetime.now(UTC) + timedelta(days=400)

    run.process(on_the_way(acceptedAt=ahead.isoformat()))

    assert run.handled[0].envelope.accepted_at <= datetime.now(UTC)


def test_what_was_healed_stays_noted(run):
    back = run.put_back(on_the_way(healed=["conversation"]), unavailable())

    assert back["_flow"]["healed"] == ["conversation"]


@pytest.mark.parametrize("body", [{"_body": "key", "more": 1}, {"_body": 5}])
def test_a_reserved_name_of_ours_is_not_taken_for_what_is_kept_aside(run, body):
    run.process(body)

    [poison] = run.poison.take()
    assert poison["message"] == body
    assert "_body" in poison["failure"]["detail"]


# Of an alert


REFERENCE = {"conversationId": "a:1", "keyId": "k", "key": "c2VjcmV0", "name": "Alex"}


def test_what_an_alert_took_along_is_handed_over_the_first_time(run):
    run.process(on_the_way(alert="alert-7", reference=REFERENCE))

    [handled] = run.handled
    assert handled.envelope.reference.to_json() == REFERENCE


@pytest.mark.parametrize("claims", [True, False])
def test_after_an_error_nothing_is_taken_along_any_more(run, claims):
    message = on_the_way(alert="alert-7", reference=REFERENCE)

    back = run.put_back(message, unavailable(), claims=claims)

    assert not back["_flow"].get("reference")
    assert back["_flow"]["alert"] == "alert-7"
    assert REFERENCE["key"] not in json.dumps(back)


@pytest.mark.parametrize(
    ("error", "is_last_try"),
    [(rejected(), False), (ZeroDivisionError("a bug"), True), (StorageUnavailableError("x"), True)],
    ids=["refused", "a bug", "storage"],
)
def test_what_failed_holds_nothing_of_what_was_taken_along(run, services, error, is_last_try):
    message = on_the_way(alert="alert-7", reference=REFERENCE)

    run.process(message, error, claims=True, is_last_try=is_last_try)

    [poisoned] = run.poison.take()
    kept = services.failures.find("message-1", run.delivery().failed_on)
    for text in (json.dumps(poisoned), json.dumps(kept.message)):
        assert REFERENCE["key"] not in text
        assert "conversationId" not in text


def test_a_record_says_which_alert_in_which_version_it_is_of(run):
    def noted(queued):
        queued.alert_version = 3
        return Sent("activity-1")

    text = json.dumps(on_the_way(alert="alert-7"))
    process(Taken(run.name, text, "message-1", NOW), run.services, noted)

    delivery = run.delivery()
    assert (delivery.alert_id, delivery.alert_version) == ("alert-7", 3)


def test_what_was_cancelled_is_no_failure_and_cannot_be_sent_any_more(run, caplog):
    caplog.set_level(logging.INFO)
    run.process(on_the_way(alert="alert-7"), CancelledError("x"), claims=True)

    assert (run.delivery().status, run.delivery().attempts) == (Status.CANCELLED, 0)
    assert run.waiting.count() == run.poison.count() == 0
    assert '"outcome": "cancelled"' in caplog.text
    assert '"alertId": "alert-7"' in caplog.text
    run.process(on_the_way(alert="alert-7", posting="another"), Sent("activity-1"), claims=True)
    assert run.delivery().status is Status.CANCELLED
