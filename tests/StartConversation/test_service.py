"""What a start asks of the Connector, and what it is refused for."""

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
    GroupConversationNotSupportedError,
    InvalidRequestError,
    SuppressedError,
    UntrustedServiceUrlError,
)
from shared.messages.envelope import Envelope
from shared.messages.queue_names import START_CONVERSATION
from shared.settings import Settings
from shared.wire_models import ChannelAccount
from shared.wiring import Services
from tests.StartConversation.starting import ALEX, cached, know
from tests.support.builders import TENANT_ID, on_its_way, unique
from tests.support.worker import Worker

KNOWN: dict[str, Any] = {
    "name": "Alex from the cache",
    "tenant_id": "their tenant",
    "bot": ChannelAccount(id="28:cached", name="News"),
}
TEAMS_CHANNEL = {"channel": {"id": "19:news@thread.tacv2"}}


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
