"""Answers of each person to an alert: recorded, counted, listed, and whose they are."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.accounts.account import Account
from shared.alerts.answers import AnswerStore, Given
from shared.alerts.question import Answer
from shared.deliveries.delivery import Delivery, Destination, Status
from shared.deliveries.rows import id_in_alert
from shared.storage.personal_keys import PersonalKeys
from tests.support.builders import unique
from tests.support.clocks import FakeSeconds

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def clock():
    return FakeSeconds()


@pytest.fixture
def answers(services, clock):
    return AnswerStore(
        services.storage,
        services.settings.app_id,
        PersonalKeys(services.storage),
        services.deliveries,
        services.accounts,
        clock=clock,
    )


@pytest.fixture
def alert_id():
    return unique("alert")


@pytest.fixture
def answer(services, alert_id):
    """Makes answers, each of somebody who has got the alert, and has a name."""

    def make(option="yes"):
        user_id = unique("29:alex")
        account = services.accounts.change_or_make(
            "msteams", user_id, lambda _: Account("msteams", user_id, name="Alex")
        ).account
        delivery_id = id_in_alert(alert_id, 0, account.key.id)
        to = Destination("msteams", "", None, "a:1", user_id, account.key)
        sent = Delivery(delivery_id, Status.SENT, NOW, NOW, destination=to, alert_id=alert_id)
        services.deliveries.record(sent)
        return Answer(option, NOW, delivery_id, account.key.id)

    return make


def with_option(answer, option):
    return replace(answer, option=option)


def test_a_person_has_one_answer_which_only_who_knows_of_it_changes(answers, answer):
    first = answer("yes")
    assert answers.find(first.delivery_id) == Given()

    given = answers.record(first, after=0, given=Given())
    assert given == answers.find(first.delivery_id)
    assert (given.answer, given.count) == (first, 1)

    # On an older card, and on one that nobody has drawn.
    assert answers.record(with_option(first, "no"), after=0, given=Given()) == given
    assert answers.record(with_option(first, "no"), after=2, given=given) == given
    changed = answers.record(with_option(first, "no"), after=1, given=given)
    assert changed == answers.find(first.delivery_id)
    assert (changed.answer.option, changed.count) == ("no", 2)


def test_it_is_known_which_of_the_latest_answers_were_recorded(answers, answer):
    asked = answer()
    every = [replace(asked, at=NOW + timedelta(seconds=number)) for number in range(30)]
    for number, each in enumerate(every):
        given = answers.record(each, after=number)

    assert [given.includes(each) for each in every] == [False] * 10 + [True] * 20
    # A repeat of the last click, and another click at that moment.
    assert not given.includes(replace(asked, at=NOW + timedelta(seconds=31)))
    assert not given.includes(replace(every[-1], option="no"))


def test_answers_are_counted_by_option_and_listed_in_pages(answers, answer, alert_id, clock):
    given = [answer(option) for option in ("yes", "no", "yes")]
    for each in given:
        answers.record(each, after=0)

    assert answers.counts(alert_id) == {"yes": 2, "no": 1}
    answers.record(with_option(given[0], "no"), after=1)
    clock.now += 4.9
    assert answers.counts(alert_id) == {"yes": 2, "no": 1}
    clock.now += 0.2
    assert answers.counts(alert_id) == {"yes": 1, "no": 2}
    assert answers.counts(unique("alert")) == {}

    listed, token = answers.page(alert_id, 2, None)
    rest, end = answers.page(alert_id, 2, token)
    assert (len(listed), len(rest), end) == (2, 1, None)
    assert {each.delivery_id: each.option for each in listed + rest} == {
        each.delivery_id: "yes" if each is given[2] else "no" for each in given
    }


def test_who_answered_is_looked_up_once_for_many_copies_and_is_nobody_once_erased(
    answers, answer, services, alert_id, storage_calls
):
    given = answer()
    answers.record(given, after=0)
    storage_calls()
    with ThreadPoolExecutor(4) as threads:
        people = list(threads.map(answers.person, [given] * 20))
    assert {each.name for each in people} == {"Alex"}
    assert len(storage_calls()) == 3

    services.accounts.erase("msteams", people[0].user_id)

    assert answers.person(given) is None
    assert answers.people([given]) == [None]
    assert answers.counts(alert_id) == {"yes": 1}
