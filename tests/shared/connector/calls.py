"""Short ways to call the Connector, or a stub of it."""

import pytest

from shared.auth.tokens import NoTokens
from shared.connector.client import ConnectorClient
from shared.connector.errors import ConnectorError
from shared.errors import BotCredentialError
from tests.support.builders import trusting

START = {"bot": {"id": "28:bot"}, "members": [{"id": "29:alex"}], "isGroup": False}

MESSAGE = {"type": "message", "text": "Grüße 😀"}

THREADS = 4


def client_of(*trusted, tokens=None, timeout_seconds=30.0, use_proxy=False):
    return ConnectorClient(
        tokens or NoTokens(),
        trusting(*trusted),
        timeout_seconds=timeout_seconds,
        connections=THREADS,
        use_proxy=use_proxy,
    )


def at_stub(connector, **settings):
    """A stub of the Connector, as a client with such settings reaches it."""
    return client_of(connector.url, **settings).at(connector.url)


def send(at):
    return at.send_activity("a:1", MESSAGE)


def failure(at):
    with pytest.raises((ConnectorError, BotCredentialError)) as caught:
        send(at)
    return caught.value
