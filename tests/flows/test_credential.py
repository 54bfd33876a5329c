"""The Connector refuses the bot's token, or there is none to be had."""

import json
import math
import re
from collections import Counter
from urllib.parse import unquote

import pytest

from tests.flows.people import remember_all
from tests.flows.running_app import QUEUES, SENDING, THREADS, new_tenant
from tests.support.waiting import until

MESSAGES = 300
SENT_BEFORE = 100
# A probe comes once a minute.
PATIENCE_SECONDS = 300


def message_for(user: str) -> dict[str, object]:
    recipient = {"channelId": "msteams", "userId": user}
    return {"id": user, "recipient": recipient, "activity": {"text": user}}


def test_a_tenant_that_refuses_the_token_holds_up_no_other(app, connector):
    # https://github.com/OfficeDev/Microsoft-Teams-Samples/issues/1762
    refused = remember_all(app, 20, tenantId=new_tenant())
    users = remember_all(app, 20, tenantId=new_tenant())
    app.begin()
    never = [*refused, users[-1]]
    connector.answer(
        401,
        {"message": "Authorization has been denied for this request."},
        times=math.inf,
        when=lambda call: any(user in unquote(call.path) for user in never),
    )
    app.enqueue(SENDING, *(message_for(user) for user in [*refused, *users]))
    until(lambda: {*users[:-1]} <= told(app, "sent") and users[-1] in told(app, "failed"))
    until(lambda: {*refused} <= seen(app))

    # Of the one tenant nothing was held back, and who was refused alone is the only one who failed.
    lines = [each for each in outcomes(app) if each.get("deliveryId") in users]
    assert {each["outcome"] for each in lines} == {"sent", "retried", "failed"}
    assert Counter(each["outcome"] for each in lines)["failed"] == 1
    assert app.delivery(users[-1])["attempts"] == 6
    # Of the other one nothing is lost, and nothing counts.
    deliveries = [app.delivery(user) for user in refused]
    assert {(each["status"], each["attempts"]) for each in deliveries} == {("retrying", 0)}
    assert "BotCredentialError" in {each["code"] for each in deliveries}
    assert len(app.storage.take_poison(SENDING)) == 1
    app.storage.empty(SENDING)


@pytest.mark.soak
def test_everything_waits_for_the_credential_and_nothing_is_lost(app, connector, identity):
    users = remember_all(app, MESSAGES)
    app.begin()
    is_renewed = False

    def is_expired(_=None):
        return len(app.calls) > SENT_BEFORE and not is_renewed

    connector.fail_always(401, "Unauthorized", when=is_expired)
    identity.answer(400, {"statusCode": 400, "message": "Gone."}, times=math.inf, when=is_expired)
    app.enqueue(SENDING, *(message_for(user) for user in users))
    until(lambda: len(seen(app) & {*users}) == MESSAGES)
    refused = app.calls[SENT_BEFORE:]
    asked = len(app.token_requests)
    is_renewed = True
    until(app.storage.is_drained, seconds=PATIENCE_SECONDS)

    sent = Counter(call.json["text"] for call in app.calls if call not in refused)
    assert sent == Counter(users)
    # Those that were on their way at that moment, and a probe or two; not each of the others.
    assert 0 < len(refused) <= THREADS + 2
    assert 0 < asked <= THREADS + 2
    assert len(app.token_requests) <= asked + 2
    for queue in QUEUES:
        assert app.storage.take_poison(queue) == []
    deliveries = [app.delivery(user) for user in users]
    assert [(each["status"], each["attempts"]) for each in deliveries] == [("sent", 1)] * MESSAGES
    # What an alert rule watches.
    assert "The Connector does not accept the bot's token" in app.host.log()


def outcomes(app) -> list[dict[str, object]]:
    """What the log tells of messages and calls."""
    return [json.loads(line) for line in re.findall(r"outcome (\{.*\})", app.host.log())]


def told(app, outcome: str) -> set[object]:
    """The ids of all deliveries that have ended so."""
    return {
        each["deliveryId"]
        for each in outcomes(app)
        if each["outcome"] == outcome and "deliveryId" in each
    }


def seen(app) -> set[object]:
    """The ids of all deliveries of which the log tells something."""
    return {each["deliveryId"] for each in outcomes(app) if "deliveryId" in each}
