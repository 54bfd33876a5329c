import pytest

from shared.settings import StorageAccount
from shared.storage.clients import Storage


@pytest.fixture
def storage(azurite):
    account = StorageAccount.from_connection_string(azurite.connection_string)
    return Storage(account, threads=4)
