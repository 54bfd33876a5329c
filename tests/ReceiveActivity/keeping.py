"""Activities, and what is kept of those who talk with the bot."""

from typing import Any

from ReceiveActivity.service import receive_activity
from shared.accounts.account import Account
from shared.errors import UnknownConversationError
from shared.wiring import Services
from tests.ReceiveActivity.activities import inbound, read

SERVICE_URL = "http://127.0.0.1:9/amer"
IN_COPILOT: dict[str, Any] = {
    "conversation": {"id": "19:copilot@thread.v2", "conversationType": "personal"},
    "channelData": {"tenant": {"id": "other"}, "productContext": "COPILOT"},
}


def receive(
    services: Services, user_id: str, *, day: Any = 1, url: Any = SERVICE_URL, **changes: Any
) -> None:
    activity = inbound(url, user_id, timestamp=f"2026-01-0{day}T10:00:00Z", **changes)
    receive_activity(read(activity), services)


def account_of(services: Services, user_id: str) -> Account:
    stored = services.accounts.get("msteams", user_id)
    assert stored is not None
    return stored.account


def is_known(services: Services, conversation_id: str) -> bool:
    try:
        return services.conversations.find(conversation_id) is not None
    except UnknownConversationError:
        return False
