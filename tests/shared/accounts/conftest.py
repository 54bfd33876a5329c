import pytest

from shared.accounts.store import AccountStore
from shared.wiring import Services
from tests.support.builders import unique


@pytest.fixture
def accounts(services: Services) -> AccountStore:
    return services.accounts


@pytest.fixture
def user_id() -> str:
    return unique("29:user")


@pytest.fixture
def object_id() -> str:
    return unique("object")
