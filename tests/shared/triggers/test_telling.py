"""Other systems are told of each failure once, whoever dies meanwhile."""

import math
from dataclasses import replace

import pytest

from shared.deliveries.delivery import Status
from shared.errors import (
    AlreadyDoneError,
    CancelledError,
    ExpiredError,
    StorageRefusedError,
    StorageUnavailableError,
    SuppressedError,
)
from shared.messages.queued_message import Sent
from tests.shared.triggers.settling import Settling, rejected, unavailable, wrong
from tests.support.builders import services_of, telling, unique
from tests.support.lossy_storage import LossyStorage


@pytest.fixture
def told(settling, queue_reader):
    """Takes what other systems were told; the rest of the settling is theirs to be told of."""
    queue = unique("outcomes")
    settling.services = telling(settling.services, queue)
    return queue_reader(queue)


def without_outcomes(settling, message, error):
    """Settle a message as who dies right after it is recorded."""
    services, settling.services = settling.services, replace(settling.services, outcomes=None)
    settling.settle(message, error)
    settling.services = services


@pytest.mark.parametrize(
    ("error", "is_claimed", "status", "attempts"),
    [
        (rejected(), True, "permanent-failure", 6),
        (wrong(), True, "permanent-failure", 5),
        # Before any call, with those that were made for it.
        (wrong(), False, "permanent-failure", 5),
        (unavailable(), True, "temporary-failure", 6),
        (StorageRefusedError("x"), True, "technical-failure", 5),
    ],
    ids=["rejected", "invalid", "invalid before the call", "unavailable", "refused by storage"],
)
def test_other_systems_are_told_of_each_failure_once(
    settling, told, error, is_claimed, status, attempts
):
    for _ in range(5):
        settling.settle(settling.claimed(alert="alert-7"), unavailable())
    assert told.count() == 0

    last = settling.claimed if is_claimed else settling.message
    for _ in range(2):
        settling.settle(last(alert="alert-7", attempts=5, returns=5), error)
        last = settling.message

    first, again = told.take()
    assert first == again
    assert (first["type"], first["subject"]) == ("delivery.failed", "message-1")
    assert first["data"] == {
        "alertId": "alert-7",
        "status": status,
        "code": error.code,
        "attempts": attempts,
    }
    # A message that is given out again fails once.
    assert settling.poison.count() == 1


@pytest.mark.parametrize(
    "result",
    [
        SuppressedError("x"),
        ExpiredError("x"),
        CancelledError("x"),
        AlreadyDoneError("x"),
        unavailable(),
        Sent("activity-1", None),
        None,
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("is_claimed", [True, False])
def test_what_is_no_failure_is_not_told(settling, told, result, is_claimed):
    settling.settle(settling.claimed() if is_claimed else settling.message(), result)

    assert told.count() == 0


@pytest.mark.parametrize(
    "again",
    [AlreadyDoneError("x"), wrong(), SuppressedError("x"), ExpiredError("x"), Sent("a", None)],
    ids=lambda value: type(value).__name__,
)
def test_a_failure_that_was_not_told_is_told_when_its_message_comes_again(settling, told, again):
    without_outcomes(settling, settling.claimed(), rejected())
    for _ in range(2):
        settling.settle(settling.message(), again)

    first, second = told.take()
    assert first == second
    assert first["data"] == {"status": "permanent-failure", "code": "Odd", "attempts": 1}
    # Put back, it fails anew.
    settling.settle(settling.message(posting="posting-2"), wrong())
    [anew] = told.take()
    assert anew["id"] != first["id"]


def test_a_failure_is_recorded_before_it_is_told_and_told_before_its_message_is_done(
    app_settings, settling, told, queue_reader, monkeypatch
):
    monkeypatch.setattr("urllib3.Retry.sleep", lambda *_: None)
    queue = settling.services.settings.outcome_queue
    with LossyStorage(app_settings["AzureWebJobsStorage"], "Queue") as lossy:
        lossy.answer(503, times=math.inf, when=lambda request: f"/{queue}/" in request.path)
        broken = services_of(
            app_settings, AzureWebJobsStorage=lossy.connection_string, OutcomeQueue=queue
        )

        with pytest.raises(StorageUnavailableError):
            Settling(broken, queue_reader, settling.queue).settle(settling.claimed(), rejected())

    assert settling.delivery().status is Status.PERMANENT_FAILURE
    settling.settle(settling.message(), AlreadyDoneError("x"))
    [_event] = told.take()
