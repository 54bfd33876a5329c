"""Activities as the Connector posts them."""

from typing import Any

from ReceiveActivity.request import InboundActivity

BOT = {"id": "28:bot", "name": "Notify Bot"}
TENANT_ID = "11111111-2222-4333-8444-555555555555"


def inbound(service_url: str, user_id: str, **changes: Any) -> dict[str, Any]:
    """A message that a user of Teams writes in the personal chat."""
    return {
        "type": "message",
        "id": "1",
        "timestamp": "2026-01-01T10:00:00.000Z",
        "serviceUrl": service_url,
        "channelId": "msteams",
        "from": {"id": user_id, "name": "Alex Wilber"},
        "recipient": BOT,
        "conversation": {
            "id": f"a:{user_id}",
            "conversationType": "personal",
            "tenantId": TENANT_ID,
        },
        "locale": "de-AT",
        "text": "hello",
        "channelData": {"tenant": {"id": TENANT_ID}},
        **changes,
    }


def read(activity: dict[str, Any]) -> InboundActivity:
    return InboundActivity.from_json(activity)
