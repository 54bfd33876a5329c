"""What the tests of deliveries do to a store of them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from shared.deliveries.delivery import Delivery, Status
from shared.deliveries.failures import Failure, Failures
from shared.deliveries.rows import id_in_alert
from shared.deliveries.store import DeliveryStore
from shared.storage.large_values import LargeValues
from shared.storage.personal_keys import PersonalKeys

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
STORAGE = "AzureWebJobsStorage"
SECONDS = 25


def build(services, clock, *, storage=None, give_up_ambiguous=False):
    storage = storage or services.storage
    app_id = services.settings.app_id
    keys = PersonalKeys(storage)
    failures = Failures(storage, app_id, keys, LargeValues(storage))
    return DeliveryStore(
        storage,
        app_id,
        keys,
        failures,
        give_up_ambiguous=give_up_ambiguous,
        clock=clock,
        sleep=clock.sleep,
    )


def a_delivery(**fields):
    return Delivery(
        **{
            "id": "order-7",
            "status": Status.SENDING,
            "created_at": NOW,
            "updated_at": NOW,
            "posting": "first",
            **fields,
        }
    )


def put_back(**fields):
    """The delivery as it is claimed for a message that was put on a queue again."""
    later = NOW + timedelta(hours=1)
    return a_delivery(**{"created_at": later, "posting": "again", **fields})


def claim(deliveries, delivery=None, *, is_new=False):
    return deliveries.claim(delivery or a_delivery(), seconds=SECONDS, is_new=is_new)


def settle(deliveries, claimed, status, **fields):
    result = replace(claimed.delivery, status=status, until=None, **fields)
    deliveries.settle(claimed, result)


def fail(deliveries, services, message=None, **fields):
    """Have a delivery fail, as a message that was kept is recorded."""
    claimed = claim(deliveries, a_delivery(**fields))
    failed = replace(claimed.delivery, status=Status.PERMANENT_FAILURE)
    day = services.failures.keep(failed, Failure("send-activity", message or {"text": "News"}))
    settle(deliveries, claimed, Status.PERMANENT_FAILURE, code="Odd", failed_on=day)
    return day


def of_alert(member, page=0, alert_id="alert-7", **fields):
    return a_delivery(id=id_in_alert(alert_id, page, member), alert_id=alert_id, **fields)
