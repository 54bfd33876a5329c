from datetime import UTC, datetime, timedelta

import pytest

from shared.accounts.account import Account, OneToOne
from shared.accounts.conversations import Conversation
from shared.accounts.erasure import erase
from shared.deliveries.delivery import Status
from shared.errors import (
    DeliveryNotRetriableError,
    ForgottenRecipientError,
    InvalidRequestError,
)
from shared.messages.envelope import SEND_ACTIVITY, START_CONVERSATION
from shared.wire_models import ChannelAccount
from tests.support.builders import unique
from tests.support.connector import is_start
from tests.support.worker import Worker
from TrackDelivery.request import FailureQuery
from TrackDelivery.service import find_delivery, list_failures, retry_delivery

BOT = ChannelAccount(id="28:bot")


@pytest.fixture
def worker(services, queue_reader):
    return Worker(services, queue_reader)


@pytest.fixture
def user_id(services, connector):
    """Somebody who has an account and a conversation."""
    user_id = unique("29:alex")
    account = Account(
        "msteams",
        user_id,
        bot=BOT,
        service_url=f"{connector.url}/amer/",
        conversation=OneToOne(f"a:{user_id}"),
    )
    services.accounts.change("msteams", user_id, lambda _stored: account)
    return user_id


@pytest.fixture
def message(user_id):
    return {
        "id": "order-7",
        "recipient": {"channelId": "msteams", "userId": user_id},
        "activity": {"text": "News"},
    }


@pytest.fixture
def failed(worker, message, connector):
    """A message that failed, as the cause is now gone."""
    connector.fail(400, "BadSyntax", headers={"MS-CV": "abc.1"})
    return worker.send(message)


def query(**params):
    return FailureQuery.from_params(params)


# Finding


def test_a_message_that_was_sent_tells_all_of_it(worker, message, user_id, services):
    worker.send(message)

    body = find_delivery("order-7", services).to_json()

    moments = [datetime.fromisoformat(body.pop(name)) for name in ("createdAt", "updatedAt")]
    assert moments == sorted(moments)
    assert body == {
        "id": "order-7",
        "status": "sent",
        "channelId": "msteams",
        "recipient": {"channelId": "msteams", "userId": user_id},
        "conversationId": f"a:{user_id}",
        "attempts": 1,
        "activityId": "activity-1",
    }


def test_a_message_that_failed_says_why(failed, services):
    body = find_delivery("order-7", services).to_json()

    assert (body["status"], body["code"]) == ("permanent-failure", "BadSyntax")
    assert body["detail"] == "The Connector answered 400 BadSyntax"
    assert body["correlationId"] == "abc.1"


def test_a_message_to_a_group_has_no_recipient(worker, services, connector):
    services.conversations.put(
        Conversation("19:group", "msteams", f"{connector.url}/amer/", is_group=True, bot=BOT)
    )

    worker.send({"id": "order-7", "conversationId": "19:group"})

    body = find_delivery("order-7", services).to_json()
    assert body["conversationId"] == "19:group"
    assert "recipient" not in body


# Listing


def test_what_failed_is_listed_until_it_is_put_back(failed, worker, message, services):
    worker.send({**message, "id": "order-8"})

    [listed], token = list_failures(query(), services)
    assert (listed.id, listed.code, token) == ("order-7", "BadSyntax", None)
    assert listed.to_json()["recipient"] == message["recipient"]

    retry_delivery("order-7", services)

    assert list_failures(query(), services) == ([], None)


def test_failures_are_listed_in_pages(worker, message, services, connector):
    connector.fail_always(400, "BadSyntax")
    for number in range(5):
        worker.send({**message, "id": f"order-{number}"})

    ids, token = [], None
    while True:
        params = {"pageSize": "2", **({"continuationToken": token} if token else {})}
        page, token = list_failures(query(**params), services)
        assert len(page) <= 2
        ids += [each.id for each in page]
        if token is None:
            break

    assert sorted(ids) == [f"order-{number}" for number in range(5)]


def test_only_what_failed_since_then_is_listed_by_our_own_tokens(failed, services):
    soon = datetime.now(UTC) + timedelta(seconds=1)

    assert list_failures(query(since=soon.isoformat()), services) == ([], None)
    for token in ("!", "bm9uc2Vuc2U="):
        with pytest.raises(InvalidRequestError) as caught:
            list_failures(query(continuationToken=token), services)
        assert caught.value.field_errors[0].field == "continuationToken"


# Putting back


def test_what_failed_is_put_back_whole_and_sent(failed, worker, services, connector):
    accepted = retry_delivery("order-7", services)

    assert accepted.status is Status.ACCEPTED
    assert accepted.code is None
    found = services.deliveries.find("order-7")
    assert (found.status, found.code, found.detail) == (Status.ACCEPTED, None, None)

    worker.run()

    found = services.deliveries.find("order-7")
    assert (found.status, found.attempts, found.code) == (Status.SENT, 2, None)
    assert found.created_at == failed.created_at
    assert connector.requests[-1].json["text"] == "News"


def test_what_failed_again_is_kept_again(failed, worker, services, connector):
    connector.fail(413, "MessageSizeTooBig")
    retry_delivery("order-7", services)
    worker.run()

    found = services.deliveries.find("order-7")
    assert (found.status, found.code, found.attempts) == (
        Status.PERMANENT_FAILURE,
        "MessageSizeTooBig",
        2,
    )
    retry_delivery("order-7", services)
    worker.run()
    assert services.deliveries.find("order-7").status is Status.SENT


def test_a_message_that_failed_as_its_start_failed_is_put_back_with_it(worker, services, connector):
    connector.fail(400, "BadSyntax", when=is_start)
    recipient = {"channelId": "msteams", "userId": unique("29:sam")}
    worker.send({"id": "order-7", "recipient": recipient})
    assert len(worker.failures(START_CONVERSATION)) == 1

    retry_delivery("order-7", services)
    worker.run()

    assert services.deliveries.find("order-7").status is Status.SENT
    assert connector.requests[-1].json["text"] == "News"


def test_a_message_that_was_too_old_has_a_new_life(worker, services, message, connector):
    long_ago = datetime.now(UTC) - timedelta(hours=25)
    connector.fail(503, "ServiceError")
    worker.send(message, inserted_at=long_ago)
    assert services.deliveries.find("order-7").status is Status.TEMPORARY_FAILURE

    retry_delivery("order-7", services)
    connector.fail(503, "ServiceError", headers={"Retry-After": "0"})
    worker.run()

    assert services.deliveries.find("order-7").status is Status.SENT


@pytest.mark.parametrize("first", ["retry", "redrive"])
def test_retried_and_redriven_too_it_is_sent_once(failed, worker, services, connector, first):
    sent_before = len(connector.requests)
    if first == "retry":
        retry_delivery("order-7", services)
    assert services.queues.redrive(SEND_ACTIVITY)
    if first == "redrive":
        retry_delivery("order-7", services)
    worker.run()

    assert len(connector.requests) == sent_before + 1
    assert services.deliveries.find("order-7").status is Status.SENT
    assert worker.failures() == []


def test_only_what_failed_and_is_not_on_its_way_can_be_put_back(
    failed, worker, services, message, user_id
):
    retry_delivery("order-7", services)
    with pytest.raises(DeliveryNotRetriableError, match="accepted"):
        retry_delivery("order-7", services)
    assert worker.waits() == 1
    worker.run()
    with pytest.raises(DeliveryNotRetriableError, match="sent"):
        retry_delivery("order-7", services)
    account = Account("msteams", user_id, preferences={"muted": True})
    services.accounts.change("msteams", user_id, lambda _stored: account)
    worker.send({**message, "id": "order-8"})
    with pytest.raises(DeliveryNotRetriableError, match="suppressed"):
        retry_delivery("order-8", services)


def test_what_is_no_json_object_would_fail_again(worker, services):
    worker.handle("not JSON", message_id="message-1")

    with pytest.raises(DeliveryNotRetriableError):
        retry_delivery("message-1", services)

    assert worker.waits() == 0


def test_a_message_without_its_recipient_is_gone(failed, worker, services, user_id):
    erase("msteams", user_id, services.accounts, services.conversations)

    assert "recipient" not in find_delivery("order-7", services).to_json()
    with pytest.raises(ForgottenRecipientError):
        retry_delivery("order-7", services)
    assert worker.waits() == 0
