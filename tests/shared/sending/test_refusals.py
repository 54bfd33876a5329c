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
from shared.accounts.erasure import erase
from shared.auth.clouds import PUBLIC
from shared.connector.errors import ConversationNotFoundError
from shared.deliveries.delivery import Status
from shared.errors import SuppressedError, UnknownConversationError
from shared.messages.envelope import DELETE_ACTIVITY, START_CONVERSATION, UPDATE_ACTIVITY
from shared.settings import Settings
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
def worker(services, queue_reader):
    return Worker(services, queue_reader)


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
        services.accounts.change("msteams", self.user_id, lambda _stored: account)
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

    @property
    def account(self):
        stored = self.services.accounts.get("msteams", self.user_id)
        assert stored is not None
        return stored.account

    def change(self, **fields):
        self.services.accounts.change(
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


@pytest.mark.parametrize("by", ["message", "to_first"])
def test_a_conversation_that_is_gone_is_started_again_once_and_the_message_sent(
    worker, alex, connector, by
):
    connector.fail(404, "ConversationNotFound", when=is_send)

    delivery = worker.send(getattr(alex, by))

    assert paths(connector) == [
        activities_of(alex.first_id),
        "",
        activities_of(alex.next_id),
    ]
    assert (delivery.status, delivery.activity_id) == (Status.SENT, "activity-1")
    assert delivery.recreated
    assert delivery.attempts == 3
    assert delivery.destination.conversation_id == alex.next_id
    assert worker.failures() == worker.failures(START_CONVERSATION) == []


def test_a_conversation_that_is_gone_again_fails(worker, alex, connector):
    connector.fail_always(404, "ConversationNotFound", when=is_send)

    delivery = worker.send(alex.message)

    assert paths(connector) == [
        activities_of(alex.first_id),
        "",
        activities_of(alex.next_id),
    ]
    assert (delivery.status, delivery.code) == (Status.PERMANENT_FAILURE, "ConversationNotFound")
    assert delivery.recreated
    [failed] = worker.failures()
    assert failed["failure"]["attempts"] == 3
    assert worker.waits() == worker.waits(START_CONVERSATION) == 0


def test_the_person_stays_though_the_conversation_goes(worker, alex, connector):
    before = alex.account
    connector.fail_always(404, "ConversationNotFound", when=is_send)
    connector.fail_always(502, "ServiceError", when=is_start)

    worker.handle({**alex.message, **NEWS})

    assert alex.account == replace(
        before, conversation=None, former_conversation_ids=(alex.first_id,)
    )


def test_the_old_id_goes_on_reaching_the_person(worker, alex, connector):
    connector.fail(404, "ConversationNotFound", when=is_send)
    worker.send(alex.message)

    later = worker.send(alex.to_first)
    over_http = send_activity(SendRequest.from_json({**alex.to_first, **NEWS}), worker.services)

    assert (later.status, later.recreated) == (Status.SENT, False)
    assert over_http.id == "activity-3"
    assert paths(connector)[-2:] == [activities_of(alex.next_id)] * 2


def test_an_old_id_that_the_account_does_not_know_reaches_the_person_too(worker, alex, connector):
    conversation = alex.services.conversations.find(alex.first_id)
    alex.change(conversation=None)
    alex.services.conversations.put(conversation)
    connector.fail(404, "ConversationNotFound", when=is_send)

    delivery = worker.send(alex.to_first)

    assert (delivery.status, delivery.recreated) == (Status.SENT, True)
    assert paths(connector)[-1] == activities_of(alex.next_id)


def test_over_http_nothing_is_healed_and_the_caller_told(alex, services, connector):
    connector.fail(404, "ConversationNotFound", when=is_send)

    with pytest.raises(ConversationNotFoundError):
        send_activity(SendRequest.from_json({**alex.message, **NEWS}), services)

    assert alex.account.conversation == OneToOne(alex.first_id)
    assert len(connector.requests) == 1


@pytest.mark.parametrize(
    "conversation_id", ["19:group@thread.v2", "19:channel@thread.tacv2;messageid=1"]
)
def test_a_group_or_a_thread_is_not_healed(worker, services, connector, conversation_id):
    services.conversations.put(
        Conversation(conversation_id, "msteams", f"{connector.url}/amer/", is_group=True, bot=BOT)
    )
    connector.fail(404, "ConversationNotFound")

    delivery = worker.send({"conversationId": conversation_id})

    assert (delivery.status, delivery.recreated) == (Status.PERMANENT_FAILURE, False)
    assert len(connector.requests) == 1
    assert services.conversations.find(conversation_id).id == conversation_id


def test_a_404_of_another_code_is_not_healed(worker, alex, connector):
    connector.fail(404, "ActivityNotFoundInConversation")

    delivery = worker.send(alex.message)

    assert delivery.status is Status.PERMANENT_FAILURE
    assert alex.account.conversation == OneToOne(alex.first_id)


def test_a_start_that_says_something_is_healed_as_well(worker, alex, connector):
    connector.fail(404, "ConversationNotFound", when=is_send)
    start = {"channelId": "msteams", "bot": {"id": "28:bot"}, "members": [{"id": alex.user_id}]}

    worker.handle({**start, **NEWS}, START_CONVERSATION, message_id="start-1")
    worker.run()

    assert paths(connector) == [activities_of(alex.first_id), ""]
    assert connector.requests[1].json["activity"]["text"] == "News"
    delivery = worker.services.deliveries.find("start-1")
    assert (delivery.status, delivery.recreated, delivery.attempts) == (Status.SENT, True, 2)
    assert worker.failures(START_CONVERSATION) == []


# 403: not installed, blocked

BLOCKED = ["ConversationBlockedByUser", "MessageWritesBlocked", "ForbiddenOperationException"]


@pytest.mark.parametrize(
    ("code", "installed", "blocked"),
    [("BotNotInConversationRoster", False, None), *((code, None, True) for code in BLOCKED)],
)
def test_who_is_out_of_reach_is_marked_and_gets_nothing_more(
    worker, alex, connector, code, installed, blocked
):
    connector.fail(403, code)
    before = datetime.now(UTC)

    first = worker.send(alex.message)
    second = worker.send(alex.message)

    assert (first.status, first.code) == (Status.PERMANENT_FAILURE, code)
    assert (second.status, second.attempts) == (Status.SUPPRESSED, 0)
    assert (alex.account.installed, alex.account.blocked) == (installed, blocked)
    assert alex.account.probe_at > before + timedelta(days=6.9)
    assert alex.account.conversation == OneToOne(alex.first_id)
    assert len(connector.requests) == 1
    assert len(worker.failures()) == 1


@pytest.mark.parametrize("code", ["NotEnoughPermissions", "SomethingElse", "BotDisabledByAdmin"])
def test_a_refusal_of_another_code_marks_nobody(worker, alex, connector, code):
    before = alex.account
    connector.fail(403, code)

    assert worker.send(alex.message).status is Status.PERMANENT_FAILURE

    assert alex.account == before


def test_a_group_that_the_bot_is_not_in_marks_nobody(worker, services, connector):
    services.conversations.put(
        Conversation("19:group", "msteams", f"{connector.url}/amer/", is_group=True, bot=BOT)
    )
    connector.fail_always(403, "BotNotInConversationRoster")

    deliveries = [worker.send({"conversationId": "19:group"}) for _ in range(2)]

    assert [each.status for each in deliveries] == [Status.PERMANENT_FAILURE] * 2
    assert len(connector.requests) == 2


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


def test_of_all_who_ask_when_a_probe_is_due_one_gets_it(worker, blocked, connector):
    connector.fail_always(403, "MessageWritesBlocked")

    deliveries = [worker.send(blocked.message) for _ in range(3)]

    assert [each.status for each in deliveries] == [
        Status.PERMANENT_FAILURE,
        Status.SUPPRESSED,
        Status.SUPPRESSED,
    ]
    assert len(connector.requests) == 1
    assert blocked.account.blocked
    assert blocked.account.probe_at > datetime.now(UTC) + timedelta(days=6.9)


def test_a_probe_that_has_to_wait_is_still_one_when_it_comes_back(worker, blocked, connector):
    connector.fail(503, "ServiceError", headers={"Retry-After": "0"})

    delivery = worker.send(blocked.message)

    assert (delivery.status, delivery.attempts) == (Status.SENT, 2)
    assert blocked.account.blocked is False


def test_a_probe_is_not_due_before_its_time(worker, alex, connector):
    alex.change(blocked=True, probe_at=datetime.now(UTC) + timedelta(minutes=1))

    assert worker.send(alex.message).status is Status.SUPPRESSED
    assert connector.requests == []


def test_who_was_seen_to_uninstall_gets_no_probe(worker, alex, connector):
    alex.change(installed=False, probe_at=None)

    assert worker.send(alex.message).status is Status.SUPPRESSED
    assert connector.requests == []


def test_a_probe_is_for_queues_alone(services, blocked, connector):
    with pytest.raises(SuppressedError):
        send_activity(SendRequest.from_json({**blocked.message, **NEWS}), services)

    assert connector.requests == []
    assert blocked.account.probe_at < datetime.now(UTC)


def test_a_probe_reaches_nobody_who_said_stop(worker, blocked, connector):
    blocked.change(preferences={"muted": True})

    assert worker.send(blocked.message).status is Status.SUPPRESSED
    assert connector.requests == []


def test_how_often_probes_go_out_is_a_setting(app_settings, queue_reader, connector):
    settings = Settings.from_environment({**app_settings, "BlockedProbeDays": "0"})
    worker = Worker(Services.of(settings), queue_reader)
    sam = Person(worker.services, connector)
    connector.fail(403, "MessageWritesBlocked", times=2)

    deliveries = [worker.send(sam.message) for _ in range(3)]

    assert [each.status for each in deliveries] == [
        Status.PERMANENT_FAILURE,
        Status.PERMANENT_FAILURE,
        Status.SENT,
    ]


def test_a_message_that_was_sent_as_a_probe_is_sent_though_nothing_can_be_noted(
    app_settings, queue_reader, blocked, connector, monkeypatch
):
    monkeypatch.setattr("azure.core.pipeline.transport.HttpTransport.sleep", lambda *_: None)

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


@pytest.fixture
def community(services, queue_reader, connector):
    """A worker in whose cloud the government community has a service URL of its own."""
    cloud = replace(PUBLIC, community_service_url=f"{connector.url}/gcc/")
    settings = replace(services.settings, cloud=cloud)
    return Worker(replace(services, settings=settings), queue_reader)


def hosts(connector):
    return [request.path.partition("/v3/")[0] for request in connector.requests]


@pytest.mark.parametrize("by", ["message", "to_first"])
def test_the_government_community_is_reached_by_its_own_service_url(community, alex, connector, by):
    connector.fail(403, "InvalidBotApiHost", when=lambda request: "/amer/" in request.path)

    deliveries = [community.send(getattr(alex, by)) for _ in range(2)]

    assert [each.status for each in deliveries] == [Status.SENT] * 2
    assert hosts(connector) == ["/amer", "/gcc", "/gcc"]
    assert alex.account.service_url == f"{connector.url}/gcc/"
    moved = community.services.conversations.find(alex.first_id)
    assert moved.service_url == f"{connector.url}/gcc/"
    assert (moved.bot, moved.user_id, moved.tenant_id) == (BOT, alex.user_id, "tenant")
    assert deliveries[0].attempts == 2


def test_a_start_goes_by_the_service_url_of_the_government_community(
    community, connector, app_settings
):
    user_id = unique("29:sam")
    connector.fail(403, "InvalidBotApiHost", when=lambda request: "/teams/" in request.path)

    delivery = community.send({"recipient": {"channelId": "msteams", "userId": user_id}})

    assert delivery.status is Status.SENT
    assert hosts(connector) == ["/teams", "/gcc", "/gcc"]
    stored = community.services.accounts.get("msteams", user_id)
    assert stored.account.service_url == f"{connector.url}/gcc/"


def test_a_service_url_that_is_wrong_a_second_time_fails(community, alex, connector):
    connector.fail_always(403, "InvalidBotApiHost")

    delivery = community.send(alex.message)

    assert (delivery.status, delivery.code) == (Status.PERMANENT_FAILURE, "InvalidBotApiHost")
    assert hosts(connector) == ["/amer", "/gcc"]
    assert community.waits() == 0
    assert len(community.failures()) == 1


def test_a_service_url_that_is_not_trusted_is_not_stored(services, queue_reader, alex, connector):
    cloud = replace(PUBLIC, community_service_url="https://gcc.example/teams")
    untrusting = replace(services, settings=replace(services.settings, cloud=cloud))
    connector.fail(403, "InvalidBotApiHost")

    delivery = Worker(untrusting, queue_reader).send(alex.message)

    assert delivery.status is Status.PERMANENT_FAILURE
    assert alex.account.service_url == f"{connector.url}/amer/"


# Of an edit or a recall

EDIT = {"activityId": "7", "activity": {"text": "News, corrected"}}
RECALL = {"activityId": "7"}
either_change = pytest.mark.parametrize(
    ("queue", "change"), [(UPDATE_ACTIVITY, EDIT), (DELETE_ACTIVITY, RECALL)]
)


def change_of(worker, body, queue):
    """Have a message of the queue handled to its end; return its record."""
    message_id = worker.handle(body, queue)
    worker.run()
    return worker.services.deliveries.find(message_id)


@either_change
def test_a_change_where_the_conversation_is_gone_heals_nothing(
    worker, alex, connector, queue, change
):
    before = alex.account
    connector.fail_always(404, "ConversationNotFound")

    delivery = change_of(worker, {**alex.to_first, **change}, queue)

    failures = [each["failure"]["code"] for each in worker.failures(queue)]
    if queue == UPDATE_ACTIVITY:
        assert (delivery.status, delivery.code) == (
            Status.PERMANENT_FAILURE,
            "ConversationNotFound",
        )
        assert failures == ["ConversationNotFound"]
    else:
        # That it be gone is what was wanted.
        assert (delivery.status, delivery.activity_id) == (Status.SENT, "7")
        assert failures == []
    assert (delivery.attempts, delivery.recreated) == (1, False)
    assert alex.account == before
    assert len(connector.requests) == 1
    assert worker.waits(queue) == worker.waits(START_CONVERSATION) == 0


@either_change
@pytest.mark.parametrize(
    ("code", "installed", "blocked"),
    [("BotNotInConversationRoster", False, None), *((code, None, True) for code in BLOCKED)],
)
def test_a_change_that_is_refused_marks_who_is_out_of_reach(
    worker, alex, connector, queue, change, code, installed, blocked
):
    connector.fail(403, code)

    delivery = change_of(worker, {**alex.to_first, **change}, queue)

    assert (delivery.status, delivery.code) == (Status.PERMANENT_FAILURE, code)
    assert (alex.account.installed, alex.account.blocked) == (installed, blocked)
    assert worker.send(alex.message).status is Status.SUPPRESSED
    assert len(connector.requests) == 1


@either_change
@pytest.mark.parametrize("code", ["BotNotInConversationRoster", "MessageWritesBlocked"])
def test_a_refusal_where_the_person_no_longer_is_marks_nobody(
    worker, alex, connector, queue, change, code
):
    alex.change(conversation=OneToOne(alex.next_id), former_conversation_ids=(alex.first_id,))
    before = alex.account
    connector.fail(403, code)

    delivery = change_of(worker, {**alex.to_first, **change}, queue)

    assert (delivery.status, delivery.code) == (Status.PERMANENT_FAILURE, code)
    assert alex.account == before
    assert worker.send(alex.message).status is Status.SENT


@either_change
def test_a_change_by_a_bot_that_is_disabled_pauses_the_tenant(
    worker, alex, connector, queue, change
):
    connector.fail(403, "BotDisabledByAdmin")

    delivery = change_of(worker, {**alex.to_first, **change}, queue)
    later = worker.send(alex.message)

    assert (delivery.status, delivery.code) == (Status.PERMANENT_FAILURE, "BotDisabledByAdmin")
    assert (later.status, later.attempts) == (Status.RETRYING, 0)
    assert len(connector.requests) == 1


@either_change
def test_a_change_goes_by_the_service_url_of_the_government_community(
    community, alex, connector, queue, change
):
    connector.fail(403, "InvalidBotApiHost", when=lambda request: "/amer/" in request.path)

    deliveries = [change_of(community, {**alex.to_first, **change}, queue) for _ in range(2)]

    assert [each.status for each in deliveries] == [Status.SENT] * 2
    assert hosts(connector) == ["/amer", "/gcc", "/gcc"]
    assert deliveries[0].attempts == 2


def test_nobody_comes_back_who_was_forgotten_in_the_middle_of_a_call(
    worker, alex, services, connector
):
    connector.fail(403, "ConversationBlockedByUser")
    connector.block(times=1)
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(worker.send, alex.message)
        connector.wait_for_waiting(1)
        erase("msteams", alex.user_id, services.accounts, services.conversations)
        connector.release()
        sent.result(PATIENCE_SECONDS)

    assert services.accounts.get("msteams", alex.user_id) is None


def test_a_person_is_led_to_by_so_many_old_ids_at_most_and_by_no_other(alex, services):
    ids = [unique("a:old") for _ in range(25)]
    for conversation_id in ids:
        services.conversations.put(
            Conversation(conversation_id, "msteams", "https://x", user_id=alex.user_id)
        )
        services.accounts.change(
            "msteams",
            alex.user_id,
            lambda stored, each=conversation_id: stored.account.having_left(each),
        )

    assert alex.account.former_conversation_ids == tuple(ids[-20:])
    for forgotten in ids[:5]:
        with pytest.raises(UnknownConversationError):
            services.conversations.find(forgotten)
    assert services.conversations.find(ids[-1]).user_id == alex.user_id
