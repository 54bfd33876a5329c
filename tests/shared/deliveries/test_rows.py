from datetime import UTC, datetime

from shared.deliveries.delivery import Delivery, Destination, Status
from shared.deliveries.rows import (
    from_row,
    id_in_alert,
    keys_of,
    member_of,
    partition_of_page,
    to_properties,
)
from shared.storage.tables import key_of

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)

MEMBER = "0a" * 16


def test_the_delivery_of_an_alert_stands_with_the_others_of_its_page():
    for alert_id in ("alert-7", "a:1", "a:1:r2", "x:0:" + MEMBER, "김😀\n7"):
        for member in (MEMBER, "r0", "r123"):
            delivery_id = id_in_alert(alert_id, 12, member)
            assert keys_of("app", delivery_id) == {
                "PartitionKey": partition_of_page("app", alert_id, 12),
                "RowKey": member,
            }
            assert member_of(delivery_id) == member


def test_any_other_delivery_stands_by_itself_however_its_id_is_written():
    for delivery_id in (
        "order-7",
        "order:7",
        "order:7:r",
        "order:x:r1",
        f"order:7:{MEMBER}!2",
        f"order:7:{MEMBER[:-1]}",
        f"order:7:{MEMBER.upper()}",
        ":7:r1",
        f"order:{'7' * 5000}:r1",
        f"order:7:r{'7' * 1000}",
    ):
        assert keys_of("app", delivery_id) == {
            "PartitionKey": key_of("app", delivery_id),
            "RowKey": "delivery",
        }
    for one, other in [
        ("a:1:r1", "a:1:r01"),
        ("a:1:r1", "a:1:r\u0661"),
        ("a:11:r1", "a:1:1:r1"),
        ("a:1:r1", "a:11:r1"),
    ]:
        assert keys_of("app", one) != keys_of("app", other)


# A row as the version before wrote it.
OLD_ROW = {
    "PartitionKey": "hash",
    "RowKey": "r1",
    "id": "alert-7:0:r1",
    "status": "permanent-failure",
    "createdAt": NOW,
    "updatedAt": NOW,
    "attempts": 0,
    "code": "Odd",
    "detail": "d",
    "correlationId": "c",
    "activityId": "7",
    "recreated": True,
    "ambiguous": True,
    "posting": "first",
    "until": NOW,
    "failedOn": "2026-03-01",
    "alertId": "alert-7",
    "alertVersion": 3,
    "recalled": True,
    "channelId": "slack",
    "conversationId": "C1",
}


def test_a_row_is_read_and_written_as_by_the_version_before():
    delivery = from_row(OLD_ROW)

    assert delivery == Delivery(
        "alert-7:0:r1",
        Status.PERMANENT_FAILURE,
        NOW,
        NOW,
        posting="first",
        destination=Destination("slack", "", conversation_id="C1"),
        code="Odd",
        detail="d",
        correlation_id="c",
        activity_id="7",
        recreated=True,
        ambiguous=True,
        until=NOW,
        failed_on="2026-03-01",
        alert_id="alert-7",
        alert_version=3,
        recalled=True,
    )
    assert {"PartitionKey": "hash", "RowKey": "r1", **to_properties(delivery)} == OLD_ROW
    little = {name: OLD_ROW[name] for name in ("id", "status", "createdAt", "updatedAt")}
    little |= {"attempts": 0, "posting": ""}
    assert to_properties(from_row(little)) == little
