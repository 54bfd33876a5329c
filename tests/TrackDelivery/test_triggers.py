from datetime import UTC, datetime, timedelta

import pytest
from azure.functions import TimerRequest

from shared.accounts.conversations import Conversation
from shared.deliveries.delivery import Status
from tests.support.builders import answer_of, http_request
from tests.support.worker import Worker
from TrackDelivery.triggers import (
    get_delivery_http,
    list_deliveries_http,
    remove_old_records,
    retry_delivery_http,
)


@pytest.fixture
def worker(deployed, queue_reader, connector):
    deployed.conversations.put(Conversation("C1", "slack", f"{connector.url}/slack/"))
    return Worker(deployed, queue_reader)


@pytest.fixture
def failed(worker, connector):
    connector.fail(400, "BadSyntax")
    return worker.send({"id": "order/7 ü", "conversationId": "C1"})


def get(delivery_id, **params):
    return get_delivery_http(http_request("GET", route={"id": delivery_id}, params=params))


def retry(delivery_id):
    return retry_delivery_http(http_request("POST", route={"id": delivery_id}))


def list_page(**params):
    return answer_of(list_deliveries_http(http_request("GET", params=params)))


def test_a_delivery_is_found_by_its_id(failed):
    status, body = answer_of(get("order%2F7 ü"))

    assert (status, body["id"], body["status"]) == (200, "order/7 ü", "permanent-failure")
    assert answer_of(get("-", id="order/7 ü"))[1] == body


def test_an_unknown_delivery_is_not_found(deployed):
    for ask in (get, retry):
        status, problem = answer_of(ask("order-8"))
        assert (status, problem["code"]) == (404, "UnknownDelivery")


def test_a_failure_is_put_back_once(failed, worker):
    response = retry("order%2F7 ü")

    status, body = answer_of(response)
    assert (status, body["status"], body["id"]) == (202, "accepted", "order/7 ü")
    assert response.headers["Location"] == "/api/deliveries/order%2F7%20%C3%BC"
    assert "code" not in body
    worker.run()
    assert answer_of(get("order%2F7 ü"))[1]["status"] == "sent"
    status, problem = answer_of(retry("order%2F7 ü"))
    assert (status, problem["code"]) == (409, "DeliveryNotRetriable")


def test_what_is_not_kept_any_more_is_gone(failed, deployed):
    deployed.failures.forget(failed.id, failed.failed_on)

    status, problem = answer_of(retry("order%2F7 ü"))

    assert (status, problem["code"]) == (410, "ForgottenRecipient")


def test_failures_are_listed_in_pages_since_a_moment(worker, connector):
    assert list_page() == (200, {"deliveries": []})
    connector.fail_always(400, "BadSyntax")
    failed = [worker.send({"id": f"order-{n}", "conversationId": "C1"}) for n in range(3)]

    page: dict = {"continuationToken": None}
    ids: list[str] = []
    while "continuationToken" in page:
        token = {"continuationToken": page["continuationToken"]} if ids else {}
        status, page = list_page(pageSize="2", **token)
        assert status == 200
        assert len(page["deliveries"]) <= 2
        ids += [each["id"] for each in page["deliveries"]]
    assert sorted(ids) == ["order-0", "order-1", "order-2"]
    after = (failed[-1].updated_at + timedelta(seconds=1)).isoformat()
    assert list_page(since=after)[1]["deliveries"] == []


def test_what_is_asked_for_wrongly_is_named(deployed):
    for field, value in [("since", "yesterday"), ("continuationToken", "!"), ("status", "sent")]:
        status, problem = list_page(**{field: value})
        assert (status, problem["code"]) == (400, "InvalidRequest")
        assert [each["field"] for each in problem["errors"]] == [field]


def test_the_timer_leaves_what_is_young(failed, deployed):
    remove_old_records(TimerRequest())

    assert deployed.deliveries.find(failed.id).status is Status.PERMANENT_FAILURE
    assert deployed.deliveries.find(failed.id).created_at <= datetime.now(UTC)
