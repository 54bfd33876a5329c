"""An alert to many tenants, one of which takes nothing: the others do not notice."""

import math
import re
from collections import Counter

import pytest

from local.azurite import ACCOUNT
from tests.flows.alerts import counts, make_known, person, progress, send_alert
from tests.flows.running_app import AppStorage, new_tenant, running_apps
from tests.support.limited_connector import LimitedConnector, base_path
from tests.support.processors import Effort
from tests.support.queues import StubQueues
from tests.support.waiting import until

pytestmark = pytest.mark.soak

TENANTS = 25
PEOPLE_EACH = 400
# What Teams takes, and what the app sends by default.
LIMIT = 50
RATE = 40
HOSTS = 2
THREADS = 8
REFUSING = "/tenant-0"


@pytest.fixture
def storage(storage):
    with StubQueues() as queues:
        endpoint = f"QueueEndpoint={queues.url}/{ACCOUNT}"
        connection = re.sub("QueueEndpoint=[^;]+", endpoint, storage.connection_string)
        yield AppStorage(connection)


@pytest.fixture
def connector():
    with LimitedConnector(LIMIT) as connector:
        yield connector


def test_a_tenant_that_takes_nothing_holds_up_no_other(
    tmp_path, storage, connector, identity, pytestconfig
):
    connector.fail(
        429,
        "Throttled",
        headers={"Retry-After": "60"},
        times=math.inf,
        when=lambda request: base_path(request) == REFUSING,
    )
    tenants = {f"/tenant-{number}": new_tenant() for number in range(TENANTS)}
    people = [
        person("msteams", f"{connector.url}{path}/", tenant_id=tenant)
        for path, tenant in tenants.items()
        for _ in range(PEOPLE_EACH)
    ]
    make_known(storage, people)
    others = len(people) - PEOPLE_EACH
    with running_apps(
        tmp_path, storage, connector, identity, hosts=HOSTS, threads=THREADS, rate=RATE
    ) as apps:
        effort = Effort.begin()
        alert_id = send_alert(apps[0], activity={"text": "News"})
        until(lambda: connector.taken >= others, seconds=900)
        terminal = pytestconfig.pluginmanager.get_plugin("terminalreporter")
        terminal.write_line(f"\n{effort.report(others)}")
        # The last ones are recorded a moment after they were sent.
        until(lambda: counts(progress(apps[0], alert_id)).get("sent") == others)
        until_then = progress(apps[0], alert_id)

    called = Counter((base_path(call), call.path) for call in connector.requests)
    sent = {each: count for each, count in called.items() if each[0] != REFUSING}
    assert (len(sent), set(sent.values())) == (others, {1})
    assert connector.throttled <= 5
    # All others have ended while that tenant is waited for, and few of its people were tried.
    assert "endedAt" not in until_then
    assert sum(called.values()) - others - connector.throttled < PEOPLE_EACH
