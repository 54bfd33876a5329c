"""An alert to many tenants, one of which takes nothing: the others do not notice."""

import math
from collections import Counter
from contextlib import ExitStack

import pytest

from tests.flows.alerts import counts, make_known, person, progress, send_alert
from tests.flows.running_app import AS_IN_AZURE, new_tenant, running_app
from tests.support.limited_connector import LimitedConnector, base_path, most_in_a_second
from tests.support.waiting import until

pytestmark = pytest.mark.soak

TENANTS = 10
# All together are three pages, of which each is sent in less time than it is put on the queue.
PEOPLE_EACH = 60
RATE = 40
HOSTS = 2
THREADS = 4
REFUSING = "/tenant-0"


@pytest.fixture
def connector():
    with LimitedConnector(most_in_a_second(RATE, HOSTS * THREADS)) as connector:
        yield connector


def test_a_tenant_that_takes_nothing_holds_up_no_other(tmp_path, storage, connector, identity):
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
    make_known(storage, people, with_keys=True)
    others = len(people) - PEOPLE_EACH
    with ExitStack() as stack:
        apps = [
            stack.enter_context(
                running_app(
                    tmp_path / f"app-{host}",
                    storage,
                    connector,
                    identity,
                    SendRatePerSecond=str(RATE),
                    PYTHON_THREADPOOL_THREAD_COUNT=str(THREADS),
                    **AS_IN_AZURE,
                )
            )
            for host in range(HOSTS)
        ]
        alert_id = send_alert(apps[0], activity={"text": "News"})
        until(
            lambda: counts(progress(apps[0], alert_id)).get("sent") == others,
            seconds=300,
        )

    called = Counter((base_path(call), call.path) for call in connector.requests)
    sent = {each: count for each, count in called.items() if each[0] != REFUSING}
    assert (len(sent), set(sent.values())) == (others, {1})
    assert connector.throttled == 0
    # Those that were under way when the first ones were refused, each time that they may try again.
    refused = sum(count for (path, _), count in called.items() if path == REFUSING)
    assert refused <= HOSTS * THREADS * 5
