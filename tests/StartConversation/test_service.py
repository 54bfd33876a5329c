import math
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.accounts.account import Account, OneToOne
from shared.accounts.conversations import Conversation
from shared.alerts.alert import Alert
from shared.connector.errors import ConnectorError
from shared.deliveries.delivery import Status
from shared.errors import (
    BotCredentialError,
    ConversationNotSupportedError,
    ConversationStartingError,
    GroupConversationNotSupportedError,
    InvalidRequestError,
    SuppressedError,
    UnknownConversationError,
    UntrustedServiceUrlError,
)
from shared.messages.envelope import Envelope
from shared.messages.queue_names import START_CONVERSATION
from shared.settings import Settings
from shared.throttling.lane import Lane
from shared.throttling.pacer import Slot
from shared.wire_models import ChannelAccount
from shared.wiring import Services
from StartConversation.request import StartRequest
from StartConversation.service import start_conversation
from tests.support.builders import TENANT_ID, on_its_way, unique
from tests.support.connector import is_start
from tests.support.lossy_storage import LossyStorage
from tests.support.worker import Worker

ALEX = {"id": "29:alex", "name": "Alex"}
KNOWN: dict[str, Any] = {
    "name": "Alex from the cache",
    "tenant_id": "their tenant",
    "bot": ChannelAccount(id="28:cached", name="News"),
}
TEAMS_CHANNEL = {"channel": {"id": "19:news@thread.tacv2"}}


@pytest.fixture
def start(services):
    """Starts a conversation; ``services`` are those of another instance or bot."""

    def run(services=services, wait_seconds=30.0, **body):
        request = StartRequest.from_json({"members": [ALEX], **body})
        return start_conversation(request, services, wait_seconds=wait_seconds)

    return run


def know(services, **fields):
    """Cache an account of Alex."""
    account = Account("msteams", "29:alex", **fields)
    services.accounts.change_or_make("msteams", "29:alex", lambda _stored: account)


def cached(services, channel_id="msteams", user_id="29:alex"):
    stored = services.accounts.get(channel_id, user_id)
    return stored and stored.account


# One conversation with one person


def test_a_conversation_is_started_with_what_the_settings_know(start, services, connector):
    started = start(topicName="News Alert", channelId="msteams", unknown=1)

    [request] = connector.requests
    bot_id = f"28:{services.settings.app_id}"
    assert str(request) == "POST /teams/v3/conversations"
    assert request.json == {
        "isGroup": False,
        "bot": {"id": bot_id},
        "members": [ALEX],
        "topicName": "News Alert",
        "tenantId": TENANT_ID,
        "channelData": {"tenant": {"id": TENANT_ID}},
    }
    assert started.conversation == Conversation(
        connector.conversation_id("29:alex"),
        channel_id="msteams",
        service_url=f"{connector.url}/teams/",
        bot=ChannelAccount(id=bot_id),
        tenant_id=TENANT_ID,
        user_id="29:alex",
    )
    assert (started.activity_id, started.from_cache) == (None, False)
    # It is cached with its person.
    account = cached(services)
    assert services.conversations.find(started.conversation.id) == started.conversation
    assert account.conversation == OneToOne(started.conversation.id)
    assert (account.name, account.tenant_id) == ("Alex", TENANT_ID)
    assert account.bot == started.conversation.bot
    assert account.service_url == started.conversation.service_url


def test_what_is_known_of_the_person_completes_the_request(start, services, connector):
    know(services, **KNOWN, service_url=f"{connector.url}/amer/their-tenant/")

    start(members=[{"id": "29:alex"}])
    start(bot={"id": "28:other"}, startNew=True)

    completed, with_another_bot = connector.requests
    assert completed.path == "/amer/their-tenant/v3/conversations"
    assert completed.json["members"] == [{"id": "29:alex", "name": "Alex from the cache"}]
    assert completed.json["bot"] == {"id": "28:cached", "name": "News"}
    assert completed.json["tenantId"] == "their tenant"
    assert with_another_bot.json["bot"] == {"id": "28:other"}


def test_what_the_request_says_wins(start, services, connector):
    know(services, **KNOWN, service_url=f"{connector.url}/amer/")

    start(
        bot={"id": "28:cached", "name": "Other news"},
        tenantId="another",
        serviceUrl=f"{connector.url}/emea/",
        channelData={"tenant": {"id": "a third"}, "x": 1},
    )

    [request] = connector.requests
    assert request.path == "/emea/v3/conversations"
    assert request.json["members"] == [ALEX]
    assert request.json["bot"] == {"id": "28:cached", "name": "Other news"}
    assert request.json["tenantId"] == "another"
    assert request.json["channelData"] == {"tenant": {"id": "a third"}, "x": 1}


def test_another_channel_may_be_the_default_and_has_no_tenant(start, app_settings, connector):
    settings = Settings.from_environment({**app_settings, "DefaultChannelId": "telegram"})

    started = start(services=Services.of(settings))
    start(services=Services.of(settings), startNew=True, tenantId="theirs")

    assert started.conversation.channel_id == "telegram"
    assert [call.json.get("tenantId") for call in connector.requests] == [None, "theirs"]
    assert not any("channelData" in call.json for call in connector.requests)


# Once


def test_a_second_start_makes_no_call_but_one_look_up_and_answers_the_same(
    start, connector, storage_calls
):
    connector.answer(201, {"id": "a:1", "activityId": "7"}, when=is_start)
    first = start(activity={"text": "News"})
    storage_calls()

    second = start()

    assert len(storage_calls()) == len(connector.requests) == 1
    assert second.from_cache
    assert second.activity_id == first.activity_id == "7"
    assert second.conversation.id == first.conversation.id
    assert second.conversation.service_url == first.conversation.service_url


def test_an_activity_for_an_existing_conversation_is_sent_where_the_connector_said(
    start, services, connector
):
    connector.answer(201, {"id": "a:1", "serviceUrl": f"{connector.url}/emea/"})
    first = start()

    second = start(activity={"text": "News"})

    _, request = connector.requests
    assert request.path == "/emea/v3/conversations/a%3A1/activities"
    assert request.json["text"] == "News"
    assert request.json["from"] == {"id": first.conversation.bot.id}
    assert (second.activity_id, second.from_cache) == ("activity-1", False)
    assert second.conversation.id == first.conversation.id
    assert first.conversation.service_url == cached(services).service_url


def test_a_new_one_is_started_when_that_is_asked_for(start, services, connector):
    connector.answer(201, {"id": "a:1"})
    connector.answer(201, {"id": "a:2"})

    start()
    started = start(startNew=True)

    assert (started.conversation.id, started.from_cache) == ("a:2", False)
    account = cached(services)
    assert account.conversation.id == "a:2"
    assert account.former_conversation_ids == ("a:1",)


def test_however_the_id_of_the_bot_is_written_it_has_one_conversation(start, connector):
    first = start(bot={"id": "12345678"})

    for bot_id in ("28:12345678", "12345678"):
        again = start(bot={"id": bot_id})
        assert (again.conversation.id, again.from_cache) == (first.conversation.id, True)
    assert len(connector.requests) == 1


def test_however_many_start_at_once_by_either_id_there_is_one_call(start, services, connector):
    know(services, aad_object_id="object-of-alex")
    connector.block(when=is_start)
    with ThreadPoolExecutor(6) as pool:
        ids = ["29:alex", "object-of-alex"] * 3
        calls = [pool.submit(start, members=[{"id": each}]) for each in ids]
        connector.wait_for_waiting(1)
        connector.release()
        started = [call.result(30) for call in calls]

    assert len(connector.requests) == 1
    assert len({each.conversation.id for each in started}) == 1
    assert sorted(each.from_cache for each in started) == [False] + [True] * 5


def test_of_many_who_start_with_an_activity_each_sends_it(start, connector):
    connector.block(times=1, when=is_start)
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(start, activity={"text": str(number)}) for number in range(4)]
        connector.wait_for_waiting(1)
        connector.release()
        for call in calls:
            call.result(30)

    texts = [
        request.json["activity"]["text"] if is_start(request) else request.json["text"]
        for request in connector.requests
    ]
    assert [is_start(request) for request in connector.requests] == [True, False, False, False]
    assert sorted(texts) == ["0", "1", "2", "3"]


def test_who_does_not_wait_is_told_that_it_is_starting_and_others_need_not_wait(
    start, services, connector
):
    connector.block(times=1)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(start)
        connector.wait_for_waiting(1)
        # The next call of the tenant is a probe, and that is not used up by who only waits.
        now = datetime.now(UTC)
        services.pacer.refused(Slot(Lane.of(connector.url, TENANT_ID), now), now)
        with pytest.raises(ConversationStartingError):
            start(wait_seconds=0)
        other = start(members=[{"id": "29:megan"}], wait_seconds=0)
        connector.release()
        first.result(30)

    assert other.conversation.id == connector.conversation_id("29:megan")
    assert len(connector.requests) == 2


def test_a_start_that_failed_leaves_nothing_and_can_be_tried_again_at_once(
    start, services, connector
):
    connector.fail(503, "ServiceError")

    with pytest.raises(ConnectorError):
        start(wait_seconds=0)

    assert cached(services) is None
    assert start(wait_seconds=0).conversation.id == connector.conversation_id("29:alex")


@pytest.fixture
def lossy(app_settings, connector):
    """Services with which no account can be written once the Connector was called."""
    with LossyStorage(app_settings["AzureWebJobsStorage"]) as storage:
        settings = {**app_settings, "AzureWebJobsStorage": storage.connection_string}
        storage.answer(
            400, times=math.inf, when=lambda call: connector.requests and "/accounts" in call.path
        )
        yield Services.of(Settings.from_environment(settings))


def test_a_start_that_cannot_be_cached_is_a_start_over_http(start, lossy, connector, caplog):
    assert start(services=lossy).conversation.id == connector.conversation_id("29:alex")

    assert "could not be cached" in caplog.text


def test_a_start_that_cannot_be_cached_may_be_made_twice_from_a_queue(lossy, queue_reader):
    worker = Worker(lossy, queue_reader)

    worker.handle({"members": [ALEX]}, START_CONVERSATION, message_id="start-1")

    delivery = lossy.deliveries.find("start-1")
    assert (delivery.status, delivery.code) == (Status.TECHNICAL_FAILURE, "StorageRefused")
    assert (delivery.ambiguous, delivery.attempts) == (True, 1)


def test_who_was_erased_during_the_call_does_not_come_back(start, services, connector):
    know(services, name="Alex")
    connector.block(times=1)
    with ThreadPoolExecutor(1) as pool:
        started = pool.submit(start)
        connector.wait_for_waiting(1)
        services.accounts.erase("msteams", "29:alex")
        connector.release()
        conversation = started.result(30).conversation

    assert cached(services) is None
    with pytest.raises(UnknownConversationError):
        services.conversations.find(conversation.id)


@pytest.mark.parametrize("table", ["accounts", "conversations"])
def test_what_is_left_of_a_start_that_could_not_be_cached_is_erased_or_mended(
    start, services, app_settings, connector, table
):
    know(services, name="Alex")
    conversation_id = connector.conversation_id("29:alex")
    with LossyStorage(app_settings["AzureWebJobsStorage"]) as storage:
        settings = {**app_settings, "AzureWebJobsStorage": storage.connection_string}
        is_written = f"/{table}("
        storage.answer(
            400,
            times=math.inf,
            when=lambda call: call.method == "PUT" and is_written in call.path,
        )
        start(services=Services.of(Settings.from_environment(settings)))

    if table == "conversations":
        services.accounts.change("msteams", "29:alex", lambda stored: stored.account)
        assert services.conversations.find(conversation_id).user_id == "29:alex"
    services.accounts.erase("msteams", "29:alex")
    with pytest.raises(UnknownConversationError):
        services.conversations.find(conversation_id)


def test_a_start_from_a_queue_is_recorded_with_its_conversation(services, queue_reader, connector):
    worker = Worker(services, queue_reader)

    for message_id in ("start-1", "start-2"):
        worker.handle({"members": [ALEX]}, START_CONVERSATION, message_id=message_id)

        delivery = services.deliveries.find(message_id)
        assert delivery.status is Status.SENT
        assert delivery.destination.conversation_id == connector.conversation_id("29:alex")
        assert delivery.destination.user_id == "29:alex"
    assert len(connector.requests) == 1


def test_a_start_is_not_made_for_an_alert_that_was_cancelled(services, queue_reader, connector):
    now = datetime.now(UTC)
    alert = Alert(unique("alert"), now, now, "", "", cancelled_at=now)
    services.alerts.create(alert)
    envelope = Envelope(id="order-7", accepted_at=now, alert=alert.id, then={"id": "order-7"})
    message = on_its_way(services, START_CONVERSATION, {"members": [ALEX]}, envelope)

    Worker(services, queue_reader).handle(message, START_CONVERSATION)

    delivery = services.deliveries.find("order-7")
    assert (delivery.status, delivery.attempts) == (Status.CANCELLED, 0)
    assert connector.requests == []


def test_without_a_token_nothing_is_leased_and_nobody_called(
    start, connector, identity, storage_calls
):
    identity.answer(400, {"message": "No managed identity is assigned."}, times=9)

    with pytest.raises(BotCredentialError):
        start()

    assert connector.requests == []
    assert not any("leases" in call for call in storage_calls())


# Groups


def test_a_group_is_always_started_anew(start, services, connector):
    body = {
        "isGroup": True,
        "channelId": "my-channel",
        "serviceUrl": connector.url,
        "members": [ALEX, {"id": "29:megan"}],
    }

    first = start(**body)
    second = start(**body)

    assert first.conversation.id != second.conversation.id
    assert (first.conversation.is_group, first.conversation.user_id) == (True, None)
    assert services.conversations.find(first.conversation.id) == first.conversation
    assert cached(services, "my-channel") is None
    assert connector.requests[0].json["members"] == body["members"]


@pytest.mark.parametrize(
    "account",
    [{"preferences": {"muted": True}}, {"blocked": True}],
    ids=lambda each: next(iter(each)),
)
def test_a_group_of_one_is_that_person_who_may_want_nothing(
    start, services, connector, queue_reader, account
):
    alex = Account("my-channel", ALEX["id"], service_url=connector.url, **account)
    services.accounts.change_or_make("my-channel", ALEX["id"], lambda _stored: alex)
    group = {"isGroup": True, "channelId": "my-channel", "activity": {"text": "News"}}
    worker = Worker(services, queue_reader)

    with pytest.raises(SuppressedError):
        start(**group, members=[ALEX])
    message_id = worker.handle({**group, "members": [ALEX]}, START_CONVERSATION)

    assert services.deliveries.find(message_id).status is Status.SUPPRESSED
    assert connector.requests == []
    start(**group, members=[ALEX, {"id": "29:megan"}])
    assert len(connector.requests) == 1


def test_a_thread_in_a_teams_channel_starts_with_its_message(start, connector):
    started = start(isGroup=True, members=[], channelData=TEAMS_CHANNEL, activity={"text": "News"})

    [request] = connector.requests
    assert request.json["isGroup"] is True
    assert request.json["activity"] == {"type": "message", "text": "News"}
    assert request.json["channelData"] == {**TEAMS_CHANNEL, "tenant": {"id": TENANT_ID}}
    assert "members" not in request.json
    assert started.activity_id


# What is refused


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"channelId": "webchat"}, ConversationNotSupportedError),
        ({"isGroup": True}, GroupConversationNotSupportedError),
        ({"serviceUrl": "https://evil.example/"}, UntrustedServiceUrlError),
    ],
)
def test_what_can_be_told_beforehand_is_refused_before_anything_else(
    start, connector, identity, storage_calls, body, error
):
    with pytest.raises(error):
        start(**body)

    assert connector.requests == identity.requests == storage_calls() == []


@pytest.mark.parametrize(
    ("is_group", "code"),
    [(False, "ConversationNotSupported"), (True, "GroupConversationNotSupported")],
)
def test_a_channel_that_says_it_cannot_is_believed(start, connector, is_group, code):
    connector.fail(405, "MethodNotAllowed")

    with pytest.raises(ConnectorError) as caught:
        start(channelId="my-channel", serviceUrl=connector.url, isGroup=is_group)

    assert (caught.value.status, caught.value.code) == (422, code)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"activity": {"text": "x" * 60_000}}, "activity.text"),
        ({"channelData": {"x": "x" * 60_000}}, "channelData"),
        ({"bot": {"id": "28:bot", "x": "x" * 20_000}}, "bot.x"),
        ({"isGroup": True, "members": [], "channelData": TEAMS_CHANNEL}, "activity"),
    ],
)
def test_what_is_too_large_or_lacks_is_named_and_nothing_is_sent(start, connector, body, field):
    with pytest.raises(InvalidRequestError) as caught:
        start(**body)

    assert [error.field for error in caught.value.field_errors] == [field]
    assert connector.requests == []
