"""The bot's credential expires in the middle of many messages, and is renewed after a while."""

import json
import math
import re
from collections import Counter

from tests.flows.people import remember_all
from tests.flows.running_app import QUEUES, SENDING, THREADS
from tests.support.waiting import until

MESSAGES = 300
SENT_BEFORE = 100
# A probe comes once a minute.
PATIENCE_SECONDS = 120


def test_everything_waits_for_the_credential_and_nothing_is_lost(app, connector, identity):
    users = remember_all(app, MESSAGES)
    app.begin()
    is_renewed = False

    def is_expired(_=None):
        return len(app.calls) > SENT_BEFORE and not is_renewed

    connector.fail_always(401, "Unauthorized", when=is_expired)
    identity.answer(400, {"statusCode": 400, "message": "Gone."}, times=math.inf, when=is_expired)
    app.enqueue(SENDING, *(message_for(user) for user in users))
    until(lambda: len(seen(app)) == MESSAGES)
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
    deliveries = [app.get(f"/api/deliveries/{delivery_id}").json() for delivery_id in seen(app)]
    assert [(each["status"], each["attempts"]) for each in deliveries] == [("sent", 1)] * MESSAGES
    # What an alert rule watches.
    assert "The Connector does not accept the bot's token" in app.host.log()


def message_for(user: str) -> dict[str, object]:
    recipient = {"channelId": "msteams", "userId": user}
    return {"recipient": recipient, "activity": {"text": user}}


def seen(app) -> set[str]:
    """The ids of all deliveries of which the log tells something."""
    lines = re.findall(r"shared\.outcomes outcome (\{.*\})", app.host.log())
    return {told["deliveryId"] for told in map(json.loads, lines) if "deliveryId" in told}
