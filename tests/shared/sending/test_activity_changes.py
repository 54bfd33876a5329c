"""An edit and a recall alike: one call to where the activity is, whoever the person is by now."""

from dataclasses import replace

import pytest

from DeleteActivity.request import DeleteRequest
from DeleteActivity.service import delete_activity
from shared.accounts.account import Account, OneToOne
from shared.accounts.conversations import Conversation
from shared.deliveries.delivery import Status
from shared.errors import (
    ActivityChangeNotSupportedError,
    AmbiguousConversationError,
    ConversationNotStartedError,
    HeldBackError,
    UntrustedServiceUrlError,
)
from shared.messages.envelope import DELETE_ACTIVITY, UPDATE_ACTIVITY
from shared.sending.activity_changes import Change
from shared.sending.recipient import target_person
from shared.throttling.lane import Lane
from shared.throttling.pacer import DISABLED
from shared.wire_models import ChannelAccount, parse
from tests.support.builders import unique
from tests.support.worker import Worker
from UpdateActivity.request import UpdateRequest
from UpdateActivity.service import update_activity

BOT = ChannelAccount(id="28:bot")


class Changes:
    """Changes of one kind, over HTTP and from the queue."""

    def __init__(self, queue, worker):
        self.queue = queue
        self.method = "PUT" if queue == UPDATE_ACTIVITY else "DELETE"
        self.worker = worker

    def body(self, conversation_id, **more):
        edit = {"activity": {"text": "News"}} if self.queue == UPDATE_ACTIVITY else {}
        return {"conversationId": conversation_id, "activityId": "7", **edit, **more}

    def over_http(self, conversation_id, **more):
        body = self.body(conversation_id, **more)
        if self.queue == UPDATE_ACTIVITY:
            update_activity(parse(UpdateRequest, body), self.worker.services)
        else:
            delete_activity(parse(DeleteRequest, body), self.worker.services)

    def from_queue(self, conversation_id, **more):
        message_id = self.worker.handle(self.body(conversation_id, **more), self.queue)
        self.worker.run()
        return self.worker.services.deliveries.find(message_id)


@pytest.fixture(params=[UPDATE_ACTIVITY, DELETE_ACTIVITY])
def changes(request, services, queue_reader):
    return Changes(request.param, Worker(services, queue_reader))


@pytest.fixture
def keep(services, connector):
    """Caches a conversation, and an account of whom it is with, in ``current`` by now."""

    def run(conversation_id, channel_id="msteams", *, current=None, **fields):
        user_id = unique("29:alex")
        service_url = f"{connector.url}/emea/"
        account = Account(channel_id, user_id, bot=BOT, service_url=service_url)
        for each in (conversation_id, current or conversation_id):
            services.conversations.put(
                Conversation(each, channel_id, service_url, bot=BOT, user_id=user_id)
            )
            account = account.with_conversation(OneToOne(each))
        account = replace(account, **fields)
        services.accounts.change(channel_id, user_id, lambda _stored: account)
        return account

    return run


def test_an_activity_is_changed_where_it_was_sent_wherever_the_person_is_by_now(
    changes, keep, connector
):
    keep("a:1", current="a:2")

    changes.over_http("a:1")
    delivery = changes.from_queue("a:1")

    assert (
        list(map(str, connector.requests))
        == [f"{changes.method} /emea/v3/conversations/a%3A1/activities/7"] * 2
    )
    assert (delivery.status, delivery.activity_id) == (Status.SENT, "7")
    assert delivery.destination.conversation_id == "a:1"


@pytest.mark.parametrize(
    "fields", [{"preferences": {"muted": True}}, {"blocked": True}, {"installed": False}]
)
def test_nobody_is_asked_whether_they_want_a_change(changes, keep, connector, fields):
    before = keep("a:1", **fields)

    changes.over_http("a:1")
    delivery = changes.from_queue("a:1")

    assert delivery.status is Status.SENT
    assert len(connector.requests) == 2
    after = changes.worker.services.accounts.get("msteams", before.user_id).account
    assert (after.blocked, after.installed) == (before.blocked, before.installed)


def test_the_channel_says_which_of_two_conversations_is_meant(changes, keep, connector):
    keep("+49", "sms")
    keep("+49", "skype")

    with pytest.raises(AmbiguousConversationError):
        changes.over_http("+49")
    unclear = changes.from_queue("+49")
    clear = changes.from_queue("+49", channelId="sms")

    assert (unclear.status, unclear.code) == (Status.PERMANENT_FAILURE, "AmbiguousConversation")
    assert (clear.status, clear.destination.channel_id) == (Status.SENT, "sms")
    assert len(connector.requests) == 1


@pytest.mark.parametrize("status", [405, 501])
def test_a_channel_that_cannot_do_it_is_told_of(changes, keep, connector, status):
    keep("a:1")
    connector.fail(status, "SomeCode", headers={"MS-CV": "abc.1"}, times=2)

    with pytest.raises(ActivityChangeNotSupportedError, match="msteams") as caught:
        changes.over_http("a:1")
    delivery = changes.from_queue("a:1")

    assert (caught.value.status, caught.value.correlation_id) == (422, "abc.1")
    assert (delivery.status, delivery.code) == (
        Status.PERMANENT_FAILURE,
        "ActivityChangeNotSupported",
    )
    assert (delivery.attempts, delivery.correlation_id) == (1, "abc.1")
    assert len(connector.requests) == 2
    [failed] = changes.worker.failures(changes.queue)
    assert failed["failure"]["code"] == "ActivityChangeNotSupported"


def test_a_conversation_at_a_place_no_longer_trusted_gets_nothing(changes, services, identity):
    services.conversations.put(Conversation("a:1", "msteams", "https://was-trusted.example/"))

    with pytest.raises(UntrustedServiceUrlError):
        changes.over_http("a:1")
    delivery = changes.from_queue("a:1")

    assert (delivery.status, delivery.code) == (Status.PERMANENT_FAILURE, "UntrustedServiceUrl")
    assert delivery.destination.conversation_id == "a:1"
    assert identity.requests == []


def test_a_change_waits_its_turn(changes, keep, services, connector):
    keep("a:1")
    lane = Lane.of(f"{connector.url}/emea/", None)
    services.pacer.pause(lane, probe_seconds=3600, reason=DISABLED)

    with pytest.raises(HeldBackError):
        changes.over_http("a:1")
    delivery = changes.from_queue("a:1")

    assert (delivery.status, delivery.attempts) == (Status.RETRYING, 0)
    assert changes.worker.waits(changes.queue) == 1
    assert connector.requests == []


def test_a_message_that_a_queue_gives_out_twice_is_done_once(changes, keep, connector):
    keep("a:1")
    for _ in range(2):
        changes.worker.handle(changes.body("a:1", id="order-7"), changes.queue)

    assert len(connector.requests) == 1
    assert changes.worker.services.deliveries.find("order-7").attempts == 1


def test_what_is_too_much_or_takes_too_long_is_done_later(changes, keep, connector):
    keep("a:1")
    connector.fail(429, "Throttled", headers={"Retry-After": "0"})
    connector.fail(503, "ServiceError", headers={"Retry-After": "0"})

    delivery = changes.from_queue("a:1")

    assert (delivery.status, delivery.attempts) == (Status.SENT, 2)
    assert len(connector.requests) == 3


def test_where_there_is_no_conversation_nothing_can_be_changed(services):
    with pytest.raises(ConversationNotStartedError):
        Change(target_person("msteams", unique("29:nobody"), services), services)
