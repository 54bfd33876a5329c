"""What the Connector refuses, and what is mended or marked then."""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from SendActivity.request import SendRequest
from SendActivity.service import send_activity
from shared.accounts.account import Account, OneToOne
from shared.accounts.conversations import Conversation
from shared.auth.clouds import PUBLIC
from shared.connector.errors import ConnectorError
from shared.deliveries.delivery import Delivery, Status
from shared.deliveries.store import DeliveryStore
from shared.errors import SuppressedError, UnknownConversationError
from shared.messages.envelope import Envelope
from shared.messages.queue_names import SEND_ACTIVITY, START_CONVERSATION, UPDATE_ACTIVITY
from shared.messages.queued_message import QueuedMessage, UnsentError
from shared.sending.connector_call import connector_call
from shared.sending.recipient import find_person
from shared.settings import Settings
from shared.storage.personal_keys import PersonalKeys
from shared.wire_models import ChannelAccount
from shared.wiring import Services
from tests.support.builders import unique
from tests.support.connector import is_send, is_start
from tests.support.lossy_storage import LossyStorage
from tests.support.waiting import PATIENCE_SECONDS
from tests.support.worker import Worker

BOT = ChannelAccount(id="28:bot")
NEWS = {"activity": {"text": "News"}}


@pytest.fixture
def worker(services, queue_reader, connector):
    """A worker that probes after 3 days, with a service URL for the government community cloud."""
    cloud = replace(PUBLIC, community_service_url=f"{connector.url}/gcc/")
    settings = replace(services.settings, cloud=cloud, blocked_probe_days=3)
    return Worker(replace(services, settings=settings), queue_reader)


class Person:
    """Somebody who has an account, and a conversation with the bot."""

    def __init__(self, services, connector, **fields):
        self.services = services
        self.user_id = unique("29:alex")
        self.first_id = unique("a:first")
        connector.set_conversation_id(self.user_id, unique("a:next"))
        self.next_id = connector.conversation_id(self.user_id)
        account = Account(
            "msteams",
            self.user_id,
            **{
                "name": "Alex",
                "locale": "de",
                "preferences": {"interests": ["Rain"]},
                "bot": BOT,
                "tenant_id": "tenant",
                "service_url": f"{connector.url}/amer/",
                "conversation": OneToOne(self.first_id),
                **fields,
            },
        )
        services.accounts.change_or_make("msteams", self.user_id, lambda _stored: account)
        services.conversations.put(
            Conversation(
                self.first_id,
                "msteams",
                f"{connector.url}/amer/",
                bot=BOT,
                tenant_id="tenant",
                user_id=self.user_id,
            )
        )
        self.message = {"recipient": {"channelId": "msteams", "userId": self.user_id}}
        self.to_first = {"conversationId": self.first_id}
        self.start = {"bot": {"id": "28:bot"}, "members": [{"id": self.user_id}]}

    @property
    def account(self):
        stored = self.services.accounts.get("msteams", self.user_id)
        assert stored is not None
        return stored.account

    def change(self, **fields):
        self.services.accounts.change_or_make(
            "msteams", self.user_id, lambda stored: replace(stored.account, **fields)
        )


@pytest.fixture
def alex(services, connector):
    return Person(services, connector)


def paths(connector):
    return [request.path.partition("/v3/conversations")[2] for request in connector.requests]


def activities_of(conversation_id):
    return f"/{conversation_id.replace(':', '%3A')}/activities"


# 404 ConversationNotFound


def test_a_conversation_that_is_gone_is_started_again_once_and_the_message_sent(
    worker, alex, connector
):
    connector.fail(404, "ConversationNotFound", when=is_send)

    delivery = worker.send(alex.message)

    assert paths(connector) == [activities_of(alex.first_id), "", activities_of(alex.next_id)]
    assert (delivery.status, delivery.activity_id) == (Status.SENT, "activity-1")
    assert (delivery.recreated, delivery.attempts) == (True, 3)
    assert delivery.destination.conversation_id == alex.next_id
    # The old id goes on reaching the person.
    later = worker.send(alex.to_first)
    assert (later.status, later.recreated) == (Status.SENT, False)
    assert paths(connector)[-1] == activities_of(alex.next_id)


def test_a_conversation_that_is_gone_again_fails(worker, alex, connector):
    connector.fail_always(404, "ConversationNotFound", when=is_send)

    delivery = worker.send(alex.message)

    assert paths(connector) == [activities_of(alex.first_id), "", activities_of(alex.next_id)]
    assert (delivery.status, delivery.code) == (Status.PERMANENT_FAILURE, "ConversationNotFound")
    assert (delivery.recreated, delivery.attempts) == (True, 3)
    assert worker.waits() == worker.waits(START_CONVERSATION) == 0


def test_the_person_stays_though_the_conversation_goes(worker, alex, connector):
    before = alex.account
    connector.fail_always(404, "ConversationNotFound", when=is_send)
    connector.fail_always(502, "ServiceError", when=is_start)

    worker.handle({**alex.message, **NEWS})

    assert alex.account == replace(
        before, conversation=None, former_conversation_ids=(alex.first_id,)
    )


def test_an_old_id_that_the_account_does_not_know_reaches_the_person_too(worker, alex, connector):
    conversation = alex.services.conversations.find(alex.first_id)
    alex.change(conversation=None)
    alex.services.conversations.put(conversation)
    connector.fail(404, "ConversationNotFound", when=is_send)

    delivery = worker.send(alex.to_first)

    assert (delivery.status, delivery.recreated) == (Status.SENT, True)
    assert paths(connector)[-1] == activities_of(alex.next_id)


def test_over_http_nothing_is_mended_and_the_caller_told(alex, services, connector):
    connector.fail(404, "ConversationNotFound", when=is_send)

    with pytest.raises(ConnectorError):
        send_activity(SendRequest.from_json({**alex.message, **NEWS}), services)

    assert alex.account.conversation == OneToOne(alex.first_id)
    assert len(connector.requests) == 1


@pytest.mark.parametrize(
    ("status", "code"), [(404, "ConversationNotFound"), (403, "BotNotInConversationRoster")]
)
def test_of_a_group_nothing_is_mended_and_nobody_marked(worker, services, connector, status, code):
    group = Conversation("19:group", "msteams", f"{connector.url}/amer/", is_group=True, bot=BOT)
    services.conversations.put(group)
    connector.fail_always(status, code)

    deliveries = [worker.send({"conversationId": "19:group"}) for _ in range(2)]

    assert [each.code for each in deliveries] == [code] * 2
    assert len(connector.requests) == 2
    assert services.conversations.find("19:group") == group


def test_a_start_that_says_something_is_mended_as_well(worker, alex, connector):
    connector.fail(404, "ConversationNotFound", when=is_send)

    worker.handle({**alex.start, **NEWS}, START_CONVERSATION, message_id="start-1")
    worker.run()

    assert paths(connector) == [activities_of(alex.first_id), ""]
    assert connector.requests[1].json["activity"]["text"] == "News"
    delivery = worker.services.deliveries.find("start-1")
    assert (delivery.status, delivery.recreated, delivery.attempts) == (Status.SENT, True, 2)


# 403: not installed, blocked


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


@pytest.fixture
def blocked(alex):
    """Somebody who has blocked the bot, with a probe due."""
    alex.change(blocked=True, probe_at=datetime.now(UTC) - timedelta(seconds=1))
    return alex


def test_a_probe_that_comes_through_lifts_the_mark(worker, blocked, connector):
    deliveries = [worker.send(blocked.message) for _ in range(2)]

    assert [each.status for each in deliveries] == [Status.SENT] * 2
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
        return connector_call(destination, services, queued, is_probe=True)

    with call("order-7") as probe:
        assert probe.connector
        with pytest.raises(UnsentError) as caught, call("order-8") as other:
            assert other.connector
    assert isinstance(caught.value.error, SuppressedError)


@pytest.mark.parametrize("why", ["it is done", "somebody else makes it", "it is too late"])
def test_without_a_call_no_probe_is_used_up(worker, blocked, connector, why):
    services, now = worker.services, datetime.now(UTC)
    message = {**blocked.message, **NEWS, "id": "order-7"}
    if why == "it is too late":
        claims_of_long_ago = DeliveryStore(
            services.storage,
            services.settings.app_id,
            PersonalKeys(services.storage),
            services.failures,
            give_up_ambiguous=False,
            clock=lambda: datetime.now(UTC) - timedelta(seconds=11),
        )
        worker.handle(message, services=replace(services, deliveries=claims_of_long_ago))
    else:
        theirs = Delivery("order-7", Status.SENDING, now, now, posting="7")
        claim = services.deliveries.claim(theirs, seconds=60, is_new=True)
        if why == "it is done":
            services.deliveries.settle(claim, replace(theirs, status=Status.SENT))
        worker.handle(message, message_id="7")
    assert connector.requests == []

    assert worker.send(blocked.message).status is Status.SENT


@pytest.mark.parametrize("times", [1, 20], ids=["once", "for a while"])
def test_a_probe_is_not_lost_with_an_answer_of_storage(
    app_settings, queue_reader, blocked, connector, monkeypatch, times
):
    monkeypatch.setattr("azure.core.pipeline.transport.HttpTransport.sleep", lambda *_: None)
    lost: list[object] = []

    def is_taken(request):
        taken = request.method == "PUT" and "/accounts(" in request.path and not connector.requests
        if taken and len(lost) < times:
            lost.append(request)
            return True
        return False

    with LossyStorage(app_settings["AzureWebJobsStorage"]) as lossy:
        settings = {**app_settings, "AzureWebJobsStorage": lossy.connection_string}
        worker = Worker(Services.of(Settings.from_environment(settings)), queue_reader)
        for _ in range(times):
            lossy.lose_answer(is_taken)

        worker.send({**blocked.message, "id": "order-7"})
        while worker.waits():
            worker.run()

    assert 1 <= len(lost) <= times
    delivery = blocked.services.deliveries.find("order-7")
    assert (delivery.status, delivery.attempts) == (Status.SENT, 1)
    assert blocked.account.blocked is False


def test_a_probe_that_has_to_wait_is_still_one_when_it_comes_back(worker, blocked, connector):
    connector.fail(503, "ServiceError", headers={"Retry-After": "0"})

    delivery = worker.send(blocked.message)

    assert (delivery.status, delivery.attempts) == (Status.SENT, 2)
    assert blocked.account.blocked is False


def test_a_probe_is_for_queues_alone(services, blocked, connector):
    with pytest.raises(SuppressedError):
        send_activity(SendRequest.from_json({**blocked.message, **NEWS}), services)

    assert connector.requests == []
    assert blocked.account.probe_at < datetime.now(UTC)


def test_no_probe_reaches_a_person_who_said_stop(worker, blocked, connector):
    blocked.change(preferences={"muted": True})

    assert worker.send(blocked.message).status is Status.SUPPRESSED
    assert connector.requests == []


def test_a_start_that_says_something_may_be_the_probe(worker, blocked):
    worker.handle({**blocked.start, **NEWS}, START_CONVERSATION, message_id="start-1")

    assert worker.services.deliveries.find("start-1").status is Status.SENT
    assert blocked.account.blocked is False


def test_a_message_that_was_sent_as_a_probe_is_sent_though_nothing_can_be_noted(
    app_settings, queue_reader, blocked, connector, monkeypatch
):
    monkeypatch.setattr("urllib3.Retry.sleep", lambda *_: None)

    def is_noted(request):
        return request.method == "PUT" and "/accounts(" in request.path and connector.requests

    with LossyStorage(app_settings["AzureWebJobsStorage"]) as lossy:
        settings = {**app_settings, "AzureWebJobsStorage": lossy.connection_string}
        worker = Worker(Services.of(Settings.from_environment(settings)), queue_reader)
        lossy.answer(503, {}, times=math.inf, when=is_noted)

        delivery = worker.send(blocked.message)

    assert (delivery.status, delivery.ambiguous) == (Status.SENT, False)
    assert len(connector.requests) == 1
    assert blocked.account.blocked


# 403 InvalidBotApiHost


def hosts(connector):
    return [request.path.partition("/v3/")[0] for request in connector.requests]


def test_the_government_community_is_reached_by_its_own_service_url(worker, alex, connector):
    connector.fail(403, "InvalidBotApiHost", when=lambda request: "/amer/" in request.path)

    deliveries = [worker.send(each) for each in (alex.message, alex.to_first)]

    assert [each.status for each in deliveries] == [Status.SENT] * 2
    assert hosts(connector) == ["/amer", "/gcc", "/gcc"]
    assert alex.account.service_url == f"{connector.url}/gcc/"
    moved = worker.services.conversations.find(alex.first_id)
    assert (moved.bot, moved.user_id, moved.tenant_id) == (BOT, alex.user_id, "tenant")
    assert deliveries[0].attempts == 2


def test_a_start_goes_by_the_service_url_of_the_government_community(worker, connector):
    user_id = unique("29:sam")
    connector.fail(403, "InvalidBotApiHost", when=lambda request: "/teams/" in request.path)

    delivery = worker.send({"recipient": {"channelId": "msteams", "userId": user_id}})

    assert delivery.status is Status.SENT
    assert hosts(connector) == ["/teams", "/gcc", "/gcc"]


def test_a_service_url_that_is_wrong_a_second_time_fails(worker, alex, connector):
    connector.fail_always(403, "InvalidBotApiHost")

    delivery = worker.send(alex.message)

    assert (delivery.status, delivery.code) == (Status.PERMANENT_FAILURE, "InvalidBotApiHost")
    assert hosts(connector) == ["/amer", "/gcc"]
    assert worker.waits() == 0


def test_a_service_url_that_is_not_trusted_is_not_stored(services, queue_reader, alex, connector):
    cloud = replace(PUBLIC, community_service_url="https://gcc.example/teams")
    untrusting = replace(services, settings=replace(services.settings, cloud=cloud))
    connector.fail(403, "InvalidBotApiHost")

    delivery = Worker(untrusting, queue_reader).send(alex.message)

    assert delivery.status is Status.PERMANENT_FAILURE
    assert alex.account.service_url == f"{connector.url}/amer/"


# Of an edit or a recall


def edit(worker, alex):
    """Have an edit in the person's first conversation handled; return its record."""
    body = {**alex.to_first, "activityId": "7", **NEWS}
    return worker.services.deliveries.find(worker.handle(body, UPDATE_ACTIVITY))


def test_an_edit_where_the_conversation_is_gone_mends_nothing(worker, alex, connector):
    before = alex.account
    connector.fail_always(404, "ConversationNotFound")

    delivery = edit(worker, alex)

    assert (delivery.status, delivery.code) == (Status.PERMANENT_FAILURE, "ConversationNotFound")
    assert (delivery.attempts, delivery.recreated) == (1, False)
    assert alex.account == before
    assert worker.waits(UPDATE_ACTIVITY) == worker.waits(START_CONVERSATION) == 0


@pytest.mark.parametrize("has_left", [False, True])
def test_an_edit_that_is_refused_marks_a_person_who_is_still_there(
    worker, alex, connector, has_left
):
    if has_left:
        alex.change(conversation=None, former_conversation_ids=(alex.first_id,))
    connector.fail(403, "BotNotInConversationRoster")

    assert edit(worker, alex).status is Status.PERMANENT_FAILURE

    assert alex.account.installed is (None if has_left else False)


# Of a person who was forgotten


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (201, "none: the probe reaches them"),
        (403, "MessageWritesBlocked"),
        (404, "ConversationNotFound"),
        (403, "InvalidBotApiHost"),
    ],
)
def test_nobody_comes_back_who_was_forgotten_in_the_middle_of_a_call(
    worker, blocked, services, connector, status, code
):
    if status != 201:
        connector.fail_always(status, code)
    connector.block(times=1)
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(worker.handle, {**blocked.message, **NEWS})
        connector.wait_for_waiting(1)
        services.accounts.erase("msteams", blocked.user_id)
        connector.release()
        sent.result(PATIENCE_SECONDS)

    assert services.accounts.get("msteams", blocked.user_id) is None


def test_a_conversation_of_long_ago_leads_to_nobody_any_more(alex, services):
    ids = [unique("a:old") for _ in range(21)]
    for each in ids:
        services.conversations.put(Conversation(each, "msteams", "https://x", user_id=alex.user_id))
        services.accounts.change_or_make(
            "msteams", alex.user_id, lambda stored, left=each: stored.account.having_left(left)
        )

    with pytest.raises(UnknownConversationError):
        services.conversations.find(ids[0])
    assert services.conversations.find(ids[1]).user_id == alex.user_id
