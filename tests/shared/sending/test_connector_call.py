"""Every call waits its turn, is claimed, made once, and learnt from."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from SendActivity.request import SendRequest
from SendActivity.service import send_activity
from SendActivity.triggers import send_activity_http
from shared import wiring
from shared.accounts.conversations import Conversation
from shared.connector.errors import ConnectorError
from shared.deliveries.delivery import Delivery, Destination, Status
from shared.errors import (
    AppError,
    CancelledError,
    HeldBackError,
    StorageUnavailableError,
    UntrustedServiceUrlError,
)
from shared.idempotency import IdempotencyKeys
from shared.messages.envelope import Envelope
from shared.messages.queue_names import DELETE_ACTIVITY, SEND_ACTIVITY
from shared.messages.queued_message import QueuedMessage, UnsentError
from shared.sending.connector_call import take_turn
from shared.storage.tables import Table, key_of
from shared.throttling.conversation_limits import ConversationLimits
from shared.throttling.lane import Lane
from shared.throttling.pacer import Pacer, Slot
from StartConversation.request import StartRequest
from StartConversation.service import start_conversation
from StartConversation.triggers import start_conversation_http
from tests.support.builders import http_request, unique
from tests.support.clocks import FakeClock
from tests.support.worker import Worker

SLACK = "slack"


@pytest.fixture
def clock():
    return FakeClock(datetime.now(UTC))


@pytest.fixture
def instance(services, clock):
    """Makes instances of the app, all with the same clock."""

    def make():
        pacer = Pacer(
            services.storage,
            services.settings.app_id,
            rate_per_second=40,
            clock=clock,
            sleep=clock.sleep,
        )
        return replace(services, pacer=pacer)

    return make


@pytest.fixture
def worker(instance, queue_reader):
    return Worker(instance(), queue_reader)


@pytest.fixture
def conversation(services, connector):
    """Makes conversations: of different tenants, so in different lanes."""

    def make(tenant_id="tenant", channel_id=SLACK):
        service_url = f"{connector.url}/{channel_id}/"
        made = Conversation(unique("C1"), channel_id, service_url, tenant_id=tenant_id)
        services.conversations.put(made)
        return {"conversationId": made.id}

    return make


def over_http(message, services):
    request = SendRequest.from_json({**message, "activity": {"text": "News"}})
    return send_activity(request, services)


def queued(**envelope):
    noted = Envelope(id="order-7", accepted_at=datetime.now(UTC), **envelope)
    return QueuedMessage(SEND_ACTIVITY, {}, noted)


def at(connector, **fields):
    return Destination(SLACK, f"{connector.url}/slack/", conversation_id="C1", **fields)


# Whose turn it is


def test_a_call_to_where_the_token_must_not_go_has_no_turn(services, identity, storage_calls):
    with pytest.raises(UntrustedServiceUrlError):
        take_turn(Destination(SLACK, "https://evil.example/"), services, queued())

    assert identity.requests == storage_calls() == []


@pytest.mark.parametrize("status", [201, 400, 503], ids=["sent", "failed", "goes back"])
def test_no_call_is_made_for_the_id_of_another_kind_of_message(
    worker, conversation, connector, status
):
    """As where an order's message and its recall both have the order's number."""
    sent = {**conversation(), "id": "order-7"}
    if status != 201:
        connector.fail(status, "Odd", headers={"Retry-After": "60"})
    before = worker.send(sent)

    worker.handle({**sent, "activityId": "activity-1"}, DELETE_ACTIVITY)

    assert [call.method for call in connector.requests] == ["POST"]
    [refused] = worker.failures(DELETE_ACTIVITY)
    assert refused["failure"]["code"] == "InvalidRequest"
    assert worker.services.deliveries.find("order-7") == before


def test_what_somebody_else_is_sending_waits_for_them(worker, services, conversation, connector):
    now = datetime.now(UTC)
    theirs = Delivery("order-7", Status.SENDING, now, now)
    services.deliveries.claim(theirs, seconds=60, is_new=True)

    worker.handle({**conversation(), "id": "order-7", "activity": {"text": "News"}})

    assert connector.requests == []
    assert worker.waits() == 1
    assert services.deliveries.find("order-7").status is Status.SENDING


def test_a_conversation_that_got_as_much_as_its_channel_takes_waits(
    services, queue_reader, conversation, connector
):
    full = conversation(channel_id="msteams")
    services = replace(services, conversation_limits=ConversationLimits(clock=lambda: 0.0))
    for _ in range(60):
        over_http(full, services)
    worker = Worker(services, queue_reader)

    held_back = worker.send(full)

    assert (held_back.status, held_back.attempts) == (Status.RETRYING, 0)
    assert worker.send(conversation(channel_id="msteams")).status is Status.SENT
    assert len(connector.requests) == 61


@pytest.mark.parametrize(("seconds_ago", "calls"), [(5, 1), (11, 0)])
def test_a_call_begins_only_where_it_ends_within_its_claim(
    services, queue_reader, conversation, connector, with_claims_of, seconds_ago, calls
):
    worker = Worker(with_claims_of(seconds_ago, services), queue_reader)

    delivery = worker.send(conversation())

    assert len(connector.requests) == delivery.attempts == calls
    assert delivery.status is (Status.SENT if calls else Status.RETRYING)


@pytest.mark.parametrize(
    ("fails", "error"), [("before", HeldBackError), ("after", StorageUnavailableError)]
)
def test_where_storage_fails_before_the_call_it_was_none_and_after_it_the_host_tries_again(
    services, connector, monkeypatch, fails, error
):
    def down(*_):
        raise StorageUnavailableError("down")

    def use(call):
        if fails == "before":
            down()
        call.connector.send_activity("C1", {})

    connector.fail(404, "ConversationNotFound")
    monkeypatch.setattr(services.accounts, "change", down)

    with (
        pytest.raises(UnsentError) as caught,
        take_turn(at(connector, user_id="U1"), services, queued(ambiguous=True)).call() as call,
    ):
        use(call)

    # What was claimed is settled, and the host is not asked to try again while the claim is good.
    assert isinstance(caught.value.error, error)
    assert caught.value.message.claim is not None
    claimed = services.deliveries.find("order-7")
    assert (claimed.status, claimed.ambiguous) == (Status.SENDING, True)


@pytest.mark.parametrize(("seconds_ago", "calls"), [(20, 1), (26, 0)])
@pytest.mark.parametrize("has_begun", [False, True])
def test_a_call_is_made_only_where_it_ends_before_its_key_can_be_claimed_anew(
    deployed, monkeypatch, connector, seconds_ago, calls, has_begun
):
    settings, long_ago = deployed.settings, datetime.now(UTC) - timedelta(seconds=seconds_ago)
    keys = IdempotencyKeys(
        deployed.storage, settings.app_id, lease_seconds=40, now=lambda: long_ago
    )
    body = {"members": [{"id": "29:alex"}], "activity": {"text": "News"}}
    if has_begun:
        start_conversation(StartRequest.from_json(body), deployed, wait_seconds=0)
    monkeypatch.setattr(wiring, "_services", replace(deployed, idempotency_keys=keys))
    deployed.conversations.put(Conversation("a:1", "msteams", connector.url))
    before, keyed = len(connector.requests), {"Idempotency-Key": unique("key")}

    answers = [
        start_conversation_http(http_request("POST", body, headers=keyed)),
        send_activity_http(
            http_request("POST", {"text": "News"}, route={"conversationId": "a:1"}, headers=keyed)
        ),
    ]

    assert [each.status_code for each in answers] == [201 if calls else 429] * 2
    assert len(connector.requests) == before + 2 * calls


# Throttled


@pytest.mark.parametrize("by", ["queue", "http"])
def test_two_conversations_that_are_too_fast_pause_their_lane(worker, conversation, connector, by):
    connector.fail(429, "Throttled", headers={"Retry-After": "60"}, times=2)
    for _ in range(2):
        if by == "queue":
            worker.send(conversation())
        else:
            with pytest.raises(ConnectorError):
                over_http(conversation(), worker.services)

    held_back = worker.send(conversation())

    assert (held_back.status, held_back.code) == (Status.RETRYING, "Throttled")
    assert held_back.attempts == 0
    with pytest.raises(HeldBackError) as caught:
        over_http(conversation(), worker.services)
    assert 50 < (caught.value.retry_after_seconds or 0) <= 60
    assert len(connector.requests) == 2
    assert worker.send(conversation("another tenant")).status is Status.SENT


# Paused until a probe gets through


@pytest.mark.parametrize(
    ("status", "code", "goes_on"),
    [
        (403, "BotDisabledByAdmin", True),
        (400, "BadSyntax", True),
        (401, "Unauthorized", False),
        (500, "ServiceError", False),
    ],
)
def test_a_probe_that_gets_through_lifts_the_pause_even_where_it_is_refused(
    worker, conversation, connector, clock, status, code, goes_on
):
    # As an earlier version paused a tenant for one person whom an administrator does not allow.
    lane = Lane.of(connector.url, "tenant")
    key = key_of(worker.services.settings.app_id, lane.host, lane.tenant_id)
    row = {"pausedUntil": clock.now, "pauseReason": "disabled", "probeSeconds": 3600.0}
    Table(worker.services.storage, "lanes").put({"PartitionKey": key, "RowKey": "lane", **row})
    connector.fail(status, code)

    assert worker.send(conversation()).code == (code if status != 401 else "BotCredentialError")

    assert (worker.send(conversation()).status is Status.SENT) is goes_on
    clock.now += timedelta(hours=1, seconds=1)
    assert worker.send(conversation()).status is Status.SENT


@pytest.mark.parametrize("by", ["queue", "http"])
@pytest.mark.parametrize(
    "why", ["it is done", "it is cancelled", "nothing is to be sent", "odd id", "no token"]
)
def test_the_probe_of_a_lane_is_not_used_up_without_a_call(
    worker, conversation, connector, identity, clock, by, why
):
    services, now = worker.services, datetime.now(UTC)
    theirs = Delivery("order-7", Status.SENDING, now, now, posting="7")
    claim = services.deliveries.claim(theirs, seconds=60, is_new=True)
    services.deliveries.settle(claim, replace(theirs, status=Status.SENT))
    services.pacer.refused(Slot(Lane.of(connector.url, "tenant"), clock.now), clock.now)

    another = replace(queued(), envelope=Envelope(id="order-8", accepted_at=now))
    to = at(connector, tenant_id="tenant")
    failed = UnsentError if by == "queue" else AppError

    def turn():
        return take_turn(to, services, another if by == "queue" else None)

    match why:
        case "it is done":
            message = {**conversation(), "id": "order-7", "activity": {"text": "News"}}
            worker.handle(message, message_id="7")
        case "it is cancelled":
            with pytest.raises(failed), turn().call():
                raise CancelledError("It was cancelled")
        case "nothing is to be sent":
            turn().give_back()
        case "odd id":
            with pytest.raises(failed), turn().call() as call:
                call.connector.send_activity("..", {})
        case "no token":
            identity.answer(400, {"message": "Identity not found"})
            with pytest.raises(failed):
                turn()
    assert connector.requests == []

    assert worker.send(conversation()).status is Status.SENT


# The credential


def refuse(connector, *messages):
    """Answer 401 to what goes into some conversations, until something is in the list."""
    mended: list[bool] = []
    ids = [message["conversationId"] for message in messages]
    connector.fail_always(
        401,
        "Unauthorized",
        when=lambda request: not mended and any(each in request.path for each in ids),
    )
    return mended


def test_a_token_that_is_refused_is_dropped_and_tried_once_more(worker, conversation, connector):
    connector.fail(401, "Unauthorized")

    delivery = worker.send(conversation())

    assert [request.headers["Authorization"] for request in connector.requests] == [
        "Bearer identity-token-1",
        "Bearer identity-token-2",
    ]
    assert (delivery.status, delivery.attempts) == (Status.SENT, 1)
    assert worker.send(conversation()).status is Status.SENT


def test_a_tenant_that_refuses_every_token_waits_alone_but_for_a_probe_a_minute(
    worker, conversation, connector, clock, instance
):
    messages = [conversation() for _ in range(3)]
    mended = refuse(connector, *messages)

    first, probe, third = (worker.send(each) for each in messages)

    # No call of the first two counts: it is not the message's fault.
    assert [(each.status, each.attempts) for each in (first, probe, third)] == (
        [(Status.RETRYING, 0)] * 3
    )
    # The second is the probe at once, and nobody else for a minute.
    assert [each.code for each in (first, probe, third)] == (
        ["BotCredentialError", "BotCredentialError", "Throttled"]
    )
    with pytest.raises(HeldBackError):
        over_http(messages[2], instance())
    assert len(connector.requests) == 3
    assert worker.send(conversation("another tenant")).status is Status.SENT

    mended.append(True)
    clock.pass_by(61)
    assert worker.send(messages[2]).status is Status.SENT


@pytest.mark.parametrize("by", ["queue", "http"])
def test_a_message_that_is_refused_alone_has_six_attempts_and_pauses_nothing(
    worker, conversation, connector, instance, by
):
    alone, other = conversation(), conversation()
    refuse(connector, alone)
    if by == "queue":
        Worker(instance(), worker._open_queue).send(other)
    else:
        over_http(other, worker.services)

    delivery_id = worker.handle({**alone, "activity": {"text": "News"}})
    # That other instance tells when it comes to the lane next, and this one at once.
    assert worker.send(other).status is Status.SENT
    worker.run()

    delivery = worker.services.deliveries.find(delivery_id)
    assert (delivery.status, delivery.code, delivery.attempts) == (
        Status.TEMPORARY_FAILURE,
        "BotCredentialError",
        6,
    )
    # The first time it came back without being counted.
    assert len([each for each in connector.requests if alone["conversationId"] in each.path]) == 7
    assert len(worker.failures()) == 1
    assert worker.send(other).status is Status.SENT


def test_without_a_token_nothing_is_claimed_and_everything_waits(
    worker, conversation, connector, identity
):
    identity.answer(400, {"message": "Identity not found"}, times=math.inf)

    delivery = worker.send({**conversation(), "id": "order-7"})

    assert (delivery.status, delivery.attempts) == (Status.RETRYING, 0)
    assert delivery.until is None
    assert worker.send(conversation("another tenant")).code == "Throttled"
    for tenant in ("tenant", "a third tenant"):
        with pytest.raises(HeldBackError):
            over_http(conversation(tenant), worker.services)
    assert connector.requests == worker.failures() == []
