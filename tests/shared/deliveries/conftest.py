import pytest

from shared.accounts.account import Account
from shared.deliveries.delivery import Destination
from tests.shared.deliveries.recording import NOW, STORAGE, build
from tests.support.builders import storage_at, unique
from tests.support.clocks import FakeClock
from tests.support.lossy_storage import LossyStorage


@pytest.fixture
def clock():
    return FakeClock(NOW)


@pytest.fixture
def deliveries(services, clock):
    return build(services, clock)


@pytest.fixture
def lossy(app_settings):
    with LossyStorage(app_settings[STORAGE]) as lossy:
        yield lossy


@pytest.fixture
def through_lossy(lossy, services, clock):
    """Deliveries in storage that does what it is asked, and may say that it did not."""
    return build(services, clock, storage=storage_at(lossy.connection_string))


@pytest.fixture
def alex(services):
    """Where messages to somebody go who has an account."""
    user_id, conversation_id = unique("29:alex"), unique("a:chat")
    account = Account("msteams", user_id)
    written = services.accounts.change_or_make("msteams", user_id, lambda _stored: account).account
    return Destination("msteams", "https://x", "tenant", conversation_id, user_id, key=written.key)
