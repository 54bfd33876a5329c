from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from shared.accounts.account import Account, OneToOne
from shared.accounts.conversations import Conversation
from shared.connector.errors import ConnectorError, ConnectorRejectedError
from shared.errors import (
    BotCredentialError,
    ConversationNotSupportedError,
    ConversationStartingError,
    GroupConversationNotSupportedError,
    InvalidRequestError,
    RequestTooLargeError,
    UnknownConversationError,
    UntrustedServiceUrlError,
)
from shared.settings import Settings
from shared.wire_models import ChannelAccount
from shared.wiring import Services
from StartConversation.request import StartRequest
from StartConversation.service import start_conversation
from tests.support.builders import TENANT_ID
from tests.support.connector import is_send, is_start

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
    services.accounts.change("msteams", "29:alex", lambda _stored: account)


def cached(services, channel_id="msteams", user_id="29:alex"):
    stored = services.accounts.get(channel_id, user_id)
    return stored and stored.account


# One conversation with one person


def test_a_conversation_is_started_with_what_the_settings_know(start, services, connector):
    started = start(topicName="News Alert")

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
    assert started.activity_id is None
    assert not started.from_cache


def test_a_started_conversation_is_cached_with_its_person(start, services):
    started = start()

    account = cached(services)
    assert services.conversations.find(started.conversation.id) == started.conversation
    assert account.conversation == OneToOne(started.conversation.id)
    assert account.name == "Alex"
    assert account.bot == started.conversation.bot
    assert account.service_url == started.conversation.service_url
    assert account.tenant_id == TENANT_ID


def test_what_is_known_of_the_person_completes_the_request(start, services, connector):
    know(services, **KNOWN, service_url=f"{connector.url}/amer/their-tenant/")

    start(members=[{"id": "29:alex"}])

    [request] = connector.requests
    assert request.path == "/amer/their-tenant/v3/conversations"
    assert request.json["members"] == [{"id": "29:alex", "name": "Alex from the cache"}]
    assert request.json["bot"] == {"id": "28:cached", "name": "News"}
    assert request.json["tenantId"] == "their tenant"


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


def test_the_name_of_a_known_bot_is_not_given_to_another(start, services, connector):
    know(services, bot=ChannelAccount(id="28:cached", name="News"))

    start(bot={"id": "28:other"})

    assert connector.requests[0].json["bot"] == {"id": "28:other"}


def test_the_tenant_of_the_settings_is_for_teams_only(start, connector):
    start(channelId="telegram", serviceUrl=connector.url)

    [request] = connector.requests
    assert "tenantId" not in request.json
    assert "channelData" not in request.json


def test_without_any_tenant_teams_is_asked_all_the_same(start, app_settings, connector):
    settings = Settings.from_environment({**app_settings, "MicrosoftAppTenantId": ""})

    start(services=Services.of(settings))

    assert "tenantId" not in connector.requests[0].json


def test_the_default_channel_is_a_setting(start, app_settings, connector):
    settings = Settings.from_environment({**app_settings, "DefaultChannelId": "telegram"})

    started = start(services=Services.of(settings))

    assert started.conversation.channel_id == "telegram"


def test_the_connector_gets_only_fields_that_it_knows(start, connector):
    start(startNew=True, channelId="msteams", serviceUrl=connector.url, unknown=1)

    assert set(connector.requests[0].json) == {
        "isGroup",
        "bot",
        "members",
        "tenantId",
        "channelData",
    }


# Once


def test_a_second_start_makes_no_call_and_answers_the_same(start, connector):
    connector.answer(201, {"id": "a:1", "activityId": "7"}, when=is_start)

    first = start(activity={"text": "News"})
    second = start()

    assert len(connector.requests) == 1
    assert second.from_cache
    assert second.activity_id == first.activity_id == "7"
    assert second.conversation.id == first.conversation.id
    assert second.conversation.service_url == first.conversation.service_url


def test_a_second_start_is_one_look_up(start, storage_calls):
    start()
    storage_calls()

    start()

    assert len(storage_calls()) == 1


def test_an_activity_for_an_existing_conversation_is_sent_there(start, connector):
    first = start()

    second = start(activity={"text": "News"})

    _, request = connector.requests
    assert request.path.startswith("/teams/v3/conversations/a%3Achat-with-29%3Aalex/activities")
    assert request.json["text"] == "News"
    assert request.json["from"] == {"id": first.conversation.bot.id}
    assert (second.activity_id, second.from_cache) == ("activity-1", False)
    assert second.conversation.id == first.conversation.id


def test_a_new_one_is_started_when_that_is_asked_for(start, services, connector):
    connector.answer(201, {"id": "a:1"})
    connector.answer(201, {"id": "a:2"})

    start()
    started = start(startNew=True)

    assert started.conversation.id == "a:2"
    assert not started.from_cache
    assert cached(services).conversation.id == "a:2"


def test_however_the_id_of_the_bot_is_written_it_has_one_conversation(start, connector):
    first = start(bot={"id": "12345678"})

    for bot_id in ("28:12345678", "12345678"):
        again = start(bot={"id": bot_id})
        assert (again.conversation.id, again.from_cache) == (first.conversation.id, True)
    assert len(connector.requests) == 1


def test_a_person_is_known_on_one_channel_only(start, connector):
    start()

    start(channelId="telegram", serviceUrl=connector.url)

    assert len(connector.requests) == 2


def test_however_many_start_at_once_there_is_one_call(start, connector):
    connector.block(when=is_start)
    with ThreadPoolExecutor(6) as pool:
        calls = [pool.submit(start) for _ in range(6)]
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


def test_who_does_not_wait_is_told_that_it_is_starting(start, connector):
    connector.block(when=is_start)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(start)
        connector.wait_for_waiting(1)
        with pytest.raises(ConversationStartingError):
            start(wait_seconds=0)
        connector.release()
        first.result(30)

    assert len(connector.requests) == 1


def test_starts_of_different_people_do_not_wait_for_each_other(start, connector):
    connector.block(times=1)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(start)
        connector.wait_for_waiting(1)
        other = start(members=[{"id": "29:megan"}], wait_seconds=0)
        connector.release()
        first.result(30)

    assert other.conversation.id == connector.conversation_id("29:megan")


@pytest.mark.parametrize("status", [400, 403, 500, 503])
def test_a_start_that_failed_can_be_tried_again_at_once(start, connector, status):
    connector.fail(status, "SomeCode")

    with pytest.raises(ConnectorError):
        start(wait_seconds=0)

    assert start(wait_seconds=0).conversation.id == connector.conversation_id("29:alex")


def test_nothing_is_cached_of_a_start_that_failed(start, services, connector):
    connector.fail(403, "ForbiddenOperationException")

    with pytest.raises(ConnectorRejectedError):
        start()

    assert cached(services) is None


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
    assert first.conversation.is_group
    assert first.conversation.user_id is None
    assert services.conversations.find(first.conversation.id) == first.conversation
    assert cached(services, "my-channel") is None
    assert connector.requests[0].json["members"] == body["members"]


def test_a_thread_in_a_teams_channel_starts_with_its_message(start, connector):
    started = start(isGroup=True, members=[], channelData=TEAMS_CHANNEL, activity={"text": "News"})

    [request] = connector.requests
    assert request.json["isGroup"] is True
    assert request.json["activity"] == {"type": "message", "text": "News"}
    assert request.json["channelData"] == {**TEAMS_CHANNEL, "tenant": {"id": TENANT_ID}}
    assert "members" not in request.json
    assert started.activity_id


def test_a_thread_in_a_teams_channel_needs_a_message(start, connector):
    with pytest.raises(InvalidRequestError) as caught:
        start(isGroup=True, members=[], channelData=TEAMS_CHANNEL)

    assert caught.value.field_errors[0].field == "activity"
    assert connector.requests == []


# What is refused


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"channelId": "webchat"}, ConversationNotSupportedError),
        ({"channelId": "directline", "isGroup": True}, ConversationNotSupportedError),
        ({"channelId": "msteams", "isGroup": True}, GroupConversationNotSupportedError),
        ({"channelId": "slack", "isGroup": True}, GroupConversationNotSupportedError),
    ],
)
def test_what_a_channel_is_known_not_to_do_is_refused_before_any_call(
    start, connector, identity, body, error
):
    with pytest.raises(error):
        start(**body)

    assert connector.requests == identity.requests == []


@pytest.mark.parametrize("status", [405, 501])
@pytest.mark.parametrize(
    ("is_group", "error"),
    [(False, ConversationNotSupportedError), (True, GroupConversationNotSupportedError)],
)
def test_a_channel_that_says_it_cannot_is_believed(start, connector, status, is_group, error):
    connector.fail(status, "MethodNotAllowed", headers={"MS-CV": "abc.1"})

    with pytest.raises(error):
        start(channelId="my-channel", serviceUrl=connector.url, isGroup=is_group)

    assert len(connector.requests) == 1


@pytest.mark.parametrize("url", ["https://evil.example/", "", "no url"])
def test_an_untrusted_service_url_is_refused_before_anything_else(
    start, connector, identity, storage_calls, url
):
    with pytest.raises(UntrustedServiceUrlError):
        start(serviceUrl=url)

    assert connector.requests == identity.requests == []
    assert storage_calls() == []


def test_a_service_url_that_is_no_longer_trusted_gets_no_token(
    start, services, connector, identity
):
    know(services, service_url="https://was-trusted.example/")

    with pytest.raises(UntrustedServiceUrlError):
        start()

    assert identity.requests == []


def test_a_trusted_service_url_in_the_answer_is_used_from_then_on(start, services, connector):
    connector.answer(201, {"id": "a:1", "serviceUrl": f"{connector.url}/emea/"})

    started = start()
    start(activity={"text": "News"})

    assert started.conversation.service_url == f"{connector.url}/emea/"
    assert cached(services).service_url == f"{connector.url}/emea/"
    assert connector.requests[1].path.startswith("/emea/v3/")


@pytest.mark.parametrize("url", ["https://evil.example/", "string"])
def test_an_untrusted_service_url_in_the_answer_is_ignored(start, services, connector, url):
    connector.answer(201, {"id": "a:1", "serviceUrl": url})

    started = start()

    assert started.conversation.service_url == f"{connector.url}/teams/"
    assert cached(services).service_url == f"{connector.url}/teams/"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"activity": {"text": "x" * 60_000}}, "activity.text"),
        ({"channelData": {"x": "x" * 60_000}}, "channelData"),
        ({"bot": {"id": "28:bot", "x": "x" * 20_000}}, "bot.x"),
    ],
)
def test_what_is_too_large_is_named_and_nothing_is_sent(start, connector, body, field):
    with pytest.raises(RequestTooLargeError) as caught:
        start(**body)

    assert [error.field for error in caught.value.field_errors] == [field]
    assert connector.requests == []


def test_the_activity_of_a_start_is_only_sent_once(start, connector):
    start(activity={"text": "News"})

    assert [is_send(request) for request in connector.requests] == [False]


def test_of_many_conversations_started_anew_the_oldest_is_forgotten_altogether(
    start, services, connector
):
    for number in range(22):
        connector.set_conversation_id("29:alex", f"a:{number}")
        start(startNew=True)

    stored = services.accounts.get("msteams", "29:alex")
    assert len(stored.account.former_conversation_ids) == 20
    assert stored.account.former_conversation_ids[0] == "a:1"
    with pytest.raises(UnknownConversationError):
        services.conversations.find("a:0")
    assert services.conversations.find("a:1").user_id == "29:alex"


def test_starts_under_both_ids_of_a_person_make_one_call(start, services, connector):
    know(services, aad_object_id="object-of-alex")
    connector.block(when=is_start)
    with ThreadPoolExecutor(2) as pool:
        starts = [
            pool.submit(start, members=[{"id": member_id}])
            for member_id in ("29:alex", "object-of-alex")
        ]
        connector.wait_for_waiting(1)
        connector.release()
        ids = {each.result().conversation.id for each in starts}

    assert len(connector.requests) == len(ids) == 1
