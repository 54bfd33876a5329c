import time

import pytest

from shared.auth.tokens import BotTokens
from tests.shared.auth.credentials import AzureCredential, credential
from tests.shared.connector.calls import client_of


@pytest.fixture
def logins():
    return AzureCredential(time.time)


@pytest.fixture
def tokens(logins):
    return BotTokens(credential(), make_azure_credential=logins.make)


@pytest.fixture
def client(connector, tokens):
    return client_of(connector.url, tokens=tokens)


@pytest.fixture
def at(client, connector):
    """The Connector, as the client reaches it."""
    return client.at(connector.url)
