"""A bot in development, as it trusts this machine; and who writes to it."""

from collections.abc import Iterator

import pytest

from local.azurite import Azurite
from shared.messages.queue_names import SEND_ACTIVITY
from shared.wiring import Services
from tests.support.builders import QueueReader, settings, unique


@pytest.fixture
def services(azurite: Azurite) -> Services:
    return Services.of(settings(AzureWebJobsStorage=azurite.connection_string))


@pytest.fixture
def user() -> str:
    return unique("29:user")


@pytest.fixture
def queue(azurite: Azurite) -> Iterator[QueueReader]:
    """The queue of replies, which all tests share: empty before, and left empty."""
    queue = QueueReader(azurite.connection_string, SEND_ACTIVITY)
    queue.clear()
    yield queue
    queue.clear()
    queue.close()
