"""Answers to alerts: which click is one, what it decides, and what follows from it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from shared.accounts.account import Account, OneToOne
from shared.alerts.alert import Alert
from shared.alerts.question import AnswerMode
from shared.deliveries.delivery import Destination, Status
from shared.deliveries.rows import id_in_alert
from shared.sending.alert_lifecycle import cancel_alert, recall_alert
from shared.sending.answer_decision import Clicked, Refusal, follow_answer
from shared.storage.tables import key_of
from tests.support import asked
from tests.support.asked import NOW, Person
from tests.support.builders import envelope_of, unique
from tests.support.copies import make_known


@pytest.fixture
def queued(queue_reader, services, monkeypatch):
    """Takes the answers that wait on the queue, which are seen there at once."""
    monkeypatch.setattr("shared.sending.answer_decision._CLICK_DECIDES_FOR_SECONDS", 0)
    queue = queue_reader("send-alert")

    def take():
        envelopes = [envelope_of(each) for each in queue.take()]
        return [each for each in envelopes if each.answer is not None]

    return take


@pytest.fixture
def edits(queue_reader):
    """Takes the edits of copies that wait on their queue, by the ids that they have."""
    queue = queue_reader("update-activity")
    return lambda: {each.id: each.change for each in map(envelope_of, queue.take())}


@pytest.fixture
def ask(services):
    """Makes alerts that ask something."""
    return partial(asked.ask, services)


@pytest.fixture
def person(services):
    """Makes people who have got an alert."""
    return partial(asked.reached, services)


# The first answer


def test_of_many_who_click_at_once_one_is_first_all_see_who_and_one_message_is_followed(
    services, ask, person, queued, queue_reader
):
    alert = ask()
    people = [person(alert) for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        seen = list(threads.map(Person.clicks, people))

    first = services.alerts.find(alert.id).first_answer
    assert first.delivery_id in {each.delivery.id for each in people}
    assert {each.alert.first_answer for each in seen if isinstance(each, Clicked)} == {first}
    assert services.alerts.find(alert.id).version == 2
    answers, queue = queued(), queue_reader("send-alert")
    for each in answers:
        before = queue.count()
        follow_answer(alert.id, each.answer, services)
        was_first = each.answer.given["deliveryId"] == first.delivery_id
        assert queue.count() - before == was_first
    # Whoever comes later leaves nothing behind.
    queued()
    late = person(alert).clicks("later")
    assert isinstance(late, Clicked)
    assert late.alert.first_answer == first
    assert queued() == []


def test_the_message_decides_where_the_click_could_not(services, ask, person, queued):
    alert = ask()
    alex, kim = person(alert), person(alert)
    alex.clicks()
    [answer] = queued()
    services.alerts.change(alert.id, lambda each: replace(each, first_answer=None, version=1))

    follow_answer(alert.id, answer.answer, services)

    first = services.alerts.find(alert.id).first_answer
    assert first.delivery_id == alex.delivery.id
    assert services.alerts.find(alert.id).version == 2
    # Once more, as a queue gives out its messages, and for somebody who was not first.
    follow_answer(alert.id, answer.answer, services)
    given = answer.answer.given | {"deliveryId": kim.delivery.id}
    late = answer.answer.model_copy(update={"given": given})
    follow_answer(alert.id, late, services)
    assert services.alerts.find(alert.id).first_answer == first
    assert services.alerts.find(alert.id).version == 2


# Each one's answer


def test_each_person_has_one_answer_which_a_click_on_the_card_as_it_is_changes(
    services, ask, person, queued, edits
):
    alert = ask(AnswerMode.EACH)
    alex, kim = person(alert), person(alert)
    row_version = services.alerts.find(alert.id).row_version

    assert alex.clicks("take").given.count == 1
    # The same click comes again, after 15 s and after 30 s.
    assert alex.clicks("take").given.count == 1
    assert alex.clicks("take").given.count == 1
    assert kim.clicks("later").given.count == 1
    # On an older card, and on the card as it is.
    assert alex.clicks("later", drawn=0).given.answer.option == "take"
    changed = alex.clicks("later", drawn=1).given
    assert (changed.answer.option, changed.count) == ("later", 2)

    answers = queued()
    assert len(answers) == 3
    for each in answers:
        follow_answer(alert.id, each.answer, services)
    shown = {change.delivery_id: change.answers for change in edits().values()}
    assert shown == {alex.delivery.id: 2, kim.delivery.id: 1}
    assert services.answers.counts(alert.id) == {"later": 2}
    # Whoever else writes it is not held up.
    assert services.alerts.find(alert.id).row_version == row_version


def test_the_message_records_what_the_click_could_not(services, ask, person, queued, edits):
    alert = ask(AnswerMode.EACH)
    alex = person(alert)
    alex.clicks()
    [answer] = queued()
    row = services.storage.table("answers")
    row.delete_entity(key_of(services.settings.app_id, alert.id), alex.account.key.id)

    follow_answer(alert.id, answer.answer, services)
    follow_answer(alert.id, answer.answer, services)

    assert services.answers.find(alex.delivery.id).answer.option == "take"
    assert services.answers.find(alex.delivery.id).count == 1
    assert list(edits()) == [f"{alex.delivery.id}!answer-1"]


# What is no answer


FORGED: dict[str, Callable[[Alert], dict[str, Any]]] = {
    "a delivery that is none": lambda alert: {"delivery_id": f"{alert.id}:0:{'0' * 32}"},
    "no delivery of an alert": lambda _: {"delivery_id": "order-1"},
    "another conversation": lambda _: {"conversation_id": "a:2"},
    "another tenant": lambda _: {"tenant_id": "0" * 36},
    "another channel": lambda _: {"channel_id": "slack"},
    "nobody who is known": lambda _: {"user_ids": ("29:nobody",)},
    "an option that is not offered": lambda _: {"option": "never"},
}


@pytest.mark.parametrize("mode", AnswerMode)
def test_what_was_not_offered_to_this_person_there_is_no_answer(
    services, ask, person, queued, mode
):
    alert = ask(mode)
    alex, kim = person(alert), person(alert)
    for what, click in FORGED.items():
        assert isinstance(alex.clicks(**click(alert)), Refusal), what
    assert isinstance(alex.clicks(delivery_id=kim.delivery.id), Refusal)
    assert isinstance(person(alert, status=Status.SUPPRESSED).clicks(), Refusal)
    assert isinstance(alex.clicks(drawn=1), Clicked)

    assert queued() == []
    assert services.alerts.find(alert.id) == alert
    assert services.answers.page(alert.id, 10, None) == ([], None)


def erase(services, person):
    services.accounts.erase("msteams", person.account.user_id)


OVER = {
    "recalled": lambda services, alert, _: recall_alert(alert.id, services),
    "cancelled": lambda services, alert, _: cancel_alert(alert.id, services),
    "expired": lambda services, alert, _: services.alerts.change(
        alert.id, lambda each: replace(each, expires_at=NOW - timedelta(minutes=1))
    ),
    "asking nothing any more": lambda services, alert, _: services.alerts.change(
        alert.id, lambda each: replace(each, question=None)
    ),
    "so old that its records are being removed": lambda services, alert, _: services.alerts.change(
        alert.id, lambda each: replace(each, started_at=NOW - timedelta(days=31))
    ),
    "erased": lambda services, _, alex: erase(services, alex),
    "removed": lambda services, alert, _: services.storage.table("alerts").delete_entity(
        key_of(services.settings.app_id, alert.id), "alert"
    ),
}


@pytest.mark.parametrize("how", OVER)
@pytest.mark.parametrize("mode", AnswerMode)
def test_an_alert_that_is_over_takes_no_answer(services, ask, person, queued, how, mode):
    alert = ask(mode)
    alex, kim = person(alert), person(alert)
    kim.clicks()
    [late] = queued()
    services.alerts.change(alert.id, lambda each: replace(each, first_answer=None))
    OVER[how](services, alert, alex)

    assert isinstance(alex.clicks(), Refusal)
    assert queued() == []
    given = late.answer.given | {"deliveryId": alex.delivery.id}
    if how != "erased":
        follow_answer(alert.id, late.answer.model_copy(update={"given": given}), services)
        assert services.answers.find(alex.delivery.id).count == 0
    if how not in ("erased", "removed"):
        assert services.alerts.find(alert.id).first_answer is None


@pytest.mark.parametrize("clicks_as", [("29:", "object"), ("object", "29:"), ("29:",)])
def test_a_person_is_known_by_either_id(services, ask, person, clicks_as):
    alert = ask()
    ids = {"object": unique("object"), "29:": unique("29:alex")}
    make_known(services, Account("msteams", ids["object"], conversation=OneToOne("a:1")))

    def known_by_both(stored):
        account = stored.account if stored else Account("msteams", ids["29:"])
        return replace(account, aad_object_id=ids["object"])

    account = services.accounts.change_or_make("msteams", ids["29:"], known_by_both).account
    assert account.made_under == ids["object"]
    to = Destination("msteams", "", None, "a:1", ids["29:"], account.key)
    alex = person(alert, id=id_in_alert(alert.id, 1, account.key.id), destination=to)

    assert isinstance(
        alex.clicks(user_ids=[ids[each] for each in clicks_as], conversation_id="a:1"), Clicked
    )


def test_a_short_button_leaves_out_who_clicks(services, ask, person, queued):
    alert = ask()
    alex = person(alert)
    short = alex.delivery.id.removesuffix(alex.account.key.id)

    assert isinstance(alex.clicks(delivery_id=short), Clicked)
    assert services.alerts.find(alert.id).first_answer.delivery_id == alex.delivery.id
