import pytest

from tests.support.builders import storage_at


@pytest.fixture
def storage(azurite):
    return storage_at(azurite.connection_string)
