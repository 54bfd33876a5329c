"""What became of each message can be asked, and what failed can be put back."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from urllib.parse import quote
from uuid import uuid4

import pytest

from tests.flows.running_app import SENDING, new_tenant
from tests.local.host_process import PROJECT, environment
from tests.support.waiting import until

NAME = "Alex Wilber"


@pytest.fixture
def delivery_id():
    return f"order {uuid4()}"


def send(app, user, delivery_id, **more):
    recipient = {"channelId": "msteams", "userId": user}
    message = {"id": delivery_id, "recipient": recipient, "activity": {"text": "News"}, **more}
    app.enqueue(SENDING, message)
    app.settle()
    return message


def fail(app, connector, user, delivery_id):
    """Have a message fail for good, and return it."""
    connector.fail(400, "BadArgument", headers={"MS-CV": "correlated.0"})
    return send(app, user, delivery_id)


def redrive(app):
    """Put back what is poison, as an operator does it."""
    values = {"AzureWebJobsStorage": app.storage.connection_string}
    return subprocess.run(
        [sys.executable, "-m", "local", "redrive", SENDING],
        cwd=PROJECT,
        env=environment(app.host.app, {**app.host.settings, **values}),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def listed(app, since, size=100):
    """The ids of the failures since then, page by page; and how many pages that took."""
    path = f"/api/deliveries?pageSize={size}&since={quote(since.isoformat())}"
    page = app.get(path).json()
    ids, pages = [each["id"] for each in page["deliveries"]], 1
    while token := page.get("continuationToken"):
        page = app.get(f"{path}&continuationToken={quote(token)}").json()
        ids += [each["id"] for each in page["deliveries"]]
        pages += 1
    return ids, pages


def test_what_was_sent_is_told(app, user, conversation_id, delivery_id):
    before = datetime.now(UTC) - timedelta(seconds=1)

    send(app, user, delivery_id)

    delivery = app.delivery(delivery_id)
    times = [datetime.fromisoformat(delivery.pop(name)) for name in ("createdAt", "updatedAt")]
    assert delivery == {
        "id": delivery_id,
        "status": "sent",
        "channelId": "msteams",
        "recipient": {"channelId": "msteams", "userId": user},
        "conversationId": conversation_id,
        "attempts": 1,
        "activityId": delivery["activityId"],
    }
    assert delivery["activityId"].startswith("activity-")
    assert before < times[0] <= times[1]


def test_what_comes_too_late_is_expired(app, user, conversation_id, delivery_id):
    send(app, user, delivery_id, expiresAt="2020-01-01T00:00:00Z")

    assert app.delivery(delivery_id)["status"] == "expired"
    assert app.calls == []
    assert app.storage.take_poison(SENDING) == []


def test_failures_are_listed_in_pages(app, connector, user, conversation_id):
    ids = [f"failed {uuid4()}" for _ in range(5)]
    earlier = f"earlier {uuid4()}"
    fail(app, connector, user, earlier)
    since = datetime.now(UTC)
    for each in ids:
        fail(app, connector, user, each)
    send(app, user, f"sent {uuid4()}")

    found, pages = listed(app, since, size=2)

    assert sorted(found) == sorted(ids)
    assert pages >= 3
    assert earlier in listed(app, since - timedelta(hours=1))[0]
    assert len(app.storage.take_poison(SENDING)) == len(ids) + 1


def test_what_failed_is_told_with_the_reason_and_retried_whole_and_once(
    app, connector, user, conversation_id, delivery_id
):
    since = datetime.now(UTC)
    message = fail(app, connector, user, delivery_id)
    failed = app.delivery(delivery_id)
    [poison] = app.storage.take_poison(SENDING)
    assert (failed["status"], failed["code"]) == ("permanent-failure", "BadArgument")
    assert (failed["correlationId"], failed["attempts"]) == ("correlated.0", 1)
    assert (poison["message"], poison["failure"]["detail"]) == (message, failed["detail"])
    app.begin()

    retried = app.post(f"/api/deliveries/{quote(delivery_id)}/retry", {})
    app.settle()
    again = app.post(f"/api/deliveries/{quote(delivery_id)}/retry", {})
    app.settle()

    assert (retried.status, retried.json()["status"]) == (202, "accepted")
    assert app.get(retried.headers["Location"]).json()["status"] == "sent"
    assert (again.status, again.json()["code"]) == (409, "DeliveryNotRetriable")
    assert [call.json["text"] for call in app.calls] == ["News"]
    assert listed(app, since) == ([], 1)


@pytest.mark.parametrize("order", ["redriven and retried", "retried and redriven"])
def test_poison_is_redriven_and_sent_once(
    app, connector, user, conversation_id, delivery_id, order
):
    fail(app, connector, user, delivery_id)
    app.begin()

    for step in order.split(" and "):
        if step == "redriven":
            command = redrive(app)
            assert (command.returncode, command.stderr) == (0, "")
            assert "1 messages were put back" in command.stdout
        else:
            app.post(f"/api/deliveries/{quote(delivery_id)}/retry", {})
        app.settle()

    assert [call.json["text"] for call in app.calls] == ["News"]
    assert app.delivery(delivery_id)["status"] == "sent"
    assert app.storage.take_poison(SENDING) == []


def test_a_message_that_is_given_out_again_is_sent_once(app, user, conversation_id, delivery_id):
    message = send(app, user, delivery_id)

    app.enqueue(SENDING, message, message)
    app.settle()

    assert len(app.calls) == 1
    assert app.storage.take_poison(SENDING) == []


def test_a_message_that_is_given_out_twice_at_once_is_sent_once(
    app, connector, user, conversation_id, delivery_id
):
    connector.block(times=1)
    recipient = {"channelId": "msteams", "userId": user}
    message = {"id": delivery_id, "recipient": recipient, "activity": {"text": "News"}}

    app.enqueue(SENDING, message, message)
    until(lambda: '"code": "DeliveryUnderWay"' in app.host.log())
    connector.release()
    until(lambda: app.delivery(delivery_id)["status"] == "sent")

    assert len(app.calls) == 1
    # The other one has gone back until the claim is over.
    until(lambda: app.storage.length(SENDING) == 1)
    app.storage.empty(SENDING)


def test_nothing_tells_of_a_person_who_was_forgotten(app, connector, user):
    conversation_id, object_id = f"a:{uuid4()}", str(uuid4())
    app.remember(
        "msteams",
        user,
        name=NAME,
        aadObjectId=object_id,
        tenantId=new_tenant(),
        conversation={"id": conversation_id},
    )
    sent, failed, retried = (f"{what} {uuid4()}" for what in ("sent", "failed", "retried"))
    send(app, user, sent)
    fail(app, connector, user, failed)
    connector.fail(429, "Throttled", headers={"Retry-After": "0"})
    send(app, user, retried)
    account = f"/api/accounts/msteams/{quote(user, safe='')}"
    told = (user, user.split(":")[1], object_id, conversation_id, conversation_id[2:], NAME)
    assert any(each in app.storage.dump() for each in told)

    assert app.host.request("DELETE", account).status == 204

    dump = app.storage.dump()
    assert [each for each in told if each in dump] == []
    for each, status in ((sent, "sent"), (failed, "permanent-failure"), (retried, "sent")):
        delivery = app.delivery(each)
        assert (delivery["status"], delivery["channelId"]) == (status, "msteams")
        assert delivery.keys().isdisjoint({"recipient", "conversationId"})
    gone = app.post(f"/api/deliveries/{quote(failed)}/retry", {})
    assert (gone.status, gone.json()["code"]) == (410, "ForgottenRecipient")
    assert len(app.storage.take_poison(SENDING)) == 1
