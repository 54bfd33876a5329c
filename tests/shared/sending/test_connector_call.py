"""Every call waits its turn, is claimed, made once, and learnt from."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from SendActivity.request import SendRequest
from SendActivity.service import send_activity
from shared.accounts.conversations import Conversation
from shared.deliveries.delivery import Delivery, Destination, Status
from shared.errors import BotCredentialError, HeldBackError, UntrustedServiceUrlError
from shared.sending.connector_call import take_turn
from shared.settings import Settings
from shared.throttling.pacer import DISABLED, Pacer
from shared.wiring import Services
from tests.support.builders import unique
from tests.support.worker import Worker

SLACK = "slack"


class Clock:
    """A clock that a test moves on."""

    def __init__(self):
        self.now = datetime.now(UTC)

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock():
    return Clock()


def paced_by(clock, services):
    """The same services, with the pace by a clock of the test's."""
    pacer = Pacer(
        services.storage,
        services.settings.app_id,
        rate_per_second=40,
        clock=clock,
        sleep=clock.sleep,
    )
    return replace(services, pacer=pacer)


@pytest.fixture
def paced(services, clock):
    return paced_by(clock, services)


@pytest.fixture
def worker(paced, queue_reader):
    return Worker(paced, queue_reader)


@pytest.fixture
def conversation(services, connector):
    """Makes conversations: of different tenants, so in different lanes."""

    def make(tenant_id="tenant", **fields):
        made = Conversation(
            unique("C1"), SLACK, f"{connector.url}/slack/", tenant_id=tenant_id, **fields
        )
        services.conversations.put(made)
        return {"conversationId": made.id}

    return make


def over_http(message, services):
    request = SendRequest.from_json({**message, "activity": {"text": "News"}})
    return send_activity(request, services)


# Whose turn it is


def test_a_call_to_where_the_token_must_not_go_has_no_turn(services, identity):
    with pytest.raises(UntrustedServiceUrlError):
        take_turn(Destination(SLACK, "https://evil.example/"), services)

    assert identity.requests == []


def test_a_conversation_is_reached_over_http_and_from_a_queue(worker, conversation):
    message = conversation()

    sent = over_http(message, worker.services)
    delivery = worker.send(message)

    assert sent.id == "activity-1"
    assert (delivery.status, delivery.activity_id) == (Status.SENT, "activity-2")


def test_a_message_that_a_queue_gives_out_twice_is_sent_once(worker, conversation, connector):
    message = conversation()
    for _ in range(2):
        worker.handle({**message, "id": "order-7", "activity": {"text": "News"}})

    assert len(connector.requests) == 1
    assert worker.services.deliveries.find("order-7").attempts == 1
    assert worker.waits() == 0


def test_what_somebody_else_is_sending_waits_for_them(worker, services, conversation, connector):
    message = conversation()
    now = datetime.now(UTC)
    theirs = Delivery("order-7", Status.SENDING, now, now)
    services.deliveries.claim(theirs, seconds=60, is_new=True)

    worker.handle({**message, "id": "order-7", "activity": {"text": "News"}}, inserted_at=now)

    assert connector.requests == []
    assert worker.waits() == 1
    assert services.deliveries.find("order-7").status is Status.SENDING


def test_what_is_refused_before_the_call_is_not_claimed(worker, conversation, connector):
    delivery = worker.send({**conversation(), "activity": {"text": "x" * 200_000}})

    assert (delivery.status, delivery.attempts) == (Status.PERMANENT_FAILURE, 0)
    assert connector.requests == []


# Throttled


def test_one_conversation_that_is_too_fast_holds_back_nobody_else(worker, conversation, connector):
    connector.fail(429, "Throttled", headers={"Retry-After": "60"})

    first = worker.send(conversation())
    second = worker.send(conversation())

    assert (first.status, first.code, first.attempts) == (Status.RETRYING, "Throttled", 0)
    assert second.status is Status.SENT


def test_two_conversations_that_are_too_fast_pause_their_lane(worker, conversation, connector):
    connector.fail(429, "Throttled", headers={"Retry-After": "60"}, times=2)
    for _ in range(2):
        worker.send(conversation())

    held_back = worker.send(conversation())
    elsewhere = worker.send(conversation("another tenant"))

    assert (held_back.status, held_back.code) == (Status.RETRYING, "Throttled")
    assert held_back.attempts == 0
    assert elsewhere.status is Status.SENT
    assert len(connector.requests) == 3
    with pytest.raises(HeldBackError) as caught:
        over_http(conversation(), worker.services)
    assert caught.value.status == 429
    assert 0 < (caught.value.retry_after_seconds or 0) <= 60
    assert len(connector.requests) == 3


def test_http_calls_that_are_throttled_pause_the_lane_for_all(worker, conversation, connector):
    connector.fail(429, "Throttled", headers={"Retry-After": "60"}, times=2)
    for _ in range(2):
        with pytest.raises(Exception, match="429"):
            over_http(conversation(), worker.services)

    assert worker.send(conversation()).status is Status.RETRYING
    assert len(connector.requests) == 2


# Disabled by an administrator


@pytest.fixture
def disabled(worker, conversation, connector):
    """A lane in which an administrator has disabled the bot."""
    connector.fail_always(403, "BotDisabledByAdmin", when=lambda _request: not enabled)
    enabled: list[bool] = []
    delivery = worker.send(conversation())
    assert (delivery.status, delivery.code) == (Status.PERMANENT_FAILURE, "BotDisabledByAdmin")
    return enabled


def test_where_the_bot_is_disabled_all_wait(disabled, worker, conversation, connector):
    held_back = worker.send(conversation())
    elsewhere = worker.send(conversation("another tenant"))

    assert (held_back.status, held_back.code) == (Status.RETRYING, "Throttled")
    assert DISABLED in held_back.detail
    assert elsewhere.code == "BotDisabledByAdmin"
    assert len(connector.requests) == 2
    with pytest.raises(HeldBackError, match=DISABLED):
        over_http(conversation(), worker.services)
    assert len(connector.requests) == 2


def test_a_probe_that_is_answered_so_again_does_not_lift_the_pause(
    disabled, worker, conversation, connector, clock
):
    clock.now += timedelta(hours=1, seconds=1)

    probe = worker.send(conversation())
    after = worker.send(conversation())

    assert (probe.status, probe.code) == (Status.PERMANENT_FAILURE, "BotDisabledByAdmin")
    assert after.status is Status.RETRYING
    assert len(connector.requests) == 2


@pytest.mark.parametrize("by", ["queue", "http"])
def test_a_probe_that_comes_through_lifts_the_pause(
    disabled, worker, conversation, connector, clock, by
):
    disabled.append(True)
    clock.now += timedelta(hours=1, seconds=1)

    if by == "queue":
        assert worker.send(conversation()).status is Status.SENT
    else:
        assert over_http(conversation(), worker.services).id == "activity-1"

    assert worker.send(conversation()).status is Status.SENT


@pytest.mark.parametrize("status", [500, 503])
def test_a_probe_that_the_service_fails_tells_nothing(
    disabled, worker, conversation, connector, clock, status
):
    disabled.append(True)
    connector.fail(status, "ServiceError", headers={"Retry-After": "60"})
    clock.now += timedelta(hours=1, seconds=1)

    worker.send(conversation())

    assert worker.send(conversation()).code == "Throttled"
    assert len(connector.requests) == 2


# The credential


def tokens(connector):
    return [
        request.headers["Authorization"].removeprefix("Bearer ") for request in connector.requests
    ]


def test_a_token_that_is_refused_is_dropped_and_tried_once_more(worker, conversation, connector):
    connector.fail(401, "Unauthorized")

    delivery = worker.send(conversation())

    assert tokens(connector) == ["identity-token-1", "identity-token-2"]
    assert (delivery.status, delivery.attempts) == (Status.SENT, 1)
    assert worker.send(conversation()).status is Status.SENT


def test_while_the_credential_fails_everything_waits_but_for_a_probe(
    worker, conversation, connector, clock, queue_reader
):
    connector.fail_always(401, "Unauthorized", when=lambda _request: not mended)
    mended: list[bool] = []

    first = worker.send(conversation())

    assert tokens(connector) == ["identity-token-1", "identity-token-2"]
    # Neither call counts: it is not the message's fault.
    assert (first.status, first.attempts) == (Status.RETRYING, 0)
    assert worker.send(conversation("another tenant")).status is Status.RETRYING
    with pytest.raises(HeldBackError):
        over_http(conversation(), worker.services)
    another_instance = paced_by(clock, worker.services)
    with pytest.raises(HeldBackError):
        over_http(conversation(), another_instance)
    assert len(connector.requests) == 2

    mended.append(True)
    clock.now += timedelta(seconds=61)
    assert worker.send(conversation()).status is Status.SENT
    assert worker.send(conversation("another tenant")).status is Status.SENT


def test_without_a_token_no_call_is_made_and_everything_waits(
    worker, conversation, connector, identity
):
    identity.answer(400, {"statusCode": 400, "message": "Identity not found"}, times=float("inf"))

    delivery = worker.send(conversation())

    assert (delivery.status, delivery.attempts) == (Status.RETRYING, 0)
    assert connector.requests == []
    with pytest.raises((HeldBackError, BotCredentialError)):
        over_http(conversation(), worker.services)
    assert worker.failures() == []


# What nobody knows to be sent


@pytest.fixture
def careful(app_settings, queue_reader):
    """A worker that gives up what may have been sent."""
    settings = Settings.from_environment({**app_settings, "AmbiguousSend": "giveUp"})
    return Worker(Services.of(settings), queue_reader)


AMBIGUOUS = [502, 504, "cut off"]


def fail(connector, how):
    if how == "cut off":
        connector.cut()
    else:
        connector.fail(how, "ServiceError", headers={"Retry-After": "0"})


@pytest.mark.parametrize("how", AMBIGUOUS)
def test_what_may_have_been_sent_is_sent_again_and_says_so(worker, conversation, connector, how):
    fail(connector, how)

    delivery = worker.send(conversation())

    assert (delivery.status, delivery.ambiguous, delivery.attempts) == (Status.SENT, True, 2)
    assert len(connector.requests) == 2


@pytest.mark.parametrize("how", AMBIGUOUS)
def test_what_may_have_been_sent_is_given_up_where_that_is_wanted(
    careful, conversation, connector, how
):
    fail(connector, how)

    delivery = careful.send(conversation())

    assert (delivery.status, delivery.ambiguous) == (Status.TEMPORARY_FAILURE, True)
    assert len(connector.requests) == 1
    assert careful.waits() == 0
    assert len(careful.failures()) == 1


@pytest.mark.parametrize("how", [503, 412])
def test_what_was_surely_not_sent_is_sent_again_in_any_case(careful, conversation, connector, how):
    fail(connector, how)

    delivery = careful.send(conversation())

    assert (delivery.status, delivery.ambiguous, delivery.attempts) == (Status.SENT, False, 2)


def test_who_died_in_the_middle_of_a_call_is_followed_by_another(worker, conversation, connector):
    now = datetime.now(UTC)
    died = Delivery("order-7", Status.SENDING, now, now)
    worker.services.deliveries.claim(died, seconds=0, is_new=True)

    delivery = worker.send({**conversation(), "id": "order-7"}, inserted_at=now)

    assert (delivery.status, delivery.ambiguous, delivery.attempts) == (Status.SENT, True, 2)


def test_who_died_in_the_middle_of_a_call_is_not_followed_where_that_is_wanted(
    careful, conversation, connector
):
    now = datetime.now(UTC)
    died = Delivery("order-7", Status.SENDING, now, now)
    careful.services.deliveries.claim(died, seconds=0, is_new=True)

    delivery = careful.send({**conversation(), "id": "order-7"}, inserted_at=now)

    assert (delivery.status, delivery.code) == (Status.TEMPORARY_FAILURE, "OutcomeUnknown")
    assert (delivery.ambiguous, delivery.attempts) == (True, 1)
    assert connector.requests == []
    assert len(careful.failures()) == 1
    assert careful.services.failures.find("order-7", delivery.failed_on) is not None
