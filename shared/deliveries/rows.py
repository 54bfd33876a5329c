"""Deliveries as they stand in Table storage."""

import json
import re
from collections.abc import Callable
from typing import Any

from shared.deliveries.delivery import Delivery, DeliveryState, Destination, Status
from shared.json_text import without_none
from shared.storage.encryption import decrypt, encrypt
from shared.storage.personal_keys import PersonalKey
from shared.storage.row_properties import to_fields
from shared.storage.tables import Row, key_of

STATE_PROPERTIES = ("RowKey", "status", "activityId", "alertVersion", "recalled", "answers")
"""What is read of each row where a page of an alert is read: hundreds of them."""

_ROW_KEY = "delivery"
_OF_ALERT = re.compile(
    r"(?P<alert>.+):(?P<page>[0-9]{1,9}):(?P<member>[0-9a-f]{32}|r[0-9]{1,9})", re.DOTALL
)

FindKey = Callable[[str], PersonalKey | None]


def id_in_alert(alert_id: str, page: int, member: str) -> str:
    """Return the id of the delivery of an alert to a member of a page of its audience.

    The member is the id of the person's key, or ``r`` and their number among the recipients.
    """
    return f"{alert_id}:{page}:{member}"


def keys_of(app_id: str, delivery_id: str) -> dict[str, str]:
    """Return the keys of the row of a delivery: by its id, or by the page of its alert."""
    of_alert = _OF_ALERT.fullmatch(delivery_id)
    if of_alert is None:
        return {"PartitionKey": key_of(app_id, delivery_id), "RowKey": _ROW_KEY}
    page = partition_of_page(app_id, of_alert["alert"], int(of_alert["page"]))
    return {"PartitionKey": page, "RowKey": of_alert["member"]}


def place_in_alert(delivery_id: str) -> tuple[str, int] | None:
    """Return the alert, and the page of its audience, that a delivery belongs to; None: to none."""
    of_alert = _OF_ALERT.fullmatch(delivery_id)
    return (of_alert["alert"], int(of_alert["page"])) if of_alert is not None else None


def member_of(delivery_id: str) -> str:
    """Return which member of the page of its alert a delivery is to."""
    return delivery_id.rpartition(":")[2]


def partition_of_page(app_id: str, alert_id: str, page: int) -> str:
    """Return the key of the partition that has the deliveries of a page of an alert."""
    return key_of(app_id, alert_id, str(page))


def to_properties(delivery: Delivery) -> dict[str, Any]:
    """Return the properties of the row of a delivery; nothing in them tells who the person is."""
    to = delivery.destination
    return delivery.to_properties(but=("destination",)) | (_of_destination(to) if to else {})


def from_row(row: Row, find_key: FindKey | None = None) -> Delivery:
    """Return the delivery that a row holds, with the ids of the person where a key is found."""
    known = to_fields(Delivery, row)
    return Delivery(
        **{**known, "status": Status(known["status"]), "destination": _destination(row, find_key)}
    )


def state_from_row(row: Row, alert_id: str, page: int) -> DeliveryState:
    """Return how far the delivery to a member of a page is; ``row`` has STATE_PROPERTIES."""
    known = to_fields(DeliveryState, row)
    own = {"id": id_in_alert(alert_id, page, row["RowKey"]), "status": Status(known["status"])}
    return DeliveryState(**known | own)


def _of_destination(destination: Destination) -> dict[str, Any]:
    plain = {"channelId": destination.channel_id}
    if destination.user_id is None:
        # A group is no person.
        return without_none({**plain, "conversationId": destination.conversation_id})
    if destination.key is None:
        return plain
    ids = [destination.user_id, destination.conversation_id]
    return {
        **plain,
        "keyId": destination.key.id,
        "sealed": encrypt(destination.key.value, json.dumps(ids)),
    }


def _destination(row: Row, find_key: FindKey | None) -> Destination | None:
    channel_id = row.get("channelId")
    if channel_id is None:
        return None
    key = find_key(row["keyId"]) if find_key and "keyId" in row else None
    user_id, conversation_id = None, row.get("conversationId")
    if key is not None:
        user_id, conversation_id = json.loads(decrypt(key.value, bytes(row["sealed"])))
    return Destination(channel_id, "", None, conversation_id, user_id, key)
