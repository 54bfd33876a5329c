"""Deliveries as they stand in Table storage."""

import json
from collections.abc import Callable
from typing import Any

from shared import json_text
from shared.deliveries.delivery import Delivery, Destination, Status
from shared.personal_keys import PersonalKey
from shared.seals import seal, unseal
from shared.storage import Row

FindKey = Callable[[str], PersonalKey | None]


def to_properties(delivery: Delivery) -> dict[str, Any]:
    """Return the properties of the row of a delivery; nothing in them tells who the person is."""
    properties = {
        "id": delivery.id,
        "status": delivery.status.value,
        "createdAt": delivery.created_at,
        "updatedAt": delivery.updated_at,
        "attempts": delivery.attempts,
        "code": delivery.code,
        "detail": delivery.detail,
        "correlationId": delivery.correlation_id,
        "activityId": delivery.activity_id,
        "recreated": delivery.recreated or None,
        "ambiguous": delivery.ambiguous or None,
        "posting": delivery.posting,
        "owner": delivery.owner,
        "until": delivery.until,
        "failedOn": delivery.failed_on,
        **(_of_destination(delivery.destination) if delivery.destination else {}),
    }
    return {name: value for name, value in properties.items() if value is not None}


def from_row(row: Row, find_key: FindKey | None = None) -> Delivery:
    """Return the delivery that a row holds; with the ids of the person, where a key is found."""
    return Delivery(
        id=row["id"],
        status=Status(row["status"]),
        created_at=row["createdAt"],
        updated_at=row["updatedAt"],
        destination=_destination(row, find_key),
        attempts=row["attempts"],
        code=row.get("code"),
        detail=row.get("detail"),
        correlation_id=row.get("correlationId"),
        activity_id=row.get("activityId"),
        recreated=row.get("recreated", False),
        ambiguous=row.get("ambiguous", False),
        posting=row["posting"],
        owner=row.get("owner"),
        until=row.get("until"),
        failed_on=row.get("failedOn"),
    )


def _of_destination(destination: Destination) -> dict[str, Any]:
    plain = {"channelId": destination.channel_id}
    if destination.user_id is None:
        # A group is no person.
        return {**plain, "conversationId": destination.conversation_id}
    if destination.key is None:
        return plain
    ids = [destination.user_id, destination.conversation_id]
    return {
        **plain,
        "keyId": destination.key.id,
        "sealed": seal(destination.key.value, json_text.to_text(ids)),
    }


def _destination(row: Row, find_key: FindKey | None) -> Destination | None:
    channel_id = row.get("channelId")
    if channel_id is None:
        return None
    key = find_key(row["keyId"]) if find_key and "keyId" in row else None
    user_id, conversation_id = None, row.get("conversationId")
    if key is not None:
        user_id, conversation_id = json.loads(unseal(key.value, bytes(row["sealed"])))
    return Destination(channel_id, "", None, conversation_id, user_id, key)
