"""Many messages at once go out as fast as the Connector takes them, and not faster."""

from collections import Counter

import pytest

from tests.flows.people import remember_all
from tests.flows.running_app import SENDING, running_apps
from tests.support.limited_connector import LimitedConnector, most_in_a_second
from tests.support.waiting import until

pytestmark = pytest.mark.soak

MESSAGES = 300
RATE = 20
THREADS = 4


@pytest.fixture
def connector(hosts):
    with LimitedConnector(most_in_a_second(RATE, hosts * THREADS)) as connector:
        yield connector


@pytest.mark.parametrize("hosts", [1, 2])
def test_no_more_is_sent_than_the_connector_takes(tmp_path, storage, connector, identity, hosts):
    with running_apps(
        tmp_path, storage, connector, identity, hosts=hosts, threads=THREADS, rate=RATE
    ) as apps:
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
    assert sent == Counter(users)
    assert connector.throttled == 0
    assert all('"outcome": "sent"' in log for log in logs)
    assert sum(log.count('"outcome": "sent"') for log in logs) == MESSAGES
    assert storage.take_poison(SENDING) == []
