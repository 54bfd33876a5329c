from datetime import timedelta

import pytest

from shared.storage.tables import Table, key_of
from shared.throttling.lane import Lane, LaneRow
from shared.throttling.pacer import Pacer
from tests.shared.throttling.pacing import DISABLED, HOUR, LANE, use
from tests.support.builders import storage_at, unique
from tests.support.clocks import FakeClock


@pytest.fixture
def time():
    return FakeClock()


@pytest.fixture
def storage(azurite):
    return storage_at(azurite.connection_string, threads=40)


@pytest.fixture
def app_id():
    return unique("bot")


@pytest.fixture
def instance(storage, app_id, time):
    """Makes the pacer of one more instance of the app."""

    def make(rate_per_second=40.0, clock=time):
        return Pacer(
            storage, app_id, rate_per_second=rate_per_second, clock=clock, sleep=time.sleep
        )

    return make


@pytest.fixture
def row(storage, app_id):
    def read(lane=LANE):
        return Table(storage, "lanes").get(key_of(app_id, lane.host, lane.tenant_id), "lane")

    return read


@pytest.fixture
def pause(storage, app_id, time):
    """Pauses a lane for a probe an hour, as an earlier version did."""

    def write(lane=LANE, seconds=HOUR):
        key = key_of(app_id, lane.host, lane.tenant_id)
        until = time.now + timedelta(seconds=seconds)
        LaneRow(Table(storage, "lanes"), key, time, time.sleep).change(
            lambda state: state.paused_for_probes(until, seconds, DISABLED)
        )

    return write


@pytest.fixture
def pacer(instance):
    """An instance that knows that there is a token."""
    pacer = instance()
    use(pacer, Lane("warm.example.com"))
    return pacer
