import time

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError

from shared.auth.tokens import BotTokens
from tests.shared.connector.calls import CREDENTIAL, client_of


class Login:
    """azure-identity's side: gives out token-1, token-2, … until it fails."""

    def __init__(self):
        self.asked = 0
        self.fails = False

    def get_token(self, *_scopes, **_options):
        self.asked += 1
        if self.fails:
            raise ClientAuthenticationError("invented")
        return AccessToken(f"token-{self.asked}", int(time.time()) + 3600)


@pytest.fixture
def logins():
    return Login()


@pytest.fixture
def tokens(logins):
    return BotTokens(CREDENTIAL, make_azure_credential=lambda _credential: logins)


@pytest.fixture
def client(connector, tokens):
    return client_of(connector.url, tokens=tokens)


@pytest.fixture
def at(client, connector):
    """The Connector, as the client reaches it."""
    return client.at(connector.url)
