"""Everything fails at once, and each message is accounted for all the same."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.parse import quote

import pytest

from local.azurite import azurite
from tests.flows.running_app import (
    AS_IN_AZURE,
    QUEUES,
    SENDING,
    THREADS,
    AppStorage,
    new_tenant,
    new_user,
    running_app,
)
from tests.support.faulty_connector import FaultyConnector
from tests.support.waiting import until

pytestmark = pytest.mark.soak

MESSAGES = 1000
# Of the people, so many have no conversation with the bot yet.
NEW_PEOPLE = 100
TENANTS = 20
KILLS = 5
STORAGE_STOPS_SECONDS = 10
TIMEOUT_SECONDS = 1
PATIENCE_SECONDS = 600


@pytest.fixture(scope="module")
def storage_process(tmp_path_factory):
    """Storage of its own, which can be stopped: its process id, and how to reach it."""
    before = storage_processes()
    with azurite(log=tmp_path_factory.mktemp("storm") / "azurite.log") as running:
        [process] = storage_processes() - before
        yield process, running


@pytest.fixture(scope="module")
def storage(storage_process):
    with closing(AppStorage(storage_process[1].connection_string)) as storage:
        for queue in QUEUES:
            storage.make_queue(queue)
        yield storage


def storage_processes() -> set[int]:
    """The ids of the processes of storage that we have started."""
    listed = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,args="], capture_output=True, check=True
    )
    processes = (line.split(maxsplit=2) for line in listed.stdout.decode().splitlines())
    return {
        int(process)
        for process, parent, command in processes
        if int(parent) == os.getpid() and "azurite" in command.lower()
    }


def stop_for_a_while(process: int) -> None:
    """Have a process do nothing for some seconds, and then go on as if nothing had been."""
    os.kill(process, signal.SIGSTOP)
    try:
        time.sleep(STORAGE_STOPS_SECONDS)
    finally:
        os.kill(process, signal.SIGCONT)


def has_received(connector, count):
    return len(connector.requests) >= count


def test_each_message_is_accounted_for(tmp_path, storage_process, storage, identity):
    seed = random.randrange(2**32)
    sys.stdout.write(f"seed {seed}\n")
    since = datetime.now(UTC) - timedelta(minutes=1)
    ids = [f"storm-{number}" for number in range(MESSAGES)]
    with FaultyConnector(seed, hang_seconds=TIMEOUT_SECONDS + 0.5) as connector:
        users = people(tmp_path, storage, connector, identity)
        for delivery_id, user in zip(ids, users, strict=True):
            recipient = {"channelId": "msteams", "userId": user}
            message = {"id": delivery_id, "recipient": recipient}
            storage.put(SENDING, {**message, "activity": {"text": delivery_id}})
        for kill in range(KILLS):
            enough = (kill + 1) * MESSAGES // (KILLS + 1)
            with storm_app(tmp_path, f"app-{kill}", storage, connector, identity):
                until(partial(has_received, connector, enough))
                if kill == KILLS // 2:
                    stop_for_a_while(storage_process[0])
            # Leaving kills it.
        with storm_app(tmp_path, "app", storage, connector, identity) as app:
            until(storage.is_drained, seconds=PATIENCE_SECONDS)
            with ThreadPoolExecutor(THREADS) as callers:
                answers = list(callers.map(app.get, (f"/api/deliveries/{each}" for each in ids)))
            failures = listed_failures(app, since)
        done = connector.done

    deliveries = [answer.json() for answer in answers]
    results = Counter((each["status"], each.get("ambiguous", False)) for each in deliveries)
    sys.stdout.write(f"{results}; {len(connector.requests)} calls, {done.total()} sent\n")
    wrong = [(done[each["id"]], each) for each in deliveries if not agrees(each, done[each["id"]])]
    assert wrong == []
    failed = {each["id"]: each for each in deliveries if each["status"] != "sent"}
    assert all(each["code"] and each["detail"] for each in failed.values())
    assert failures == set(failed)
    poisoned = {
        entry["_flow"]["id"]: entry["failure"]
        for queue in QUEUES
        for entry in storage.take_poison(queue)
    }
    assert {each: poisoned[each]["code"] for each in failed} == {
        each: delivery["code"] for each, delivery in failed.items()
    }
    # A host that is killed before it can say that a message failed may leave it there as well.
    others = [each for each in deliveries if each["id"] in poisoned.keys() - failed.keys()]
    assert all(each.get("ambiguous", False) for each in others)


def agrees(delivery, times_sent: int) -> bool:
    """Whether the record says how often the Connector has sent the message, or that it cannot."""
    if delivery["status"] == "sent":
        return times_sent == 1 or (times_sent > 1 and delivery.get("ambiguous", False))
    is_failure = delivery["status"].endswith("-failure")
    return is_failure and (times_sent == 0 or delivery.get("ambiguous", False))


def people(tmp_path, storage, connector, identity) -> list[str]:
    """Make people known to the app, most of them with their conversation."""
    users = [new_user() for _ in range(MESSAGES)]
    tenants = [new_tenant() for _ in range(TENANTS)]
    with (
        running_app(tmp_path / "before", storage, connector, identity) as app,
        ThreadPoolExecutor(THREADS) as callers,
    ):

        def remember(number: int) -> None:
            user = users[number]
            known = {} if number < NEW_PEOPLE else {"conversation": {"id": f"a:{user}"}}
            app.remember("msteams", user, tenantId=tenants[number % TENANTS], **known)

        list(callers.map(remember, range(MESSAGES)))
    return users


def storm_app(tmp_path, name, storage, connector, identity):
    """The app, which gives up soon, and whose messages come again soon."""
    folder = tmp_path / name
    return running_app(
        folder,
        storage,
        connector,
        identity,
        *("--lease-seconds", "5"),
        ConnectorTimeoutSeconds=str(TIMEOUT_SECONDS),
        **AS_IN_AZURE,
    )


def listed_failures(app, since: datetime) -> set[str]:
    """The ids of all failures that are listed, page by page."""
    path = f"/api/deliveries?pageSize=50&since={quote(since.isoformat())}"
    page = app.get(path).json()
    ids = [each["id"] for each in page["deliveries"]]
    while token := page.get("continuationToken"):
        page = app.get(f"{path}&continuationToken={quote(token)}").json()
        ids += [each["id"] for each in page["deliveries"]]
    assert len(ids) == len(set(ids))
    return set(ids)
