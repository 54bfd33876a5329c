"""What stands in the messages that other systems get."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from shared.accounts.account import Account
from shared.deliveries.delivery import Delivery, Status
from shared.errors import InvalidSettingError
from shared.messages.queue_names import QUEUES
from shared.settings import Settings
from shared.wiring import Services
from tests.support.builders import settings, unique
from tests.test_openapi import SCHEMAS, problems_with

THEN = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
FAILED = Delivery(
    id="order-7",
    status=Status.TEMPORARY_FAILURE,
    created_at=THEN,
    updated_at=THEN,
    posting="p1",
    attempts=6,
    code="ServiceError",
)
ALEX = Account("msteams", "29:alex", aad_object_id="0e7a-alex", name="Alex")
BERIT = Account("slack", "U1")


def answer(outcomes, **changes):
    told = {"delivery_id": "news:0:r1", "option": "yes", "at": THEN, "person": ALEX} | changes
    outcomes.answered("news", **told)


@pytest.fixture
def told(app_settings, queue_reader):
    """Tell something, and return what is on the queue then."""
    queue = unique("outcomes")
    environment = {**app_settings, "OutcomeQueue": queue, "WEBSITE_HOSTNAME": "news.example.com"}
    outcomes = Services.of(Settings.from_environment(environment)).outcomes
    reader = queue_reader(queue)

    def tell(how):
        how(outcomes)
        return reader.take()

    return tell


def test_what_is_told_is_a_cloud_event(told):
    [event] = told(lambda outcomes: outcomes.failed(FAILED))

    assert len(event.pop("id")) == 64
    assert event == {
        "specversion": "1.0",
        "source": "news.example.com",
        "type": "delivery.failed",
        "subject": "order-7",
        "time": "2026-03-01T12:00:00.123456+00:00",
        "datacontenttype": "application/json",
        "data": {"status": "temporary-failure", "code": "ServiceError", "attempts": 6},
    }


KINDS = {
    "alert.answered": (
        answer,
        "news",
        {
            "deliveryId": "news:0:r1",
            "option": "yes",
            "at": "2026-03-01T12:00:00.123456+00:00",
            "person": {"channelId": "msteams", "userId": "29:alex", "aadObjectId": "0e7a-alex"},
        },
    ),
    "alert.ended": (
        lambda outcomes: outcomes.ended("news", 2, {"sent": 3}, THEN),
        "news",
        {"version": 2, "counts": {"sent": 3}},
    ),
    "delivery.failed": (
        lambda outcomes: outcomes.failed(replace(FAILED, alert_id="news")),
        "order-7",
        {"alertId": "news", "status": "temporary-failure", "code": "ServiceError", "attempts": 6},
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_tells_what_it_is_about(told, kind):
    how, subject, data = KINDS[kind]
    [event] = told(how)

    assert (event["type"], event["subject"], event["data"]) == (kind, subject, data)
    assert problems_with(event, SCHEMAS["Outcome"]) == []
    assert problems_with({**event, "data": {}}, SCHEMAS["Outcome"]) != []


def test_of_a_person_only_the_ids_are_told_that_are_known_and_of_an_erased_one_nothing(told):
    [known] = told(lambda outcomes: answer(outcomes, person=BERIT))
    [erased] = told(lambda outcomes: answer(outcomes, person=None))

    assert known["data"]["person"] == {"channelId": "slack", "userId": "U1"}
    assert "person" not in erased["data"]
    assert erased["id"] == known["id"]


def test_a_repeat_has_the_same_id_and_whatever_else_is_told_another(told):
    later = THEN.replace(second=1)

    def everything(outcomes):
        answer(outcomes)
        answer(outcomes, option="no")
        # Back to the first answer, which is another one.
        answer(outcomes, at=later)
        answer(outcomes, delivery_id="news:0:r2")
        outcomes.ended("news", 1, {}, THEN)
        outcomes.ended("news", 2, {}, THEN)
        outcomes.ended("more", 1, {}, THEN)
        outcomes.failed(FAILED)
        outcomes.failed(replace(FAILED, posting="p2"))
        outcomes.failed(replace(FAILED, id="news"))

    first, second = ([each["id"] for each in told(everything)] for _ in range(2))

    assert first == second
    assert len(set(first)) == 10
    # The alert of a version is one, however its deliveries are counted after a retry.
    [counted] = told(lambda outcomes: outcomes.ended("news", 1, {"sent": 1}, later))
    assert counted["id"] in first


@pytest.mark.parametrize(
    "name",
    [
        *QUEUES,
        *(f"{name}-poison" for name in QUEUES),
        "ab",
        "Outcomes",
        "out_comes",
        "out--comes",
        "-outcomes",
        "outcomes-",
        "outcomes\n2",
        "o" * 64,
    ],
)
def test_a_name_that_no_queue_can_have_or_one_of_ours_has_is_refused(name):
    with pytest.raises(InvalidSettingError) as caught:
        Services.of(settings(OutcomeQueue=name))

    assert caught.value.setting == "OutcomeQueue"


def test_without_the_setting_there_is_nothing_to_tell_with_and_locally_a_host_all_the_same():
    assert Services.of(settings(OutcomeQueue=" ")).outcomes is None
    assert settings().host_name == "localhost"
