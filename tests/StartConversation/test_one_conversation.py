"""A person has one conversation, whoever starts it, how often, and whatever fails meanwhile."""

import math
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.connector.errors import ConnectorError
from shared.deliveries.delivery import Status
from shared.errors import (
    ConversationStartingError,
    HeldBackError,
    UnknownConversationError,
)
from shared.messages.queue_names import START_CONVERSATION
from shared.storage.leases import Leases
from shared.throttling.lane import Lane
from shared.throttling.pacer import Slot
from tests.StartConversation.starting import ALEX, cached, know
from tests.support.builders import TENANT_ID, services_of
from tests.support.connector import is_start
from tests.support.lossy_storage import LossyStorage
from tests.support.waiting import PATIENCE_SECONDS
from tests.support.worker import Worker


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
        started = [call.result(PATIENCE_SECONDS) for call in calls]

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
            call.result(PATIENCE_SECONDS)

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
        first.result(PATIENCE_SECONDS)

    assert other.conversation.id == connector.conversation_id("29:megan")
    assert len(connector.requests) == 2


@pytest.mark.parametrize(("seconds_ago", "starts"), [(5, 1), (11, 0)])
def test_a_start_is_made_only_where_it_ends_before_somebody_else_may_make_it(
    start, services, connector, seconds_ago, starts
):
    slow = Leases(
        services.storage, clock=lambda: datetime.now(UTC) - timedelta(seconds=seconds_ago)
    )

    with nullcontext() if starts else pytest.raises(HeldBackError):
        start(services=replace(services, leases=slow))

    assert len(connector.requests) == starts


def test_a_start_that_failed_leaves_nothing_and_can_be_tried_again_at_once(
    start, services, connector
):
    connector.fail(503, "ServiceError")

    with pytest.raises(ConnectorError):
        start(wait_seconds=0)

    assert cached(services) is None
    assert start(wait_seconds=0).conversation.id == connector.conversation_id("29:alex")


def test_who_waits_for_a_start_that_fails_makes_it_themselves(start, connector):
    connector.fail(500, "ServiceError")
    connector.block(times=1)
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(start)]
        connector.wait_for_waiting(1)
        calls.append(pool.submit(start))
        connector.release()

        errors = [call.exception(30) for call in calls]
    assert [type(each) for each in errors] == [ConnectorError, type(None)]
    assert len(connector.requests) == 2


@pytest.fixture
def lossy(app_settings, connector):
    """Services with which no account can be written once the Connector was called."""
    with LossyStorage(app_settings["AzureWebJobsStorage"]) as storage:
        storage.answer(
            400, times=math.inf, when=lambda call: connector.requests and "/accounts" in call.path
        )
        yield services_of(app_settings, AzureWebJobsStorage=storage.connection_string)


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
        conversation = started.result(PATIENCE_SECONDS).conversation

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
        is_written = f"/{table}("
        storage.answer(
            400,
            times=math.inf,
            when=lambda call: call.method == "PUT" and is_written in call.path,
        )
        start(services=services_of(app_settings, AzureWebJobsStorage=storage.connection_string))

    if table == "conversations":
        services.accounts.change("msteams", "29:alex", lambda stored: stored.account)
        assert services.conversations.find(conversation_id).user_id == "29:alex"
    services.accounts.erase("msteams", "29:alex")
    with pytest.raises(UnknownConversationError):
        services.conversations.find(conversation_id)
