"""How far an alert is, page by page."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from SendAlert.progress import (
    Progress,
    change_id,
    close_pages,
    deliveries_of,
    needs_change,
    progress_of,
)
from shared.alerts.alert import Alert
from shared.alerts.audience_pages import AudiencePage
from shared.deliveries.delivery import Delivery, Status
from shared.deliveries.rows import id_in_alert, member_of
from shared.sending.alert_lifecycle import edit_alert
from tests.SendAlert.alerting import interrupted, writes
from tests.support.builders import unique

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MEMBERS = ("a" * 32, "b" * 32)


@pytest.fixture
def alert(services):
    """An alert of four pages of two members each, that were all read."""
    alert = Alert(
        unique("alert"),
        NOW,
        NOW,
        fingerprint="",
        content_key="",
        next_page=4,
        found=8,
        read_share=1.0,
        is_read=True,
        started_at=NOW,
    )
    assert services.alerts.create(alert)
    for number in range(4):
        services.audience_pages.open(a_page(alert, number))
    return services.alerts.find(alert.id)


def a_page(alert, number):
    return AudiencePage(alert.id, number, "", "", NOW, MEMBERS, {("host", "tenant"): 2}, share=1.0)


def end(services, alert, number, *statuses, **fields):
    """Have the members of a page be so far."""
    for member, status in zip(MEMBERS, statuses, strict=False):
        delivery_id = id_in_alert(alert.id, number, member)
        services.deliveries.record(
            Delivery(delivery_id, Status(status), NOW, NOW, alert_id=alert.id, **fields)
        )


def sent(services, alert, *numbers, version=1):
    for number in numbers:
        end(services, alert, number, "sent", "sent", alert_version=version, activity_id="1")


def closed(services, alert, *, most=40, first=0):
    return close_pages(services.alerts.find(alert.id), services, limit=most, first=first)


def counts(services, alert):
    progress = progress_of(services.alerts.find(alert.id), services)
    return {str(name): count for name, count in progress.counts.items() if count}


def deliveries_read(calls):
    return [call for call in calls if call.startswith("GET /deliveries(")]


def test_what_is_not_recorded_yet_is_accepted(services, alert):
    end(services, alert, 0, "retrying")
    page = services.audience_pages.find(alert.id, 0)
    assert page is not None

    found = deliveries_of(page, alert, services)

    assert {member_of(each.id): each.status for each in found} == {
        MEMBERS[0]: Status.RETRYING,
        MEMBERS[1]: Status.ACCEPTED,
    }
    assert {each.id for each in found} == {id_in_alert(alert.id, 0, each) for each in MEMBERS}
    assert counts(services, alert) == {"accepted": 7, "retrying": 1}


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ("retrying", "cancelled"),
        ("accepted", "cancelled"),
        ("sending", "sending"),
        ("sent", "sent"),
        ("permanent-failure", "permanent-failure"),
        ("expired", "expired"),
    ],
)
def test_what_has_not_begun_of_what_was_stopped_never_will(services, alert, status, shown):
    end(services, alert, 0, status, status)
    page = services.audience_pages.find(alert.id, 0)
    assert page is not None
    stopped = replace(alert, cancelled_at=NOW)

    found = deliveries_of(page, stopped, services)

    assert [each.status for each in found] == [Status(shown)] * 2


# Closing


def test_a_page_is_closed_only_when_all_of_it_have_ended(services, alert):
    sent(services, alert, 0)
    end(services, alert, 1, "sent", alert_version=1)
    end(services, alert, 2, "suppressed", "permanent-failure")
    end(services, alert, 3, "sent", "retrying")

    after = closed(services, alert)

    pages = services.audience_pages.counted_since(alert.id, 0)
    assert [page.counts for page in pages] == [
        {"sent": 2, "current": 2},
        None,
        {"suppressed": 1, "permanent-failure": 1},
        None,
    ]
    assert (after.closed_pages, after.counts) == (1, {"sent": 2, "current": 2})


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1), (1, 3, 0, 2)])
def test_counts_add_up_in_whatever_order_pages_end(services, alert, order):
    ends = {0: "sent", 1: "suppressed", 2: "expired", 3: "permanent-failure"}
    ended = set()
    for number in order:
        end(services, alert, number, ends[number], ends[number])
        ended.add(number)

        after = closed(services, alert)

        whole = next(n for n in range(5) if n not in ended)
        assert after.closed_pages == whole
        assert after.counts == {ends[n]: 2 for n in range(whole)}
        assert sum(counts(services, alert).values()) == 8

    assert counts(services, alert) == dict.fromkeys(ends.values(), 2)


def test_counts_add_up_in_any_order_with_any_number_looked_at(services, alert):
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    numbers = [0, 1, 2, 3]
    dice.shuffle(numbers)
    for number in numbers:
        end(services, alert, number, "sent", "suppressed", alert_version=1)
        closed(services, alert, most=dice.choice([1, 2, 3]))
    for _ in numbers:
        after = closed(services, alert, most=1)

    assert (after.closed_pages, after.counts) == (
        4,
        {"sent": 4, "suppressed": 4, "current": 4},
    ), f"seed {seed}"


def test_one_that_waits_for_long_holds_up_no_others(services, alert):
    sent(services, alert, 1, 2, 3)

    for first in (0, 1, 2, 3):
        closed(services, alert, most=1, first=first)

    pages = services.audience_pages.counted_since(alert.id, 0)
    assert [page.counts is not None for page in pages] == [False, True, True, True]
    assert services.alerts.find(alert.id).closed_pages == 0


def test_what_is_closed_is_not_read_again(services, alert, storage_calls):
    sent(services, alert, 0, 1, 3)
    closed(services, alert)
    storage_calls()

    assert counts(services, alert) == {"sent": 6, "current": 6, "accepted": 2}
    # Of the page that is still open.
    assert len(deliveries_read(storage_calls())) == 1
    closed(services, alert)
    assert len(deliveries_read(storage_calls())) == 1


def test_what_is_closed_is_frozen(services, alert):
    sent(services, alert, 0)
    closed(services, alert)

    services.deliveries.note_change(
        id_in_alert(alert.id, 0, MEMBERS[0]), 1, "activity-7", recalled=True
    )

    assert counts(services, alert) == {"sent": 2, "current": 2, "accepted": 6}


def test_an_empty_page_is_closed_at_once(services, alert):
    services.audience_pages.open(replace(a_page(alert, 4), members=()))
    services.alerts.change(alert.id, lambda current: replace(current, next_page=5))
    sent(services, alert, 0, 1, 2, 3)

    assert closed(services, alert).closed_pages == 5


def test_what_has_to_be_changed_is_open_until_the_change_has_ended(services, alert):
    sent(services, alert, 0, version=1)
    edited = services.alerts.change(alert.id, lambda current: replace(current, version=2))
    page = services.audience_pages.find(alert.id, 0)
    assert page is not None
    deliveries = deliveries_of(page, edited, services)

    assert closed(services, alert).closed_pages == 0
    services.deliveries.note_change(deliveries[0].id, 2, "activity-7", recalled=False)
    assert closed(services, alert).closed_pages == 0
    # The other change can never be made.
    changing = Delivery(change_id(deliveries[1], 2), Status.PERMANENT_FAILURE, NOW, NOW)
    services.deliveries.record(changing)

    assert closed(services, alert).counts == {"sent": 2, "current": 1}


@pytest.mark.parametrize(
    ("fields", "is_it"),
    [
        ({}, True),
        ({"alert_version": 2}, False),
        ({"alert_version": None}, True),
        ({"recalled": True}, False),
        ({"activity_id": None}, False),
        ({"status": Status.SENDING}, False),
        ({"status": Status.CANCELLED}, False),
    ],
)
def test_who_sees_something_else_than_they_shall_has_it_changed(alert, fields, is_it):
    delivery = Delivery(
        id_in_alert(alert.id, 0, MEMBERS[0]),
        Status.SENT,
        NOW,
        NOW,
        activity_id="1",
        alert_version=1,
    )

    assert needs_change(replace(delivery, **fields), replace(alert, version=2)) is is_it


def test_after_an_edit_everything_is_counted_once_more(services, alert):
    sent(services, alert, 0, 1, 2, 3)
    assert closed(services, alert).closed_pages == 4
    services.alerts.change(
        alert.id,
        lambda current: replace(current, version=2, closed_pages=0, counts={}),
    )

    # Nobody sees the new version yet.
    assert counts(services, alert) == {"sent": 8}
    assert closed(services, alert).closed_pages == 0
    for number in range(4):
        for member in MEMBERS:
            services.deliveries.note_change(
                id_in_alert(alert.id, number, member), 2, "activity-7", recalled=False
            )
    after = closed(services, alert)
    assert (after.closed_pages, after.counts) == (4, {"sent": 8, "current": 8})


def test_a_page_that_is_reopened_is_counted_once_more(services, alert):
    for number in range(4):
        end(services, alert, number, "permanent-failure", "suppressed", posting="first")
    closed(services, alert)
    page = services.audience_pages.find(alert.id, 0)
    assert page is not None

    services.audience_pages.reopen(page)
    services.alerts.change(alert.id, lambda current: replace(current, closed_pages=0, counts={}))
    end(services, alert, 0, "sent", posting="again", alert_version=1)

    after = closed(services, alert)
    assert after.closed_pages == 4
    assert after.counts == {"sent": 1, "current": 1, "suppressed": 4, "permanent-failure": 3}


def test_what_is_changed_while_pages_are_counted_has_none_of_these_counts(
    alerting, app_settings, services
):
    alerting.know(1)
    alert = alerting.accept()
    alerting.run(alert)
    alerting.worker.run()

    def edit():
        edit_alert(alert.id, {"activity": {"text": "Edited"}}, alerting.services)

    with interrupted(app_settings, alerting, writes("pages", alert.id), after=edit) as slow:
        after = close_pages(services.alerts.find(alert.id), slow, limit=40)

    assert (after.version, after.closed_pages, after.counts) == (2, 0, {})
    assert counts(services, alert) == {"sent": 1}


# How far it is


def progress(*, at=NOW, total=10, **counted):
    statuses = {name.replace("_", "-"): count for name, count in counted.items()}
    return lambda alert: Progress(alert, statuses, total, at)


def test_how_much_has_ended_and_how_fast(alert):
    told = progress(at=NOW + timedelta(seconds=2), sent=3, suppressed=1, sending=2, accepted=4)(
        alert
    )

    assert (told.ended, told.under_way, told.share, told.rate_per_second) == (4, 2, 0.4, 2.0)
    assert told.estimated_end == NOW + timedelta(seconds=5)


def test_what_has_not_ended_is_never_told_to_have(alert):
    told = progress(sent=10)(alert)

    assert told.share == 0.999
    assert replace(told, alert=replace(alert, ended_at=NOW)).share == 1.0
    assert progress(total=0)(alert).share == 0.0


@pytest.mark.parametrize(
    "change",
    [{"started_at": None}, {"ended_at": NOW + timedelta(seconds=1)}, {"cancelled_at": NOW}],
)
def test_when_it_will_have_ended_is_not_told_of_what_is_not_going_on(alert, change):
    told = progress(at=NOW + timedelta(seconds=2), sent=3)(replace(alert, **change))

    assert told.estimated_end is None


def test_of_what_has_just_begun_nothing_is_guessed(alert):
    assert progress(accepted=10)(alert).rate_per_second is None
    assert progress(sent=1)(alert).rate_per_second is None


def test_how_many_there_are_is_guessed_while_they_are_read(services, alert):
    half = replace(alert, is_read=False, read_share=0.5)

    assert progress_of(half, services).total == 16
    assert progress_of(replace(half, cancelled_at=NOW), services).total == 8
    assert progress_of(replace(half, read_share=0.0, found=0), services).total == 0
    assert progress_of(alert, services).total == 8


@pytest.mark.parametrize(
    ("change", "status"),
    [({}, "accepted"), ({"cancelled_at": NOW}, "cancelled"), ({"is_read": True}, "expired")],
)
def test_recipients_whom_nobody_has_got_to_are_counted_all_the_same(
    services, alert, change, status
):
    named = replace(alert, **{"is_read": False, "read_share": 0.5, "recipient_count": 20, **change})

    told = progress_of(named, services)

    assert told.total == 20
    # The members of the pages are accepted, and with the alert cancelled.
    assert told.counts[status] == 12 + (0 if status == "expired" else 8)
