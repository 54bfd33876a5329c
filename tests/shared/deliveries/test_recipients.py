"""Who a delivery was for: told while they are known, and forgotten with them."""

from dataclasses import replace

import pytest

from shared.deliveries.delivery import Status
from shared.errors import (
    ForgottenRecipientError,
)
from tests.shared.deliveries.recording import (
    NOW,
    a_delivery,
    claim,
    fail,
    put_back,
    settle,
)


def texts(services):
    """All that stands in the tables, with what is base64 and bytes in it."""
    rows = []
    for name in ("deliveries", "failures", "bodies"):
        for row in services.storage.table(name).list_entities():
            rows.append(
                b"|".join(
                    value if isinstance(value, bytes) else str(value).encode()
                    for value in row.values()
                )
            )
    return b"\n".join(rows)


def test_who_a_failed_delivery_was_for_is_told_until_they_are_forgotten(deliveries, services, alex):
    message = {"recipient": {"userId": alex.user_id}, "activity": {"text": "Confidential!"}}
    day = fail(deliveries, services, message, destination=alex)

    stored = texts(services)
    assert b"order-7" in stored
    for secret in (alex.user_id, alex.conversation_id, "Confidential!"):
        assert secret.encode() not in stored

    def told():
        [listed] = services.failures.page(NOW, size=10)[0]
        to = deliveries.find("order-7").destination
        assert to.channel_id == "msteams"
        assert listed.destination.user_id == to.user_id
        return to.user_id, to.conversation_id

    assert told() == (alex.user_id, alex.conversation_id)
    assert services.failures.find("order-7", day).message == message
    services.accounts.erase("msteams", alex.user_id)
    assert told() == (None, None)
    assert services.failures.find("order-7", day) is None
    # Nor is it sent to them.
    with pytest.raises(ForgottenRecipientError):
        claim(deliveries, put_back(destination=replace(alex, key=None)))
    assert deliveries.find("order-7").status is Status.PERMANENT_FAILURE


def test_of_somebody_without_an_account_only_the_channel_is_recorded_and_a_group_is_nobody(
    deliveries, services, alex
):
    claim(deliveries, a_delivery(destination=replace(alex, key=None)))
    group = replace(alex, user_id=None, key=None)

    destination = deliveries.find("order-7").destination
    assert (destination.channel_id, destination.user_id) == ("msteams", None)
    assert alex.user_id.encode() not in texts(services)
    claim(deliveries, a_delivery(id="order-8", destination=group))
    assert deliveries.find("order-8").destination.conversation_id == alex.conversation_id


def test_a_record_that_knows_nobody_keeps_who_was_known(deliveries, alex):
    settle(deliveries, claim(deliveries, a_delivery(destination=alex)), Status.RETRYING)

    deliveries.record(a_delivery(status=Status.EXPIRED))

    assert deliveries.find("order-7").destination.user_id == alex.user_id
