"""Firing and resolved in any order, while a host dies; and events while storage is down."""

import random
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest

from local.azurite import azurite
from shared.settings import SENDERS
from tests.flows.alerts import deliveries
from tests.flows.events import follow, generic, incidents, post, shown
from tests.flows.running_app import QUEUES, THREADS, AppStorage, new_user, running_app
from tests.ReceiveEvent.recorded import RECORDED
from tests.support.waiting import until

pytestmark = pytest.mark.soak

EVENTS = "receive-event"
PATIENCE_SECONDS = 600
PAIRS = 200
SEED = 16
# A claim of who died is over soon.
SOON = {"ConnectorTimeoutSeconds": "5"}
SHORT_LEASES = ("--lease-seconds", "6")


def test_each_card_ends_as_resolved_though_ends_come_first_and_a_host_dies(
    tmp_path, storage, connector, identity
):
    topic, order = "storm", random.Random(SEED)
    pairs = [
        [
            generic(status, key=f"{n}", title=f"Pair-{n}.", startsAt="2026-03-01T12:00:00Z")
            for status in ("firing", "resolved")
        ]
        for n in range(PAIRS)
    ]
    for pair in order.sample(pairs, PAIRS // 2):
        pair.reverse()
    order.shuffle(pairs)
    first, second = (
        [{"sender": "generic", "query": {"interest": topic}, "body": said} for said in half]
        for half in zip(*pairs, strict=True)
    )

    with (
        running_app(tmp_path / "one", storage, connector, identity, *SHORT_LEASES) as dying,
        running_app(tmp_path / "two", storage, connector, identity, *SHORT_LEASES, **SOON) as app,
    ):
        readers = [follow(app, topic, new_user()) for _ in range(2)]
        app.enqueue(EVENTS, *first)
        connector.wait_for(PAIRS // 4)
        app.enqueue(EVENTS, *second[: PAIRS // 2])
        connector.wait_for(PAIRS // 2)
        dying.host.process.kill()
        app.enqueue(EVENTS, *second[PAIRS // 2 :])
        until(storage.is_drained, seconds=PATIENCE_SECONDS)

        found = incidents(app)
        told = [each["alertId"] for each in found if "alertId" in each]
        resent = {
            each for each in told if any(sent.get("ambiguous") for sent in deliveries(app, each))
        }

    cards = defaultdict(list)
    for conversation, said in shown(connector):
        [alert_id] = {each["alertId"] for each in found if each["title"] in said}
        cards[conversation, alert_id].append("Resolved after" in said)
    sys.stdout.write(f"{len(cards)} cards; {len(resent)} alerts with a send that was cut off\n")
    assert (len(found), {each["state"] for each in found}) == (PAIRS, {"resolved"})
    assert {conversation for conversation, _ in cards} == {*readers}
    # Of a call that was cut off nobody knows whether it sent a card, and which: that one stays.
    assert {alert_id for (_, alert_id), ends in cards.items() if len(ends) > 1} <= resent
    assert {alert_id for (_, alert_id), ends in cards.items() if not all(ends)} <= resent
    assert all(storage.take_poison(queue) == [] for queue in QUEUES)


def test_while_storage_is_down_each_sender_is_told_to_come_again(tmp_path, connector, identity):
    with ExitStack() as stack:
        running = stack.enter_context(azurite(log=tmp_path / "azurite.log"))
        with closing(AppStorage(running.connection_string)) as storage:
            for queue in QUEUES:
                storage.make_queue(queue)
            with running_app(tmp_path / "app", storage, connector, identity) as app:
                before = post(app, "generic/firing.json", "news").status
                stack.close()
                with ThreadPoolExecutor(THREADS) as senders:
                    answers = senders.map(lambda name: post(app, name, "news"), RECORDED)
                    statuses = dict(zip(RECORDED, (each.status for each in answers), strict=True))

    handshakes = {"event-grid/schema-validation.json", "github/ping.json"}
    assert before == 202
    assert {name.partition("/")[0] for name in statuses} == {*SENDERS}
    assert statuses == {name: 200 if name in handshakes else 503 for name in RECORDED}
