import json
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from azure.functions.queue import QueueMessage

from shared.connector.errors import connector_error
from shared.deliveries.delivery import Delivery, Status
from shared.errors import InvalidSettingError, StorageRefusedError, StorageUnavailableError
from shared.messages.envelope import Envelope
from shared.messages.queue_names import (
    DELETE_ACTIVITY,
    SEND_ACTIVITY,
    START_CONVERSATION,
    UPDATE_ACTIVITY,
)
from shared.messages.queued_message import QueuedMessage, Sent, UnsentError
from shared.triggers.queue import LAST_TRY, queue_function
from tests.shared.triggers.settling import MESSAGE, NOW, Run, throttled
from tests.support.builders import invocation, on_its_way, queue_message, unique

# What was put on a queue then is of this version.
LATER = NOW + timedelta(days=1)


PAST = "2026-01-31T08:00:00+00:00"

LARGE = {**MESSAGE, "activity": {"text": "ü" * 24_500}}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def run(services, queue_reader):
    return Run(services, queue_reader)


def noted(**envelope):
    """A message with notes that anybody could write."""
    return {**MESSAGE, "_flow": {"id": "message-1", "acceptedAt": NOW.isoformat(), **envelope}}


# Read


@pytest.mark.parametrize("own", [{"id": "order-7"}, {"id": None}, {}], ids=str)
def test_a_new_message_is_noted_as_the_queue_has_it_but_for_an_id_of_its_own(run, own):
    run.process({**MESSAGE, **own}, traceparent=TRACE)

    [handled] = run.handled
    assert (handled.queue, handled.body) == (run.queue, {**MESSAGE, **own})
    assert handled.envelope == Envelope(
        id=own.get("id") or "message-1", accepted_at=NOW, posting="message-1", traceparent=TRACE
    )
    assert run.waiting.count() == run.poison.count() == 0


def test_a_message_that_does_not_say_when_it_came_came_now(run):
    run.process(MESSAGE, inserted_at=None)

    assert NOW < run.handled[0].envelope.accepted_at <= datetime.now(UTC)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_message_may_have_a_byte_order_mark(run, encoding):
    run.process(json.dumps(MESSAGE, ensure_ascii=False).encode(encoding))

    assert run.handled[0].body == MESSAGE


def test_what_we_noted_is_not_part_of_the_body_and_counts_more_than_what_the_queue_tells(run):
    own = Envelope(id="order-7", accepted_at=NOW, attempts=2, started=True)

    run.process(on_its_way(run.services, run.queue, MESSAGE, own), traceparent=TRACE)

    [handled] = run.handled
    assert handled.body == MESSAGE
    assert handled.envelope == own


# Notes that are not ours

PRIVILEGED = {
    "isReply": True,
    "reference": {"conversationId": "a:1", "keyId": "k", "key": "c2VjcmV0"},
}


def ours_elsewhere(run, **other):
    """Notes of ours, about another message or on another queue."""
    queue, body = other.get("queue", run.queue), other.get("body", MESSAGE)
    own = Envelope(id="order-7", accepted_at=NOW, is_reply=True)
    return on_its_way(run.services, queue, body, own)["_flow"]


@pytest.mark.parametrize(
    "forged",
    [
        lambda _run: noted(**PRIVILEGED)["_flow"],
        lambda run: noted(id="alert-7:0:r1", alert="alert-7")["_flow"],
        lambda run: {**noted()["_flow"], "mark": "0" * 64},
        lambda run: {**noted()["_flow"], "mark": "\ud83d"},
        lambda run: {**ours_elsewhere(run), "id": "order-8"},
        lambda run: {**ours_elsewhere(run), "isProbe": True},
        lambda run: ours_elsewhere(run, body={**MESSAGE, "activity": {"text": "Another"}}),
        lambda run: ours_elsewhere(run, queue="another"),
    ],
    ids=["reply", "alert", "any mark", "no UTF-8", "id", "more", "message", "queue"],
)
def test_notes_that_are_not_ours_or_not_about_this_message_are_refused(run, forged):
    poison = run.refusal({**MESSAGE, "_flow": forged(run)}, inserted_at=LATER)

    assert poison["failure"]["detail"] == "_flow: is ours, as we wrote it; leave it out"
    # Put back, it is a message like any other.
    run.process({**poison["message"], "_flow": poison["_flow"]}, inserted_at=LATER)
    [handled] = run.handled
    assert (handled.envelope.id, handled.envelope.is_reply) == ("message-1", False)


def test_what_the_version_before_left_is_read_but_goes_round_no_stop(run):
    # Where it was at work, there are records of it before there is a key.
    run.services.deliveries.record(Delivery("order-6", Status.SENT, NOW, NOW))

    run.process(noted(id="alert-7:0:r1", alert="alert-7", attempts=2, **PRIVILEGED))

    [handled] = run.handled
    assert (handled.envelope.id, handled.envelope.alert) == ("alert-7:0:r1", "alert-7")
    assert (handled.envelope.attempts, handled.envelope.is_reply) == (2, False)
    assert handled.envelope.snapshot is None


def test_a_poison_entry_that_is_moved_back_by_hand_is_tried_anew(run):
    own = Envelope(id="message-1", accepted_at=NOW, alert="alert-7", posting="first", attempts=1)
    message = on_its_way(run.services, run.queue, MESSAGE, own)
    run.process(message, connector_error(400))
    [poison] = run.poison.take()

    run.process(
        {**poison["message"], "_flow": poison["_flow"]},
        lambda queued: Sent("activity-1", run.claim(queued)),
    )

    assert run.delivery().status is Status.SENT
    assert run.handled[-1].envelope.alert == "alert-7"


# What cannot be read


# A text of Latin-1 would arrive with its letters lost.
@pytest.mark.parametrize(
    "body", [b"", b"not json", b'{"a": NaN}', b"[" * 20_000, '{"text": "grün"}'.encode("latin-1")]
)
def test_what_is_no_json_is_poison_at_once_as_it_came(run, body):
    poison = run.refusal(body)

    assert poison["message"] == body.decode("utf-8", "replace")
    assert (poison["failure"]["code"], poison["failure"]["attempts"]) == ("InvalidRequest", 0)
    assert (run.delivery().status, run.delivery().created_at) == (Status.PERMANENT_FAILURE, NOW)


@pytest.mark.parametrize("end", ["}", ""])
def test_what_is_kept_of_a_failure_does_not_open_a_workspace_of_slack(run, end):
    text = '{"id": 5, "channelData": {"ApiToken": "xoxb-secret"}' + end

    assert "xoxb-secret" not in json.dumps(run.refusal(text.encode()))


@pytest.mark.parametrize(
    ("message", "detail"),
    [
        ([1, 2], "must be a JSON object"),
        ({**MESSAGE, "id": "x" * 1025}, "id"),
        ({**MESSAGE, "id": ""}, "id"),
        ({**MESSAGE, "id": 5}, "id"),
        ({**MESSAGE, "id": "alert-7:0:r1"}, "is as those of an alert's messages"),
        ({"_body": "key", "more": 1}, "_body"),
        ({**MESSAGE, "_flow": 5}, "_flow"),
    ],
    ids=lambda value: value if isinstance(value, str) else "message",
)
def test_what_is_not_as_a_message_has_to_be_is_poison_at_once(run, message, detail):
    poison = run.refusal(message)

    assert poison["message"] == message
    assert detail in poison["failure"]["detail"]


# What has expired


@pytest.mark.parametrize(
    ("queue", "expires_at", "is_handled"),
    [
        (SEND_ACTIVITY, PAST, False),
        (START_CONVERSATION, PAST, False),
        (UPDATE_ACTIVITY, PAST, False),
        (DELETE_ACTIVITY, PAST, False),
        (SEND_ACTIVITY, "2999-01-01T00:00:00Z", True),
        (SEND_ACTIVITY, "2020-01-01T00:00:00", True),
        (SEND_ACTIVITY, 5, True),
    ],
)
def test_an_expired_message_is_not_handled_nor_is_the_start_that_it_waits_for(
    services, queue_reader, queue, expires_at, is_handled
):
    run = Run(services, queue_reader, queue)
    message = {**MESSAGE, "expiresAt": expires_at}
    own = Envelope(id="message-1", accepted_at=NOW, then=message)

    start = on_its_way(services, queue, MESSAGE, own)
    run.process(start if queue == START_CONVERSATION else message)

    assert bool(run.handled) == is_handled
    if not is_handled:
        delivery = run.delivery()
        assert delivery.status is Status.EXPIRED
        # Nobody looked for whom it is, but it says so.
        assert delivery.destination is not None
        assert delivery.destination.channel_id == "msteams"


# Handled


@pytest.mark.parametrize("is_last_try", [False, True])
@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (lambda message: Sent("activity-1", message), Status.SENT),
        (lambda message: UnsentError(message, connector_error(400)), Status.PERMANENT_FAILURE),
    ],
    ids=["sent", "not sent"],
)
def test_what_was_handled_is_settled_as_the_message_is_then(run, outcome, status, is_last_try):
    run.process(MESSAGE, lambda queued: outcome(run.claim(queued)), is_last_try=is_last_try)

    delivery = run.delivery()
    assert (delivery.status, delivery.attempts) == (status, 1)
    assert delivery.destination is not None


def test_a_handler_says_what_became_of_the_message_that_it_got(run):
    with pytest.raises(RuntimeError):
        run.process(MESSAGE, Sent("activity-1", None))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StorageUnavailableError("down"), "StorageUnavailable"),
        (InvalidSettingError("BotCloud", "is odd"), "InvalidSetting"),
        (ZeroDivisionError("a bug"), "InternalError"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_the_messages_fault_is_left_to_the_host_until_it_gives_up(
    run, caplog, error, code
):
    caplog.set_level(logging.INFO)
    with pytest.raises(type(error)):
        run.process(MESSAGE, error)
    assert run.waiting.count() == run.poison.count() == 0

    run.process(MESSAGE, error, is_last_try=True)

    [poison] = run.poison.take()
    assert poison["message"] == MESSAGE
    assert poison["failure"]["code"] == code
    assert "a bug" not in poison["failure"]["detail"]
    assert (run.delivery().status, run.delivery().code) == (Status.TECHNICAL_FAILURE, code)
    assert ("a bug" in caplog.text) == (code == "InternalError")
    assert "29:alex" not in caplog.text


# What is too large for a queue message


def test_what_was_kept_aside_comes_back_whole_and_is_dropped_when_done(run):
    run.process(LARGE, throttled(0))
    [carried] = run.waiting.take()
    kept = run.services.queues.large_values.fetch

    with pytest.raises(StorageUnavailableError):
        run.process(carried, StorageUnavailableError("x"))
    # Nor when it was handled and cannot be settled, as here by an id too large for a row.
    with pytest.raises(StorageRefusedError):
        run.process(carried, lambda queued: Sent("x" * 40_000, queued))
    assert kept(carried["_body"])
    for _ in range(2):
        run.process(carried)

    assert set(carried) == {"_body", "_flow"}
    # Done with, it is not handled again.
    assert len(run.handled) == 4
    assert (run.handled[-1].body, run.handled[-1].envelope.returns) == (LARGE, 1)
    assert kept(carried["_body"]) == ""
    assert run.poison.count() == 0


@pytest.mark.parametrize("notes", ["_flow", None], ids=["known", "as of the version before"])
def test_what_was_kept_aside_and_is_gone_is_a_failure_unless_it_was_sent(run, notes):
    run.process(LARGE, throttled(0))
    [carried] = run.waiting.take()
    if notes is None:
        del carried["_flow"]
    run.services.queues.large_values.drop(carried["_body"])

    run.process(carried)
    run.process(carried)

    assert len(run.handled) == 1
    [poison] = run.poison.take()
    assert poison["message"] == {"_body": carried["_body"]}
    assert poison["failure"]["code"] == "MessageGone"
    assert (run.delivery().status, run.delivery().code) == (Status.PERMANENT_FAILURE, "MessageGone")

    run.services.deliveries.record(replace(run.delivery(), status=Status.SENT, posting="again"))
    run.process(carried)
    assert run.poison.count() == 0


# Handed over by the host


def tried(times):
    """A message that the host has given out so many times, as azure-functions reads it."""
    return QueueMessage(
        id="message-1",
        body=b'{"text": "News"}',
        dequeue_count=times,
        # It has dropped the zone.
        insertion_time=datetime.now(UTC).replace(tzinfo=None),
    )


def test_a_queue_message_is_handled_with_what_the_host_knows_of_it(deployed, queue_reader):
    handled: list[QueuedMessage] = []
    queue = unique("queue")

    @queue_function(queue)
    def handle(message):
        handled.append(message)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        handle(tried(LAST_TRY - 1), invocation("00-a-b-01"))
    handle(tried(LAST_TRY), invocation("00-a-b-01"))

    message, _again = handled
    assert (message.queue, message.body) == (queue, {"text": "News"})
    assert message.envelope.id == "message-1"
    assert message.envelope.traceparent == "00-a-b-01"
    assert abs((datetime.now(UTC) - message.envelope.accepted_at).total_seconds()) < 60
    assert handle.__name__ == "handle"
    # It was the last try.
    assert queue_reader(f"{queue}-poison").count() == 1


def test_a_queue_message_is_not_lost_when_a_setting_is_wrong(deployed, monkeypatch):
    monkeypatch.setenv("BotCloud", "Mars")
    monkeypatch.setattr("shared.wiring._services", None)

    with pytest.raises(InvalidSettingError, match="Setting BotCloud"):
        queue_function("queue")(lambda _message: None)(queue_message({}), invocation())
