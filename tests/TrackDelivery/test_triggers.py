"""What becomes of messages, and putting back what failed: as it is asked for over HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.functions.timer import TimerRequest

from shared.accounts.conversations import Conversation
from shared.deliveries.delivery import Status
from shared.messages.queue_names import SEND_ACTIVITY, START_CONVERSATION
from shared.sending.redrive import put_back_poison
from tests.shared.sending.person import BOT, NEWS, Person
from tests.support.builders import answer_of, http_request, unique
from tests.support.connector import is_start
from tests.support.worker import Worker
from TrackDelivery.triggers import (
    get_delivery_http,
    list_deliveries_http,
    remove_old_records,
    retry_delivery_http,
)

ID = "order/7 ü"
ID_IN_PATH = "order%2F7 ü"


@pytest.fixture
def worker(deployed, queue_reader):
    return Worker(deployed, queue_reader)


@pytest.fixture
def alex(deployed, connector):
    return Person(deployed, connector)


@pytest.fixture
def message(alex):
    return {"id": ID, **alex.message, **NEWS}


@pytest.fixture
def failed(worker, message, connector):
    """A message that failed, as the cause is now gone."""
    connector.fail(400, "BadSyntax", headers={"MS-CV": "abc.1"})
    return worker.send(message)


def get(delivery_id, **params):
    return get_delivery_http(http_request("GET", route={"id": delivery_id}, params=params))


def retry(delivery_id):
    return retry_delivery_http(http_request("POST", route={"id": delivery_id}))


def list_page(**params):
    return answer_of(list_deliveries_http(http_request("GET", params=params)))


def refusal(response):
    status, problem = answer_of(response)
    return status, problem["code"]


# Finding and listing


def test_a_message_that_was_sent_tells_all_of_it(worker, message, alex):
    worker.send(message)

    status, body = answer_of(get(ID_IN_PATH))

    assert (status, body) == answer_of(get("-", id=ID))
    moments = [datetime.fromisoformat(body.pop(name)) for name in ("createdAt", "updatedAt")]
    assert moments == sorted(moments)
    assert (status, body) == (
        200,
        {
            "id": ID,
            "status": "sent",
            "channelId": "msteams",
            **alex.message,
            "conversationId": alex.first_id,
            "attempts": 1,
            "activityId": "activity-1",
        },
    )


def test_a_message_to_a_group_has_no_recipient(worker, deployed, connector):
    deployed.conversations.put(
        Conversation("19:group", "msteams", f"{connector.url}/amer/", is_group=True, bot=BOT)
    )

    worker.send({"id": ID, "conversationId": "19:group", "activity": {"text": "News"}})

    body = answer_of(get(ID_IN_PATH))[1]
    assert body["conversationId"] == "19:group"
    assert "recipient" not in body


def test_what_failed_says_why_and_is_listed_until_it_is_put_back(failed, worker, message):
    worker.send({**message, "id": "order-8"})

    [listed] = list_page()[1]["deliveries"]
    assert listed == answer_of(get(ID_IN_PATH))[1]
    assert (listed["id"], listed["status"], listed["code"]) == (
        ID,
        "permanent-failure",
        "BadSyntax",
    )
    assert listed["detail"] == "The Connector answered 400 BadSyntax"
    assert listed["correlationId"] == "abc.1"
    assert listed["recipient"] == message["recipient"]
    retry(ID_IN_PATH)

    assert list_page() == (200, {"deliveries": []})


def test_failures_are_listed_in_pages_since_a_moment(worker, message, connector):
    connector.fail_always(400, "BadSyntax")
    for number in range(3):
        failed = worker.send({**message, "id": f"order-{number}"})

    page: dict[str, Any] = {"continuationToken": None}
    ids: list[str] = []
    while "continuationToken" in page:
        token = {"continuationToken": page["continuationToken"]} if ids else {}
        status, page = list_page(pageSize="2", **token)
        assert status == 200
        assert len(page["deliveries"]) <= 2
        ids += [each["id"] for each in page["deliveries"]]
    assert sorted(ids) == ["order-0", "order-1", "order-2"]
    after = (failed.updated_at + timedelta(seconds=1)).isoformat()
    assert list_page(since=after)[1]["deliveries"] == []


def test_what_is_asked_for_wrongly_is_named(deployed):
    for field, value in [
        ("since", "yesterday"),
        ("continuationToken", "!"),
        ("continuationToken", "bm9uc2Vuc2U="),
        ("status", "sent"),
    ]:
        status, problem = list_page(**{field: value})
        assert (status, problem["code"]) == (400, "InvalidRequest")
        assert [each["field"] for each in problem["errors"]] == [field]
    for ask in (get, retry):
        assert refusal(ask("order-8")) == (404, "UnknownDelivery")


# Putting back


def test_what_failed_is_put_back_whole_and_sent(failed, worker, deployed, connector):
    response = retry(ID_IN_PATH)

    status, body = answer_of(response)
    assert (status, body["status"], body["id"]) == (202, "accepted", ID)
    assert "code" not in body
    assert response.headers["Location"] == "/api/deliveries/order%2F7%20%C3%BC"
    # What is on its way already is not put back.
    assert refusal(retry(ID_IN_PATH)) == (409, "DeliveryNotRetriable")
    assert worker.waits() == 1
    worker.run()

    found = deployed.deliveries.find(ID)
    assert (found.status, found.attempts, found.code) == (Status.SENT, 2, None)
    assert found.created_at == failed.created_at
    assert connector.requests[-1].json["text"] == "News"


def test_a_message_that_failed_as_its_start_failed_is_put_back_with_it(
    worker, deployed, message, connector
):
    connector.fail(400, "BadSyntax", when=is_start)
    worker.send({**message, "recipient": {"channelId": "msteams", "userId": unique("29:sam")}})
    assert len(worker.failures(START_CONVERSATION)) == 1

    retry(ID_IN_PATH)
    worker.run()

    assert deployed.deliveries.find(ID).status is Status.SENT
    assert connector.requests[-1].json["text"] == "News"


def test_a_message_that_was_too_old_has_a_new_life(worker, deployed, message, connector):
    connector.fail(503, "ServiceError")
    worker.send(message, inserted_at=datetime.now(UTC) - timedelta(hours=25))
    assert deployed.deliveries.find(ID).status is Status.TEMPORARY_FAILURE

    retry(ID_IN_PATH)
    connector.fail(503, "ServiceError", headers={"Retry-After": "0"})
    worker.run()

    assert deployed.deliveries.find(ID).status is Status.SENT


@pytest.mark.parametrize("first", ["retry", "redrive"])
def test_retried_and_redriven_too_it_is_sent_once(failed, worker, deployed, connector, first):
    sent_before = len(connector.requests)
    if first == "retry":
        retry(ID_IN_PATH)
    assert put_back_poison(SEND_ACTIVITY, deployed)
    if first == "redrive":
        retry(ID_IN_PATH)
    worker.run()

    assert len(connector.requests) == sent_before + 1
    assert deployed.deliveries.find(ID).status is Status.SENT
    assert worker.failures() == []


def test_what_is_not_kept_any_more_is_gone(failed, deployed):
    deployed.failures.forget(failed.id, failed.failed_on, until=failed.updated_at)

    assert refusal(retry(ID_IN_PATH)) == (410, "ForgottenRecipient")


def test_the_timer_leaves_what_is_young(failed, deployed):
    remove_old_records(TimerRequest())

    assert deployed.deliveries.find(failed.id).status is Status.PERMANENT_FAILURE
