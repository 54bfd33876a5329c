"""A person installs the bot, asks what it is for, and is told on the channel."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.flows.listening_app import ListeningApp, listening_app
from tests.flows.people import write
from tests.ReceiveActivity.activities import BOT


@pytest.fixture(scope="module")
def module_app(folder, storage, connector, identity) -> Iterator[ListeningApp]:
    with listening_app(
        folder, storage, connector, identity, AnswersPeople="true", Topics="Ferries, Lighthouses"
    ) as app:
        yield app


def texts(app: ListeningApp) -> list[str]:
    return [call.json["text"] for call in app.calls]


def test_an_install_that_is_told_in_every_way_at_once_is_welcomed_once(
    app: ListeningApp, user: str
):
    install: dict[str, Any] = {"type": "installationUpdate", "text": None}
    joined = {**install, "type": "conversationUpdate", "membersAdded": [BOT]}
    ways = [
        {**install, "action": "add"},
        joined,
        {**joined, "timestamp": "2026-01-01T10:00:00.500Z"},
        {**install, "action": "add", "timestamp": "2026-01-01T10:00:01Z"},
    ]

    with ThreadPoolExecutor(len(ways)) as connectors:
        list(connectors.map(lambda told: write(app, user, **told), ways))
    write(app, user, **install, action="upgrade", channelData=None)
    app.settle()

    [said] = texts(app)
    assert said.startswith("Hallo!")
    assert "Es gibt Meldungen zu: Ferries, Lighthouses." in said
    assert app.calls[0].json["conversation"] == {"id": f"a:{user}"}
