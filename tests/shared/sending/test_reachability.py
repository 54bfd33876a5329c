"""Who is out of reach, and the probes that show whether they still are."""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from SendActivity.request import SendRequest
from SendActivity.service import send_activity
from shared.accounts.account import OneToOne
from shared.deliveries.delivery import Delivery, Status
from shared.errors import SuppressedError
from shared.messages.envelope import Envelope
from shared.messages.queue_names import SEND_ACTIVITY, START_CONVERSATION
from shared.messages.queued_message import QueuedMessage, UnsentError
from shared.sending.connector_call import take_turn
from shared.sending.recipient import find_person
from tests.shared.sending.person import NEWS
from tests.support.builders import services_of
from tests.support.connector import is_send
from tests.support.lossy_storage import LossyStorage
from tests.support.waiting import PATIENCE_SECONDS
from tests.support.worker import Worker


@pytest.mark.parametrize(
    ("code", "installed", "blocked", "probed_after"),
    [
        ("BotNotInConversationRoster", False, None, timedelta(days=3)),
        ("MessageWritesBlocked", None, True, timedelta(days=3)),
        ("BotDisabledByAdmin", None, True, timedelta(hours=1)),
    ],
)
def test_a_person_out_of_reach_is_marked_and_gets_nothing_more(
    worker, alex, connector, code, installed, blocked, probed_after
):
    connector.fail(403, code)
    before = datetime.now(UTC)

    first = worker.send(alex.message)
    second = worker.send(alex.message)

    assert (first.status, first.code) == (Status.PERMANENT_FAILURE, code)
    assert (second.status, second.attempts) == (Status.SUPPRESSED, 0)
    assert (alex.account.installed, alex.account.blocked) == (installed, blocked)
    assert 0.9 < (alex.account.probe_at - before) / probed_after < 1.1
    assert alex.account.conversation == OneToOne(alex.first_id)
    assert len(connector.requests) == 1


@pytest.mark.parametrize(
    ("was_blocked", "status", "installed"), [(False, 403, True), (True, 201, False)]
)
def test_what_a_call_tells_late_undoes_nothing_that_was_heard_of_the_person_since(
    worker, alex, connector, was_blocked, status, installed
):
    """An install during a call that is refused, and an uninstall during a probe that is not."""
    if was_blocked:
        alex.change(blocked=True, probe_at=datetime.now(UTC))
    if status != 201:
        connector.fail(status, "BotNotInConversationRoster")
    connector.block(times=1)
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(worker.handle, {**alex.message, **NEWS})
        connector.wait_for_waiting(1)
        news = {"installed": installed, "probe_at": None, "observed_at": datetime.now(UTC)}
        alex.change(**news)
        connector.release()
        sent.result(PATIENCE_SECONDS)

    account = alex.account
    assert news.items() <= vars(account).items()
    assert bool(account.blocked) == was_blocked


@pytest.mark.parametrize("waits", [False, True], ids=["at once", "after it had to wait"])
def test_a_probe_that_comes_through_lifts_the_mark(worker, blocked, connector, waits):
    if waits:
        connector.fail(503, "ServiceError", headers={"Retry-After": "0"})

    deliveries = [worker.send(blocked.message) for _ in range(2)]

    assert [each.status for each in deliveries] == [Status.SENT] * 2
    assert deliveries[0].attempts == (2 if waits else 1)
    account = blocked.account
    assert (account.blocked, account.installed, account.probe_at) == (False, True, None)


@pytest.mark.parametrize(
    ("code", "probed_after"),
    [("MessageWritesBlocked", timedelta(days=3)), ("BotDisabledByAdmin", timedelta(hours=1))],
)
@pytest.mark.parametrize("starts", [False, True], ids=["send", "start"])
def test_a_probe_that_is_refused_again_is_no_failure_and_the_only_one(
    worker, blocked, connector, starts, code, probed_after
):
    if starts:
        blocked.change(conversation=None)
    connector.fail_always(403, code)

    deliveries = [worker.send(blocked.message) for _ in range(2)]

    assert [(each.status, each.attempts) for each in deliveries] == [
        (Status.SUPPRESSED, 1),
        (Status.SUPPRESSED, 0),
    ]
    assert worker.failures() == worker.failures(START_CONVERSATION) == []
    assert len(connector.requests) == 1
    until_next = blocked.account.probe_at - datetime.now(UTC)
    assert 0.9 < until_next / probed_after <= 1


def test_after_a_start_what_waited_for_it_is_the_probe(worker, blocked, connector):
    blocked.change(conversation=None)
    connector.fail(403, "MessageWritesBlocked", when=is_send)

    delivery = worker.send(blocked.message)

    assert (delivery.status, delivery.attempts) == (Status.SUPPRESSED, 2)
    assert blocked.account.blocked
    assert worker.failures() == []


def test_of_two_messages_at_once_one_is_the_probe(worker, blocked, services):
    destination = find_person("msteams", blocked.user_id, services).destination

    def call(message_id):
        envelope = Envelope(id=message_id, accepted_at=datetime.now(UTC))
        queued = QueuedMessage(SEND_ACTIVITY, {}, envelope)
        return take_turn(destination, services, queued, is_probe=True).call()

    with call("order-7") as probe:
        assert probe.connector
        with pytest.raises(UnsentError) as caught, call("order-8") as other:
            assert other.connector
    assert isinstance(caught.value.error, SuppressedError)


@pytest.mark.parametrize("why", ["it is done", "somebody else makes it", "it is too late"])
def test_without_a_call_no_probe_is_used_up(worker, blocked, connector, with_claims_of, why):
    services, now = worker.services, datetime.now(UTC)
    message = {**blocked.message, **NEWS, "id": "order-7"}
    if why == "it is too late":
        worker.handle(message, services=with_claims_of(11, services))
    else:
        theirs = Delivery("order-7", Status.SENDING, now, now, posting="7")
        claim = services.deliveries.claim(theirs, seconds=60, is_new=True)
        if why == "it is done":
            services.deliveries.settle(claim, replace(theirs, status=Status.SENT))
        worker.handle(message, message_id="7")
    assert connector.requests == []

    assert worker.send(blocked.message).status is Status.SENT


@pytest.fixture
def lossy(app_settings, queue_reader, monkeypatch):
    """Storage that loses answers, and a worker that has no other."""
    monkeypatch.setattr("urllib3.Retry.sleep", lambda *_: None)
    with LossyStorage(app_settings["AzureWebJobsStorage"]) as lossy:
        services = services_of(app_settings, AzureWebJobsStorage=lossy.connection_string)
        yield lossy, Worker(services, queue_reader)


@pytest.mark.parametrize("times", [1, 20], ids=["once", "for a while"])
def test_a_probe_is_not_lost_with_an_answer_of_storage(lossy, blocked, connector, times):
    storage, worker = lossy
    lost: list[object] = []

    def is_taken(request):
        taken = request.method == "PUT" and "/accounts(" in request.path and not connector.requests
        if taken and len(lost) < times:
            lost.append(request)
            return True
        return False

    for _ in range(times):
        storage.lose_answer(is_taken)

    worker.send({**blocked.message, "id": "order-7"})
    while worker.waits():
        worker.run()

    assert 1 <= len(lost) <= times
    delivery = blocked.services.deliveries.find("order-7")
    assert (delivery.status, delivery.attempts) == (Status.SENT, 1)
    assert blocked.account.blocked is False


def test_a_probe_is_for_queues_alone_and_reaches_nobody_who_said_stop(
    worker, services, blocked, connector
):
    with pytest.raises(SuppressedError):
        send_activity(SendRequest.from_json({**blocked.message, **NEWS}), services)
    assert blocked.account.probe_at < datetime.now(UTC)
    blocked.change(preferences={"muted": True})

    assert worker.send(blocked.message).status is Status.SUPPRESSED
    assert connector.requests == []


def test_a_start_that_says_something_may_be_the_probe(worker, blocked):
    worker.handle({**blocked.start, **NEWS}, START_CONVERSATION, message_id="start-1")

    assert worker.services.deliveries.find("start-1").status is Status.SENT
    assert blocked.account.blocked is False


def test_a_refused_message_is_recorded_as_failed_before_the_person_is_marked(
    lossy, alex, services, connector
):
    """Whoever dies in between leaves a failure: what comes again is suppressed once they are."""
    storage, worker = lossy
    connector.fail(403, "MessageWritesBlocked")
    when_marked = []

    def is_mark(request):
        if request.method == "PUT" and "/accounts(" in request.path and connector.requests:
            when_marked.append(services.deliveries.find("order-7").status)
            return True
        return False

    storage.answer(503, {}, times=math.inf, when=is_mark)

    delivery = worker.send({**alex.message, "id": "order-7"})

    assert set(when_marked) == {Status.PERMANENT_FAILURE}
    assert delivery.code == "MessageWritesBlocked"
    assert alex.account.blocked is None


def test_a_message_that_was_sent_as_a_probe_is_sent_though_nothing_can_be_noted(
    lossy, blocked, connector
):
    storage, worker = lossy

    def is_noted(request):
        return request.method == "PUT" and "/accounts(" in request.path and connector.requests

    storage.answer(503, {}, times=math.inf, when=is_noted)

    delivery = worker.send(blocked.message)

    assert (delivery.status, delivery.ambiguous) == (Status.SENT, False)
    assert len(connector.requests) == 1
    assert blocked.account.blocked
