"""Many messages at once go out as fast as the Connector takes them, and not faster."""

from collections import Counter
from contextlib import ExitStack

import pytest

from tests.flows.people import remember_all
from tests.flows.running_app import AS_IN_AZURE, SENDING, running_app
from tests.support.limited_connector import LimitedConnector
from tests.support.waiting import until

pytestmark = pytest.mark.soak

MESSAGES = 500
TAKEN_PER_SECOND = 50
RATE = "45"
MOST_THROTTLED = 5


@pytest.fixture
def connector():
    with LimitedConnector(TAKEN_PER_SECOND) as connector:
        yield connector


@pytest.mark.parametrize("hosts", [1, 2])
def test_no_more_is_sent_than_the_connector_takes(tmp_path, storage, connector, identity, hosts):
    with ExitStack() as stack:
        apps = [
            stack.enter_context(
                running_app(
                    tmp_path / f"app-{host}",
                    storage,
                    connector,
                    identity,
                    SendRatePerSecond=RATE,
                    **AS_IN_AZURE,
                )
            )
            for host in range(hosts)
        ]
        users = remember_all(apps[0], MESSAGES)
        storage.put(
            SENDING,
            *(
                {
                    "id": f"{hosts}-{user}",
                    "recipient": {"channelId": "msteams", "userId": user},
                    "activity": {"text": user},
                }
                for user in users
            ),
        )
        until(storage.is_drained, seconds=600)
        logs = [app.host.log() for app in apps]

    sent = Counter(call.json["text"] for call in connector.requests)
    assert len(connector.requests) == MESSAGES + connector.throttled
    assert {*sent} == {*users}
    assert connector.throttled <= MOST_THROTTLED
    assert all('"outcome": "sent"' in log for log in logs)
    assert sum(log.count('"outcome": "sent"') for log in logs) == MESSAGES
    assert storage.take_poison(SENDING) == []
