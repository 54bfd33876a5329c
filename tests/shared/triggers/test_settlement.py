"""What becomes of a message once it is handled: done, back on its queue, or failed."""

import json
import logging
import math
import re
from datetime import UTC, datetime, timedelta

import pytest

from shared.accounts.account import Account, OneToOne
from shared.accounts.conversations import Conversation
from shared.connector.errors import NoAnswer, connector_error
from shared.deliveries.delivery import Status
from shared.errors import (
    AlreadyDoneError,
    BotCredentialError,
    CancelledError,
    ExpiredError,
    IdInUseError,
    OutcomeUnknownError,
    StorageRefusedError,
    StorageUnavailableError,
    SuppressedError,
    UnknownDeliveryError,
)
from shared.messages.envelope import AccountSnapshot
from shared.messages.queue_names import DELETE_ACTIVITY, SEND_ACTIVITY, START_CONVERSATION
from shared.messages.queued_message import Sent, StartFirst
from shared.triggers.settlement import Settlement
from tests.shared.triggers.settling import (
    MESSAGE,
    NOW,
    Settling,
    rejected,
    throttled,
    unavailable,
    wrong,
)
from tests.support.builders import envelope_of, services_of

TAKEN_ALONG = AccountSnapshot(conversation_id="a:1", key_id="k", key="c2VjcmV0", name="Alex")


@pytest.fixture
def sending(services, queue_reader):
    return Settling(services, queue_reader, SEND_ACTIVITY)


def delays(calls):
    """For how many seconds messages were hidden when they were put on queues."""
    found = (re.search(r"/messages\?.*visibilitytimeout=(\d+)", call) for call in calls)
    return {int(match[1]) for match in found if match}


def written(calls, *places):
    """Which of these places were written, each once, in their order."""
    writes = [call for call in calls if call.startswith(("POST", "PUT", "PATCH"))]
    return list(dict.fromkeys(each for call in writes for each in places if each in call))


# Done


@pytest.mark.parametrize(("is_called", "attempts"), [(True, 1), (False, 0)])
def test_what_was_sent_is_recorded_with_its_activity_and_the_version_of_its_alert(
    settling, is_called, attempts
):
    message = (settling.claimed if is_called else settling.message)(alert="alert-7", ambiguous=True)

    settling.settle(message, Sent("activity-1", message, alert_version=3))

    delivery = settling.delivery()
    assert (delivery.status, delivery.activity_id) == (Status.SENT, "activity-1")
    assert (delivery.alert_id, delivery.alert_version) == ("alert-7", 3)
    assert delivery.ambiguous
    assert (delivery.attempts, delivery.created_at) == (attempts, NOW)
    assert settling.waiting.count() == settling.poison.count() == 0


def test_a_message_that_says_nothing_to_anybody_has_no_record(settling):
    settling.settle(settling.message(), None)

    with pytest.raises(UnknownDeliveryError):
        settling.delivery()


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SuppressedError("x"), Status.SUPPRESSED),
        (ExpiredError("x"), Status.EXPIRED),
        (CancelledError("x"), Status.CANCELLED),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_to_be_sent_is_no_failure(settling, caplog, error, status):
    caplog.set_level(logging.INFO)

    settling.settle(settling.claimed(alert="alert-7"), error)

    delivery = settling.delivery()
    assert (delivery.status, delivery.code, delivery.attempts) == (status, error.code, 0)
    assert settling.waiting.count() == settling.poison.count() == 0
    assert f'"outcome": "{status}"' in caplog.text
    assert '"alertId": "alert-7"' in caplog.text


def test_what_was_done_already_is_dropped_and_stays_as_it_was(settling):
    message = settling.claimed()
    settling.settle(message, Sent("activity-1", message))

    settling.settle(settling.message(), AlreadyDoneError("x"))

    assert settling.delivery().activity_id == "activity-1"
    assert settling.waiting.count() == settling.poison.count() == 0


@pytest.mark.parametrize(
    "result",
    [SuppressedError("x"), CancelledError("x"), wrong(), Sent("activity-1", None)],
    ids=lambda value: type(value).__name__,
)
def test_who_cannot_record_how_a_message_ends_does_not_end_it(settling, result):
    """Somebody has the claim, and may have died with it."""
    settling.claimed()

    settling.settle(settling.message(), result)

    assert settling.delivery().status is Status.SENDING
    assert (settling.waiting.count(), settling.poison.count()) == (1, 0)


@pytest.mark.parametrize(
    "result",
    [wrong(), ExpiredError("x"), throttled(0), IdInUseError(), Sent("activity-2", None)],
    ids=lambda value: type(value).__name__,
)
def test_a_message_with_the_id_of_another_kind_fails_and_leaves_its_record_alone(
    sending, services, queue_reader, result
):
    recalling = Settling(services, queue_reader, DELETE_ACTIVITY)
    sending.settle(sending.claimed(), rejected())
    before = sending.delivery()

    recalling.settle(recalling.message({"conversationId": "a:1"}, posting="other"), result)

    [poison] = recalling.poison.take()
    assert poison["message"] == {"conversationId": "a:1"}
    assert poison["failure"]["code"] == "InvalidRequest"
    assert poison["failure"]["detail"].startswith("id:")
    assert recalling.waiting.count() == 0
    assert sending.delivery() == before
    assert services.failures.find("message-1", before.failed_on).queue == SEND_ACTIVITY


# Start first, send then


@pytest.mark.parametrize(("is_called", "attempts"), [(True, 3), (False, 2)])
def test_a_message_waits_inside_the_start_and_comes_back(
    sending, services, queue_reader, is_called, attempts
):
    starting = Settling(services, queue_reader, START_CONVERSATION)
    first = sending.message(attempts=2, snapshot=TAKEN_ALONG)

    sending.settle(first, StartFirst({"members": []}, first))
    assert sending.delivery().status is Status.ACCEPTED
    [start] = starting.waiting.take()
    waiting = {**vars(envelope_of(start)), "returns": 2}
    message = starting.claimed(start, **waiting) if is_called else starting.message(**waiting)
    starting.settle(message, Sent(None, message))
    [sent] = sending.waiting.take()

    assert start == {"members": []}
    assert (waiting["then"], waiting["snapshot"]) == (MESSAGE, None)
    envelope = envelope_of(sent)
    assert sent == MESSAGE
    assert (envelope.id, envelope.accepted_at) == ("message-1", NOW)
    assert (envelope.attempts, envelope.returns) == (attempts, 0)
    assert (envelope.started, envelope.then) == (True, None)
    # Who takes the message must find no claim on it.
    if is_called:
        assert sending.delivery().status is Status.ACCEPTED


def test_why_it_waits_is_recorded_once_on_each_queue(
    sending, services, queue_reader, storage_calls
):
    starting = Settling(services, queue_reader, START_CONVERSATION)

    def taken(settling):
        [body] = settling.waiting.take()
        return settling.message(body, **vars(envelope_of(body)))

    def recorded():
        delivery = sending.delivery()
        return delivery.status, delivery.code, delivery.detail

    sending.settle(sending.message(), throttled(0))
    assert recorded()[:2] == (Status.RETRYING, "Throttled")
    again = taken(sending)
    sending.settle(again, StartFirst({"members": []}, again))
    starting.settle(taken(starting), BotCredentialError())
    assert recorded() == (Status.RETRYING, "BotCredentialError", BotCredentialError().detail)
    storage_calls()
    waiting = taken(starting)
    starting.settle(waiting, BotCredentialError())
    assert written(storage_calls(), "/deliveries") == []
    starting.waiting.clear()
    starting.settle(waiting, Sent(None, waiting))
    sending.settle(taken(sending), unavailable())

    assert recorded()[:2] == (Status.RETRYING, "ConnectorUnavailable")


@pytest.mark.parametrize("is_start", [False, True], ids=["goes back", "was started"])
def test_a_message_is_recorded_before_it_can_be_taken_again(
    services, queue_reader, storage_calls, is_start
):
    settling = Settling(services, queue_reader, START_CONVERSATION if is_start else SEND_ACTIVITY)
    message = settling.claimed({"members": []}, then=MESSAGE) if is_start else settling.claimed()
    storage_calls()

    settling.settle(message, Sent("activity-1", message) if is_start else unavailable())

    assert written(storage_calls(), "/deliveries", f"/{SEND_ACTIVITY}/messages") == (
        ["/deliveries", f"/{SEND_ACTIVITY}/messages"]
    )
    assert settling.delivery().code == (None if is_start else "ConnectorUnavailable")
    queue_reader(SEND_ACTIVITY).clear()


# Back, with a delay


@pytest.mark.parametrize(
    ("error", "attempts"),
    [(unavailable(), 3), (throttled(0), 2), (BotCredentialError(), 2)],
    ids=lambda value: type(value).__name__,
)
def test_a_message_that_may_succeed_later_goes_back_whole(settling, error, attempts):
    kept = {"returns": 4, "healed": ["host"], "alert": "alert-7", "traceparent": "00-a-b-01"}
    message = settling.message(attempts=2, snapshot=TAKEN_ALONG, more="of a newer version", **kept)

    settling.settle(message, error)

    [back] = settling.waiting.take()
    envelope = back.pop("_flow")
    assert back == MESSAGE
    assert datetime.fromisoformat(envelope.pop("acceptedAt")) == NOW
    del envelope["mark"]
    # What was taken along is good for the first try alone.
    assert envelope == {
        **kept,
        "id": "message-1",
        "posting": "posting-1",
        "attempts": attempts,
        "returns": 5,
        "reference": None,
        "more": "of a newer version",
    }
    assert settling.poison.count() == 0


def test_the_sixth_attempt_is_the_last_but_waiting_is_no_attempt(settling):
    settling.settle(settling.message(attempts=6, returns=100), throttled(0))
    assert len(settling.waiting.take()) == 1

    settling.settle(settling.claimed(attempts=4), unavailable())
    assert len(settling.waiting.take()) == 1
    assert settling.delivery().status is Status.RETRYING

    settling.settle(settling.claimed(attempts=5, returns=1), unavailable())

    [poison] = settling.poison.take()
    assert settling.waiting.count() == 0
    assert poison["failure"]["attempts"] == 6
    assert settling.delivery().status is Status.TEMPORARY_FAILURE

    settling.settle(settling.claimed(posting="put back"), unavailable())

    delivery = settling.delivery()
    assert (delivery.attempts, delivery.attempts_before) == (3, 2)


@pytest.mark.parametrize(
    ("error", "returns", "most"),
    [
        # It grows, and is random from nothing on.
        (unavailable(), 0, 2),
        (unavailable(), 1, 4),
        (unavailable(), 7, 256),
        (unavailable(), 8, 300),
        (unavailable(), 1000, 300),
        # Nobody comes back earlier than asked.
        (throttled(0), 0, 1),
        (throttled(17.5), 0, 2.75),
    ],
)
def test_the_delay_is_as_asked_or_grows_and_is_random(
    settling, storage_calls, error, returns, most
):
    settling.jitter = 1.0

    settling.settle(settling.message(returns=returns), error)

    assert settling.ranges == [(0, most)]
    assert delays(storage_calls()) == {math.ceil((error.retry_after_seconds or 0) + 1)}


@pytest.mark.parametrize(
    ("setting", "error", "status"),
    [
        ("resend", connector_error(NoAnswer.CUT_OFF), Status.RETRYING),
        ("giveUp", connector_error(NoAnswer.CUT_OFF), Status.TEMPORARY_FAILURE),
        ("giveUp", connector_error(NoAnswer.UNREACHABLE), Status.RETRYING),
        ("giveUp", OutcomeUnknownError("x"), Status.TEMPORARY_FAILURE),
    ],
    ids=["sent again", "given up", "never sent", "nobody knows"],
)
def test_what_may_have_been_sent_is_sent_again_or_given_up(
    app_settings, queue_reader, setting, error, status
):
    settling = Settling(services_of(app_settings, AmbiguousSend=setting), queue_reader)

    settling.settle(settling.claimed(), error)

    delivery = settling.delivery()
    assert (delivery.status, delivery.ambiguous) == (status, error.is_ambiguous)
    returns = status is Status.RETRYING
    assert (settling.waiting.count(), settling.poison.count()) == (returns, not returns)


# The end of a message's life


@pytest.mark.parametrize("error", [throttled(3600), unavailable(3600)], ids=["429", "503"])
@pytest.mark.parametrize(
    ("age", "retried", "expires_in", "longest"),
    [
        (timedelta(hours=22), None, None, 3600),
        (timedelta(hours=24, minutes=-5), None, None, 270),
        (timedelta(hours=24, seconds=-25), None, None, 0),
        (timedelta(days=7), timedelta(hours=1), None, 3600),
        (timedelta(days=7), timedelta(hours=24, minutes=-5), None, 270),
        (timedelta(0), None, timedelta(minutes=5), 270),
        (timedelta(0), None, timedelta(seconds=25), 0),
    ],
    ids=["early", "a day", "the end", "put back", "a day since", "expires", "expires now"],
)
def test_a_message_is_tried_once_more_before_its_life_ends_however_long_it_is_to_wait(
    sending, storage_calls, error, age, retried, expires_in, longest
):
    now = datetime.now(UTC)
    body = {**MESSAGE, **({"expiresAt": (now + expires_in).isoformat()} if expires_in else {})}
    message = sending.message(
        body, accepted_at=now - age, retried_at=now - retried if retried else None
    )

    storage_calls()
    sending.settle(message, error)

    [delay] = delays(storage_calls())
    may_return = delay > 0
    assert may_return == (longest > 0)
    assert delay <= longest
    assert (sending.waiting.count(), sending.poison.count()) == (may_return, not may_return)
    assert sending.delivery().status is (
        Status.RETRYING if may_return else Status.TEMPORARY_FAILURE
    )


# Failed


@pytest.mark.parametrize(
    ("error", "status", "attempts"),
    [
        (rejected(), Status.PERMANENT_FAILURE, 1),
        (wrong(), Status.PERMANENT_FAILURE, 0),
        (StorageRefusedError("x"), Status.TECHNICAL_FAILURE, 0),
    ],
    ids=["rejected", "invalid", "refused by storage"],
)
def test_a_failure_says_whose_fault_it_is_and_is_kept_whole(settling, error, status, attempts):
    before = datetime.now(UTC).replace(microsecond=0)

    settling.settle(settling.claimed(alert="alert-7", snapshot=TAKEN_ALONG), error)

    [poison] = settling.poison.take()
    delivery = settling.delivery()
    kept = settling.services.failures.find("message-1", delivery.failed_on)
    failed_at = datetime.fromisoformat(poison["failure"].pop("failedAt"))
    assert before <= failed_at <= datetime.now(UTC)
    assert poison["message"] == MESSAGE
    assert poison["failure"] == {
        "code": error.code,
        "detail": error.detail,
        "attempts": attempts,
    }
    assert (delivery.status, delivery.code, delivery.detail) == (status, error.code, error.detail)
    assert delivery.attempts == attempts
    assert kept.queue == settling.queue
    assert (kept.message.pop("_flow")["id"], kept.message) == ("message-1", MESSAGE)
    assert TAKEN_ALONG.key not in json.dumps(poison)


def test_what_failed_is_kept_and_said_before_it_is_recorded_as_failed(settling, storage_calls):
    message = settling.claimed()
    storage_calls()

    settling.settle(message, rejected())

    calls = storage_calls()
    *before, last = written(calls, "/deliveries", "/bodies", "/failures", "-poison/messages")
    assert last == "/deliveries"
    assert set(before) == {"/bodies", "/failures", "-poison/messages"}
    # Where no other system is told of it, nothing is looked up for them.
    assert last in calls[-1]
    assert not calls[-1].startswith("GET")


@pytest.mark.parametrize(
    ("body", "is_erased"),
    [
        ({"recipient": {"channelId": "msteams", "userId": "29:alex"}, "activity": 5}, True),
        ({"recipient": {"userId": "29:alex"}, "more": 5}, True),
        ({"channelId": "msteams", "userId": "29:alex", "muted": 5}, True),
        ({"channelId": "msteams", "user": {"id": "29:alex"}, "bot": 5}, True),
        ({"members": [{"id": "29:alex"}], "bot": 5}, True),
        ({"conversationId": "a:alex", "activity": 5}, True),
        ("text", False),
        ({"members": [], "conversationId": "a:1"}, False),
        ({"user": "x"}, False),
    ],
    ids=str,
)
def test_a_message_that_cannot_be_read_is_erased_with_whom_it_names(settling, body, is_erased):
    services = settling.services
    account = Account("msteams", "29:alex", conversation=OneToOne("a:alex"))
    services.accounts.change_or_make("msteams", "29:alex", lambda _: account)
    services.conversations.put(Conversation("a:alex", "msteams", "https://x/", user_id="29:alex"))

    Settlement(services, lambda *_: 0.0).refuse(settling.message(), body, wrong())

    delivery = settling.delivery()
    assert services.failures.find("message-1", delivery.failed_on) is not None
    services.accounts.erase("msteams", "29:alex")
    assert (services.failures.find("message-1", delivery.failed_on) is None) == is_erased


@pytest.mark.parametrize("error", [rejected(), unavailable()], ids=["fails", "goes back"])
def test_a_message_that_cannot_be_put_anywhere_is_left_to_the_host(
    app_settings, monkeypatch, settling, queue_reader, error
):
    # Port 9 of this machine: nobody listens.
    storage = re.sub(
        r"(QueueEndpoint=http://127\.0\.0\.1:)\d+", r"\g<1>9", app_settings["AzureWebJobsStorage"]
    )
    broken = services_of(app_settings, AzureWebJobsStorage=storage)
    monkeypatch.setattr("urllib3.Retry.sleep", lambda *_: None)

    with pytest.raises(StorageUnavailableError):
        Settling(broken, queue_reader).settle(settling.message(), error)

    # The host tries again: it is no failure, and not done.
    settling.settle(settling.message(), error)
    assert settling.waiting.count() + settling.poison.count() == 1
