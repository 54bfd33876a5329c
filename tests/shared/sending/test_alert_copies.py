"""What was delivered of an alert, held while it is edited or recalled."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.accounts.account import Account, OneToOne
from shared.accounts.erasure import erase
from shared.alerts.alert import Alert
from shared.deliveries.delivery import Delivery, Destination, Status
from shared.deliveries.rows import id_in_alert
from shared.errors import (
    AlreadyDoneError,
    DeliveryUnderWayError,
    ForgottenRecipientError,
    OnQueue,
    UnknownAlertError,
    UnknownDeliveryError,
)
from shared.messages.envelope import AlertChange
from shared.sending.alert_copies import changing
from shared.wire_models import ChannelAccount
from tests.support.builders import unique

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BOT = ChannelAccount(id="28:bot")


@pytest.fixture
def person(services):
    """Somebody who has told their name and language, and has a conversation."""
    user_id = unique("29:alex")
    account = Account(
        "msteams",
        user_id,
        name="Alex",
        locale="de-AT",
        bot=BOT,
        service_url="https://smba.example.com/teams/",
        tenant_id="tenant",
        conversation=OneToOne("a:1"),
    )
    return services.accounts.change("msteams", user_id, lambda _stored: account).account


@pytest.fixture
def alert(services):
    """An alert that was edited once, in two languages."""
    said = {
        "activities": {"en": {"text": "Hello ${name}"}, "de": {"text": "Hallo ${name}, ${topic}"}}
    }
    content_key = services.alerts.keep(said, None)
    alert = Alert(
        unique("alert"), NOW, NOW, fingerprint="", content_key=content_key, topic="t", version=2
    )
    services.alerts.create(alert)
    return alert


@pytest.fixture
def deliver(services, alert, person):
    """Records what was delivered to the person, in the first version unless told."""

    def record(**fields):
        to = Destination("msteams", "", None, "a:1", person.user_id, person.key)
        delivery = Delivery(
            **{
                "id": id_in_alert(alert.id, 0, person.key.id),
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

    return record


def change_of(delivery, version=2):
    return AlertChange(delivery_id=delivery.id, version=version)


def refused(alert, change, services, error):
    """The error of a change that never comes to what it would do."""
    with pytest.raises(error) as caught, changing(alert.id, change, services, recalls=False):
        raise AssertionError("nothing is to be changed")
    return caught.value


def new_version(services, alert, **fields):
    def changed(current):
        return replace(current, version=current.version + 1, **fields)

    return services.alerts.change(alert.id, changed)


def test_where_it_is_and_what_it_is_to_say_is_handed_out(services, alert, deliver, person):
    delivery = deliver()

    with changing(alert.id, change_of(delivery), services, recalls=False) as delivered:
        says = delivered.says(services)

    assert delivered.activity_id == "activity-1"
    assert delivered.account == person
    conversation = delivered.target.conversation
    assert conversation is not None
    assert conversation.id == "a:1"
    assert conversation.service_url == "https://smba.example.com/teams/"
    assert (says.text, says.locale) == ("Hallo Alex, t", "de")


def test_in_the_end_it_is_noted_what_the_person_sees(services, alert, deliver):
    delivery = deliver()

    with changing(alert.id, change_of(delivery), services, recalls=False):
        assert services.deliveries.find(delivery.id).alert_version == 1

    noted = services.deliveries.find(delivery.id)
    assert (noted.alert_version, noted.recalled, noted.status) == (2, False, Status.SENT)
    assert noted.destination.user_id == delivery.destination.user_id


def test_of_what_was_recalled_the_person_sees_nothing(services, alert, deliver):
    delivery = deliver()
    new_version(services, alert, recalled_at=NOW)

    with changing(alert.id, change_of(delivery, 3), services, recalls=True):
        pass

    noted = services.deliveries.find(delivery.id)
    assert (noted.alert_version, noted.recalled) == (3, True)


def test_what_was_not_changed_in_the_end_is_not_noted(services, alert, deliver):
    delivery = deliver()

    with (
        pytest.raises(ZeroDivisionError),
        changing(alert.id, change_of(delivery), services, recalls=False),
    ):
        raise ZeroDivisionError

    assert services.deliveries.find(delivery.id).alert_version == 1
    # And nobody waits for who failed.
    with changing(alert.id, change_of(delivery), services, recalls=False):
        pass


def test_the_newest_version_is_brought_and_what_comes_after_it_is_done_already(
    services, alert, deliver
):
    delivery = deliver()
    services.alerts.current(alert.id)
    content_key = services.alerts.keep({"activity": {"text": "Newest"}}, None)
    new_version(services, alert, content_key=content_key)

    # It knows of version 3, which this process has not heard of yet.
    with changing(alert.id, change_of(delivery, 3), services, recalls=False) as delivered:
        assert delivered.says(services).text == "Newest"

    assert services.deliveries.find(delivery.id).alert_version == 3
    for version in (2, 3):
        error = refused(alert, change_of(delivery, version), services, AlreadyDoneError)
        assert error.on_queue is OnQueue.DONE


@pytest.mark.parametrize(
    "seen", [{"alert_version": 2}, {"alert_version": 7}, {"recalled": True}], ids=str
)
def test_who_sees_what_they_shall_has_nothing_changed(services, alert, deliver, seen):
    delivery = deliver(**seen)

    refused(alert, change_of(delivery), services, AlreadyDoneError)


def test_while_somebody_changes_it_nobody_else_does(services, alert, deliver):
    delivery = deliver()

    with changing(alert.id, change_of(delivery), services, recalls=False):
        error = refused(alert, change_of(delivery), services, DeliveryUnderWayError)

    assert error.on_queue is OnQueue.WAIT
    assert error.retry_after_seconds == 1.0
    refused(alert, change_of(delivery), services, AlreadyDoneError)


def test_one_persons_change_does_not_wait_for_another_ones(services, alert, deliver):
    one, other = deliver(), deliver(id=id_in_alert(alert.id, 0, "b" * 32))

    with (
        changing(alert.id, change_of(one), services, recalls=False),
        changing(alert.id, change_of(other), services, recalls=False),
    ):
        pass

    assert services.deliveries.find(other.id).alert_version == 2


def test_who_was_forgotten_has_nothing_changed(services, alert, deliver, person):
    delivery = deliver()
    erase("msteams", person.user_id, services.accounts, services.conversations)

    error = refused(alert, change_of(delivery), services, ForgottenRecipientError)

    assert error.on_queue is not OnQueue.COUNT


@pytest.mark.parametrize("lacks", [{"destination": None}, {"activity_id": None}])
def test_what_nobody_can_find_is_not_changed(services, alert, deliver, lacks):
    refused(alert, change_of(deliver(**lacks)), services, ForgottenRecipientError)


def test_it_stays_in_the_conversation_that_it_was_sent_into(services, alert, deliver, person):
    delivery = deliver()
    services.accounts.change(
        "msteams",
        person.user_id,
        lambda stored: stored.account.with_conversation(OneToOne("a:2")),
    )

    with changing(alert.id, change_of(delivery), services, recalls=False) as delivered:
        assert delivered.target.destination.conversation_id == "a:1"


def test_a_delivery_or_an_alert_that_nobody_knows_is_unknown(services, alert, deliver):
    delivery = deliver()

    refused(alert, AlertChange(delivery_id="nothing", version=2), services, UnknownDeliveryError)
    nothing = replace(alert, id="nothing")
    refused(nothing, change_of(delivery), services, UnknownAlertError)


def test_who_died_while_changing_it_holds_up_nobody_for_long(services, alert, deliver):
    delivery = deliver()
    app_id = services.settings.app_id
    held = services.leases.acquire("change", app_id, delivery.id, seconds=60)

    refused(alert, change_of(delivery), services, DeliveryUnderWayError)
    row = services.storage.table("leases").get_entity(held.key, "lease")
    row["until"] = datetime.now(UTC) - timedelta(seconds=1)
    services.storage.table("leases").update_entity(row)

    with changing(alert.id, change_of(delivery), services, recalls=False):
        pass
    assert services.deliveries.find(delivery.id).alert_version == 2
