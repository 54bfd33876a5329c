"""People's copies of an alert, as if they had been sent; and what changes them."""

from datetime import UTC, datetime
from typing import Any

from shared.accounts.account import Account
from shared.alerts.alert import Alert
from shared.deliveries.delivery import Delivery, Destination, Status
from shared.deliveries.rows import id_in_alert
from shared.messages.envelope import AlertChange, Envelope
from shared.wiring import Services
from tests.support.builders import on_its_way
from tests.support.worker import Worker

NOW = datetime.now(UTC)


def make_known(services: Services, account: Account) -> Account:
    """Cache an account; return it with the person's key."""
    stored = services.accounts.change_or_make(
        account.channel_id, account.user_id, lambda _stored: account
    )
    return stored.account


def deliver_copy(services: Services, alert: Alert, account: Account, **fields: Any) -> Delivery:
    """Record that a person has got the first version of an alert in their conversation."""
    to = Destination(
        account.channel_id, "", None, account.conversation_id, account.user_id, account.key
    )
    delivery = Delivery(
        **{
            "id": id_in_alert(alert.id, 0, account.key.id if account.key else "r0"),
            "status": Status.SENT,
            "created_at": NOW,
            "updated_at": NOW,
            "destination": to,
            "activity_id": "activity-1",
            "alert_id": alert.id,
            "alert_version": 1,
            **fields,
        }
    )
    services.deliveries.record(delivery)
    return delivery


def change_copy(worker: Worker, queue: str, copy: Delivery) -> list[Delivery]:
    """Have the second version of a copy handled; return the change's record, and the copy's."""
    envelope = Envelope(
        id=f"{copy.id}!2",
        accepted_at=datetime.now(UTC),
        posting="2",
        alert=copy.alert_id,
        change=AlertChange(delivery_id=copy.id, version=2),
    )
    worker.handle(on_its_way(worker.services, queue, {}, envelope), queue)
    return [worker.services.deliveries.find(each) for each in (envelope.id, copy.id)]
