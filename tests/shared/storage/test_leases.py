from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from urllib3 import Retry

from shared.storage.leases import Lease, Leases
from tests.support.builders import NOWHERE, storage_at, unique


@pytest.fixture
def leases(services):
    return services.leases


@pytest.fixture
def what():
    return unique("conversation")


def test_a_lease_is_had_by_one_at_a_time_and_is_on_what_it_names_only(leases, what):
    first = leases.acquire("start", what, seconds=60)

    assert first is not None
    assert leases.acquire("start", what, seconds=60) is None
    assert leases.acquire("start", what, "another bot", seconds=60)
    assert leases.acquire("send", what, seconds=60)
    leases.release(first)
    assert leases.acquire("start", what, seconds=60) is not None


def test_a_lease_that_ran_out_is_taken_over_and_not_given_back_by_who_was_slow(leases, what):
    slow = leases.acquire("start", what, seconds=0)

    taken_over = leases.acquire("start", what, seconds=60)
    leases.release(slow)

    assert taken_over not in (None, slow)
    assert leases.acquire("start", what, seconds=60) is None


def test_of_many_who_take_over_at_once_one_gets_it(leases, what):
    leases.acquire("start", what, seconds=0)
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda _: leases.acquire("start", what, seconds=60), range(8)))

    assert len([lease for lease in got if lease is not None]) == 1


def test_a_lease_that_is_free_is_one_round_trip(leases, what, storage_calls):
    leases.acquire("start", unique("first"), seconds=60)
    storage_calls()

    lease = leases.acquire("start", what, seconds=60)
    leases.release(lease)

    assert [call.split()[0] for call in storage_calls()] == ["POST", "DELETE"]


def test_a_lease_that_cannot_be_given_back_runs_out_by_itself(caplog, monkeypatch):
    monkeypatch.setattr(Retry, "sleep", lambda *_: None)
    leases = Leases(storage_at(NOWHERE))

    leases.release(Lease("key", 'W/"1"', datetime.now(UTC)))

    assert "will run out" in caplog.text
