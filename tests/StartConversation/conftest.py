import pytest

from StartConversation.request import StartRequest
from StartConversation.service import start_conversation
from tests.StartConversation.starting import ALEX
from tests.support.waiting import PATIENCE_SECONDS


@pytest.fixture
def start(services):
    """Starts a conversation; ``services`` are those of another instance or bot."""

    def run(services=services, wait_seconds=PATIENCE_SECONDS, **body):
        request = StartRequest.from_json({"members": [ALEX], **body})
        return start_conversation(request, services, wait_seconds=wait_seconds)

    return run
