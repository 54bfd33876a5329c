"""The copies of an alert, held while they are edited or recalled."""

from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from shared.accounts.account import Account, OneToOne
from shared.alerts.alert import Alert
from shared.alerts.question import Answer, AnswerMode, Option, Question
from shared.deliveries.delivery import Status
from shared.deliveries.rows import id_in_alert
from shared.errors import (
    AlreadyDoneError,
    DeliveryUnderWayError,
    ForgottenRecipientError,
    StorageRefusedError,
    UnknownAlertError,
    UnknownDeliveryError,
)
from shared.messages.envelope import AlertChange, Envelope
from shared.messages.queue_names import UPDATE_ACTIVITY
from shared.messages.queued_message import QueuedMessage, Sent, UnsentError
from shared.sending.alert_copies import held_copy
from shared.wire_models import ChannelAccount
from tests.support.builders import unique
from tests.support.copies import deliver_copy, make_known

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MESSAGE = QueuedMessage(UPDATE_ACTIVITY, {}, Envelope(id="edit-1", accepted_at=NOW))


@pytest.fixture
def person(services):
    """Somebody whose name and language are known, and who has a conversation."""
    user_id = unique("29:alex")
    account = Account(
        "msteams",
        user_id,
        name="Alex",
        locale="de-AT",
        bot=ChannelAccount(id="28:bot"),
        service_url="https://smba.example.com/teams/",
        tenant_id="tenant",
        conversation=OneToOne("a:1"),
    )
    return make_known(services, account)


@pytest.fixture
def alert(services):
    """An alert that was edited once, in two languages."""
    content = {
        "activities": {"en": {"text": "Hello ${name}"}, "de": {"text": "Hallo ${name}, ${topic}"}}
    }
    content_key = services.alerts.keep(content, None)
    alert = Alert(
        unique("alert"), NOW, NOW, fingerprint="", content_key=content_key, topic="t", version=2
    )
    services.alerts.create(alert)
    return alert


@pytest.fixture
def deliver(services, alert, person):
    """Records a copy that was sent to the person, by default in the first version."""

    return partial(deliver_copy, services, alert, person)


@pytest.fixture
def change(services, alert):
    """Edits or recalls the copy of a delivery, for the second version unless told."""

    @contextmanager
    def begin(delivery, version=2, *, answers=0, recalls=False):
        asked = AlertChange(delivery_id=delivery.id, version=version, answers=answers)
        with held_copy(alert.id, asked, services, recalls=recalls) as copy:
            copy.sent = Sent("activity-1", MESSAGE)
            yield copy

    return begin


@pytest.fixture
def refused(change):
    """Checks that a change ends with an error before anything is changed; returns the error."""

    def check(error, *which, **how):
        with pytest.raises(error) as caught, change(*which, **how):
            raise AssertionError("nothing is to be changed")
        return caught.value

    return check


def new_version(services, alert, **fields):
    def changed(current):
        return replace(current, version=current.version + 1, **fields)

    return services.alerts.change(alert.id, changed)


def test_a_copy_is_handed_out_and_then_recorded_in_its_new_version(
    services, deliver, person, change
):
    delivery = deliver()

    with change(delivery) as copy:
        says = copy.activity(services)
        assert (copy.activity_id, copy.recipient.account) == ("activity-1", person)
        assert services.deliveries.find(delivery.id).alert_version == 1
        copy.sent = replace(copy.sent, activity_id="activity-2")

    assert copy.recipient.conversation is not None
    assert copy.recipient.conversation.id == "a:1"
    assert copy.recipient.conversation.service_url == "https://smba.example.com/teams/"
    assert (says.text, says.locale) == ("Hallo Alex, t", "de")
    noted = services.deliveries.find(delivery.id)
    assert (noted.alert_version, noted.recalled, noted.status) == (2, False, Status.SENT)
    assert noted.destination.user_id == person.user_id


@pytest.mark.parametrize(
    ("colleague", "said"),
    [
        ({"name": "Kim", "tenant_id": "tenant"}, "Übernommen von Kim"),
        ({"tenant_id": "tenant"}, "Übernommen"),
        ({"name": "Kim", "tenant_id": "another"}, "Übernommen"),
        ({"name": "Kim"}, "Übernommen"),
        (None, "Übernommen"),
    ],
)
def test_a_copy_says_who_answered_first_where_they_are_known_to_each_other(
    services, alert, deliver, change, colleague, said
):
    if colleague is not None:
        kim = make_known(services, Account("msteams", unique("29:kim"), **colleague))
        assert kim.key is not None
        answered, key_id = deliver_copy(services, alert, kim), kim.key.id
    else:
        answered, key_id = deliver(id=id_in_alert(alert.id, 0, "r1"), destination=None), "gone"
    question = Question((Option("take", {"": "I take it"}),), AnswerMode.FIRST)
    first = Answer("take", NOW, answered.id, key_id)
    new_version(services, alert, question=question, first_answer=first)

    with change(deliver(), 3) as copy:
        [card] = copy.activity(services).attachments

    shown = card["content"]["body"]
    assert [each["type"] for each in shown] == ["TextBlock", "RichTextBlock"]
    assert [each["text"] for each in shown[1]["inlines"]] == [said]


def test_each_copy_shows_what_its_person_has_answered_and_is_edited_for_that_once(
    services, alert, deliver, person, change, refused
):
    question = Question((Option("take", {"": "I take it"}),), AnswerMode.EACH)
    services.alerts.change(alert.id, lambda each: replace(each, question=question, version=1))
    delivery = deliver()
    answer = Answer("take", NOW, delivery.id, person.key.id)
    refused(AlreadyDoneError, delivery, 1)
    for number in (0, 1):
        services.answers.record(replace(answer, at=NOW + timedelta(number)), after=number)

    with change(delivery, 1, answers=1) as copy:
        [card] = copy.activity(services).attachments

    [_text, shown] = card["content"]["body"][:2]
    assert [each["text"] for each in shown["inlines"]] == ["Ihre Antwort: I take it"]
    assert services.deliveries.find(delivery.id).answers == 2
    refused(AlreadyDoneError, delivery, 1, answers=2)
    # A later edit of the alert itself shows it too.
    new_version(services, alert)
    with change(delivery, 2) as copy:
        [later] = copy.activity(services).attachments
    assert later == card


def test_a_recalled_copy_is_recorded_as_such_and_an_edit_is_left_to_the_recall(
    services, alert, deliver, change, refused
):
    delivery = deliver()
    refused(AlreadyDoneError, delivery, recalls=True)
    new_version(services, alert, recalled_at=NOW)
    refused(AlreadyDoneError, delivery, 3)

    with change(delivery, 3, recalls=True):
        pass

    recorded = services.deliveries.find(delivery.id)
    assert (recorded.alert_version, recorded.recalled) == (3, True)


def test_a_change_that_failed_is_not_recorded_and_holds_up_nobody(services, deliver, change):
    delivery = deliver()

    with pytest.raises(ZeroDivisionError), change(delivery):
        raise ZeroDivisionError

    assert services.deliveries.find(delivery.id).alert_version == 1
    with change(delivery):
        pass
    assert services.deliveries.find(delivery.id).alert_version == 2


def test_a_change_brings_the_newest_version_and_earlier_ones_are_done_then(
    services, alert, deliver, change, refused
):
    delivery = deliver()
    services.alerts.current(alert.id)
    content_key = services.alerts.keep({"activity": {"text": "Newest"}}, None)
    new_version(services, alert, content_key=content_key)

    # The change is for version 3, which this process does not know yet.
    with change(delivery, 3) as copy:
        assert copy.activity(services).text == "Newest"

    assert services.deliveries.find(delivery.id).alert_version == 3
    refused(AlreadyDoneError, delivery, 2)
    refused(AlreadyDoneError, delivery, 3)


@pytest.mark.parametrize(
    ("seen", "error"),
    [
        ({"alert_version": 7}, AlreadyDoneError),
        ({"recalled": True}, AlreadyDoneError),
        ({"activity_id": None}, AlreadyDoneError),
        ({"destination": None}, ForgottenRecipientError),
        ({"status": Status.SENDING}, DeliveryUnderWayError),
    ],
    ids=str,
)
def test_a_copy_is_changed_only_where_it_is_out_of_date_and_can_be_found(
    deliver, refused, seen, error
):
    refused(error, deliver(**seen))


def test_the_copy_of_a_forgotten_person_is_not_changed(services, deliver, person, refused):
    delivery = deliver()
    services.accounts.erase("msteams", person.user_id)

    refused(ForgottenRecipientError, delivery)


def test_one_change_of_a_copy_is_made_at_a_time(services, deliver, change, refused):
    one, other = deliver(), deliver(id=id_in_alert("another", 0, "b" * 32))

    with change(one), change(other):
        error = refused(DeliveryUnderWayError, one)

    assert error.retry_after_seconds == 1.0
    assert services.deliveries.find(other.id).alert_version == 2


def test_a_copy_stays_in_the_conversation_that_it_was_sent_into(services, deliver, person, change):
    delivery = deliver()
    services.accounts.change_or_make(
        "msteams",
        person.user_id,
        lambda stored: stored.account.with_conversation(OneToOne("a:2")),
    )

    with change(delivery) as copy:
        assert copy.recipient.destination.conversation_id == "a:1"


def test_an_unknown_delivery_or_alert_is_told_as_such(services, deliver, refused):
    refused(UnknownDeliveryError, replace(deliver(), id="nothing"))
    change = AlertChange(delivery_id=deliver().id, version=2)
    with (
        pytest.raises(UnknownAlertError),
        held_copy("nothing", change, services, recalls=False),
    ):
        raise AssertionError("nothing is to be changed")


def test_a_change_that_cannot_be_noted_is_settled_under_its_claim(services, deliver, change):
    delivery = deliver()

    with pytest.raises(UnsentError) as caught, change(delivery) as copy:
        # Too large for a row.
        copy.sent = Sent("x" * 40_000, replace(MESSAGE, call_milliseconds=7))

    assert caught.value.message.call_milliseconds == 7
    assert isinstance(caught.value.error, StorageRefusedError)
