from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.auth.clouds import PUBLIC
from shared.deliveries.store import DeliveryStore
from shared.storage.personal_keys import PersonalKeys
from tests.shared.sending.person import Person
from tests.support.worker import Worker


@pytest.fixture
def worker(services, queue_reader, connector):
    """A worker that probes after 3 days, with a service URL for the government community cloud."""
    cloud = replace(PUBLIC, community_service_url=f"{connector.url}/gcc/")
    settings = replace(services.settings, cloud=cloud, blocked_probe_days=3)
    return Worker(replace(services, settings=settings), queue_reader)


@pytest.fixture
def alex(services, connector):
    return Person(services, connector)


@pytest.fixture
def blocked(alex):
    """Somebody who has blocked the bot, with a probe due."""
    alex.change(blocked=True, probe_at=datetime.now(UTC) - timedelta(seconds=1))
    return alex


@pytest.fixture
def with_claims_of():
    """Makes services whose claims were made some seconds ago."""

    def make(seconds_ago, services):
        deliveries = DeliveryStore(
            services.storage,
            services.settings.app_id,
            PersonalKeys(services.storage),
            services.failures,
            give_up_ambiguous=False,
            clock=lambda: datetime.now(UTC) - timedelta(seconds=seconds_ago),
        )
        return replace(services, deliveries=deliveries)

    return make
