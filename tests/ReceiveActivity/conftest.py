from collections.abc import Iterator

import pytest

from local.azurite import Azurite
from shared.messages.queue_names import SEND_ACTIVITY
from tests.support.builders import QueueReader


@pytest.fixture
def queue(azurite: Azurite) -> Iterator[QueueReader]:
    """The queue of replies, which all tests share: empty before, and left empty."""
    queue = QueueReader(azurite.connection_string, SEND_ACTIVITY)
    queue.clear()
    yield queue
    queue.clear()
    queue.close()
