"""How far an alert is, page by page."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from SendAlert.progress import (
    Progress,
    close_pages,
    deliveries_of,
    progress_of,
)
from shared.alerts.alert import Alert, Range
from shared.alerts.audience_pages import AudiencePage
from shared.deliveries.delivery import Delivery, Status
from shared.deliveries.rows import id_in_alert, member_of
from shared.sending.alert_lifecycle import edit_alert
from shared.sending.outdated_copies import change_id, is_outdated
from tests.SendAlert.alerting import interrupted
from tests.support.builders import unique
from tests.support.lossy_storage import writes

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MEMBERS = ("a" * 32, "b" * 32)
ALERT = Alert(
    "order-7",
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


def a_page(alert, number):
    return AudiencePage(alert.id, number, "", "", NOW, MEMBERS, {("host", "tenant"): 2}, share=1.0)


@pytest.fixture
def alert(services):
    """An alert of four pages of two members each, all of which were read."""
    alert = replace(ALERT, id=unique("alert"))
    assert services.alerts.create(alert)
    for number in range(4):
        services.audience_pages.open(a_page(alert, number))
    return services.alerts.find(alert.id)


@pytest.fixture
def change(services, alert):
    """Changes the alert's row."""
    return lambda **fields: services.alerts.change(alert.id, lambda now: replace(now, **fields))


@pytest.fixture
def end(services, alert):
    """Records statuses of the members of a page."""

    def record(number, *statuses, **fields):
        for member, status in zip(MEMBERS, statuses, strict=False):
            delivery_id = id_in_alert(alert.id, number, member)
            services.deliveries.record(
                Delivery(delivery_id, Status(status), NOW, NOW, alert_id=alert.id, **fields)
            )

    return record


@pytest.fixture
def sent(end):
    """Records that the first version was sent to all members of pages."""

    def record(*numbers):
        for number in numbers:
            end(number, "sent", "sent", alert_version=1, activity_id="1")

    return record


@pytest.fixture
def closed(services, alert):
    """Closes the pages that have ended."""

    def close(limit=40, first=0):
        return close_pages(services.alerts.find(alert.id), services, limit=limit, first=first)

    return close


def counts(services, alert):
    progress = progress_of(services.alerts.find(alert.id), services)
    return {str(name): count for name, count in progress.counts.items() if count}


def counts_of_pages(services, alert):
    return [page.counts for page in services.audience_pages.counted_since(alert.id, 0)]


def page_of(services, alert, number=0):
    page = services.audience_pages.find(alert.id, number)
    assert page is not None
    return page


# Deliveries


def test_a_member_without_a_record_is_accepted(services, alert, end):
    end(0, "retrying")

    found = deliveries_of(page_of(services, alert), alert, services)

    assert {each.id: each.status for each in found} == {
        id_in_alert(alert.id, 0, MEMBERS[0]): Status.RETRYING,
        id_in_alert(alert.id, 0, MEMBERS[1]): Status.ACCEPTED,
    }
    assert counts(services, alert) == {"accepted": 7, "retrying": 1}


def test_deliveries_of_a_stopped_alert_that_have_not_begun_are_cancelled(services, alert, end):
    end(0, "accepted", "retrying", code="Throttled")
    end(1, "sending", "sent")
    end(2, "permanent-failure", "expired", code="BadSyntax")
    stopped = replace(alert, cancelled_at=NOW)

    found = [
        {member_of(each.id): each.status.value for each in deliveries}
        for deliveries in (
            deliveries_of(page_of(services, alert, number), stopped, services)
            for number in range(4)
        )
    ]

    assert [[page[member] for member in MEMBERS] for page in found] == [
        ["cancelled", "cancelled"],
        ["sending", "sent"],
        ["permanent-failure", "expired"],
        ["cancelled", "cancelled"],
    ]


# Closing


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2)])
def test_counts_add_up_in_whatever_order_pages_end(services, alert, end, closed, order):
    ends = {0: "sent", 1: "suppressed", 2: "expired", 3: "permanent-failure"}
    ended = set()
    for number in order:
        end(number, ends[number], "retrying")
        assert counts_of_pages(services, alert)[number] is None
        end(number, ends[number], ends[number], posting="again")
        ended.add(number)

        after = closed()

        whole = next(n for n in range(5) if n not in ended)
        assert after.closed_pages == whole
        assert after.counts == {ends[n]: 2 for n in range(whole)}
        assert counts_of_pages(services, alert)[number] == {ends[number]: 2}
        assert sum(counts(services, alert).values()) == 8

    assert counts(services, alert) == dict.fromkeys(ends.values(), 2)


def test_a_page_that_is_open_for_long_holds_up_no_others(services, alert, sent, closed):
    sent(1, 2, 3)

    for first in (0, 1, 2, 3):
        closed(limit=1, first=first)

    assert [each is not None for each in counts_of_pages(services, alert)] == [
        False,
        True,
        True,
        True,
    ]
    assert services.alerts.find(alert.id).closed_pages == 0
    sent(0)
    assert closed(limit=1).closed_pages == 4


def test_a_closed_page_is_not_read_again(services, alert, sent, closed, storage_calls):
    sent(0, 1, 3)
    closed()
    services.deliveries.note_change(
        id_in_alert(alert.id, 0, MEMBERS[0]), 1, "activity-7", recalled=True
    )
    storage_calls()

    assert counts(services, alert) == {"sent": 6, "current": 6, "accepted": 2}
    # Of the page that is still open.
    assert len([call for call in storage_calls() if call.startswith("GET /deliveries(")]) == 1
    closed()
    assert len([call for call in storage_calls() if call.startswith("GET /deliveries(")]) == 1


def test_a_page_that_a_stopped_alert_does_not_know_of_is_counted_once(
    services, alert, sent, closed, change
):
    sent(0, 1, 2)
    change(next_page=3, found=6, cancelled_at=NOW)

    assert closed().ended_at is not None
    assert counts(services, alert) == {"sent": 6, "current": 6, "cancelled": 2}


def test_a_page_without_members_is_closed_at_once(services, alert, sent, closed, change):
    services.audience_pages.open(replace(a_page(alert, 4), members=()))
    change(next_page=5)
    sent(0, 1, 2, 3)

    assert closed().closed_pages == 5


def test_a_page_is_open_until_the_edits_of_its_copies_have_ended(
    services, alert, sent, closed, change
):
    sent(0, 1)
    edited = change(version=2)
    first, second = deliveries_of(page_of(services, alert), edited, services)

    def ends(status):
        services.deliveries.record(Delivery(change_id(second, 2), status, NOW, NOW, posting=status))

    assert closed().closed_pages == 0
    services.deliveries.note_change(first.id, 2, "activity-7", recalled=False)
    ends(Status.RETRYING)
    assert closed().closed_pages == 0
    # The other edit can never be made.
    ends(Status.PERMANENT_FAILURE)

    after = closed()
    assert (after.closed_pages, after.counts) == (1, {"sent": 2, "current": 1})


def test_a_change_that_ends_while_its_page_is_counted_counts(
    services, alerting, app_settings, alert, sent, change
):
    sent(0)
    edited = change(version=2)
    copies = deliveries_of(page_of(services, alert), edited, services)

    def end_changes():
        for copy in copies:
            services.deliveries.note_change(copy.id, 2, "activity-7", recalled=False)
            services.deliveries.record(Delivery(change_id(copy, 2), Status.SENT, NOW, NOW))

    def lists_deliveries(request):
        return "/deliveries()" in request.path

    with interrupted(app_settings, alerting, lists_deliveries, after=end_changes) as slow:
        after = close_pages(edited, slow, limit=1)

    assert (after.closed_pages, after.counts) == (1, {"sent": 2, "current": 2})


def test_a_copy_needs_a_change_when_it_can_be_changed_and_is_out_of_date():
    edited = replace(ALERT, version=2)
    copy = Delivery("1", Status.SENT, NOW, NOW, activity_id="1", alert_version=1)

    assert is_outdated(copy, edited)
    assert is_outdated(replace(copy, alert_version=None), edited)
    for fields in (
        {"alert_version": 2},
        {"recalled": True},
        {"activity_id": None},
        {"status": Status.SENDING},
    ):
        assert not is_outdated(replace(copy, **fields), edited)


def test_after_an_edit_all_is_counted_once_more(services, alert, sent, closed, change):
    sent(0, 1, 2, 3)
    assert closed().closed_pages == 4
    change(version=2, closed_pages=0, counts={})

    # Nobody has the new version yet.
    assert counts(services, alert) == {"sent": 8}
    assert closed().closed_pages == 0
    for number in range(4):
        for member in MEMBERS:
            delivery_id = id_in_alert(alert.id, number, member)
            services.deliveries.note_change(delivery_id, 2, "activity-7", recalled=False)
    after = closed()
    assert (after.closed_pages, after.counts) == (4, {"sent": 8, "current": 8})


def test_counts_are_not_noted_on_an_alert_that_was_changed_meanwhile(
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


def progress(alert=ALERT, *, seconds=2, total=10, **counted):
    statuses = {name.replace("_", "-"): count for name, count in counted.items()}
    return Progress(alert, statuses, total, NOW + timedelta(seconds=seconds))


def test_how_much_has_ended_and_how_fast():
    shown = progress(sent=3, suppressed=1, sending=2, accepted=4)

    assert (shown.ended, shown.under_way, shown.share, shown.rate_per_second) == (4, 2, 0.4, 2.0)
    assert shown.estimated_end == NOW + timedelta(seconds=2 + 3)


def test_an_alert_that_has_not_ended_is_not_shown_as_done():
    assert progress(sent=10).share == 0.999
    assert progress(replace(ALERT, ended_at=NOW), sent=3).share == 1.0
    assert progress(total=0).share == 0.0


def test_after_an_edit_or_a_recall_the_share_is_that_of_the_changed_copies():
    edited = replace(ALERT, version=2)

    assert progress(edited, sent=6, accepted=4).share == 0.6
    assert progress(edited, sent=10, current=5).share == 0.5
    assert progress(replace(edited, recalled_at=NOW), sent=10, recalled=2).share == 0.2


def test_the_rate_is_that_of_one_go_up_to_its_end():
    ended = replace(ALERT, ended_at=NOW + timedelta(seconds=1))

    assert progress(ended, sent=3).rate_per_second == 3.0
    for not_one_go in ({"version": 2}, {"reopenings": 1}, {"started_at": None}):
        assert progress(replace(ALERT, **not_one_go), sent=3).rate_per_second is None
    assert progress(accepted=10).rate_per_second is None
    assert progress(seconds=0, sent=1).rate_per_second is None


@pytest.mark.parametrize(
    "change",
    [{"started_at": None}, {"ended_at": NOW + timedelta(seconds=1)}, {"cancelled_at": NOW}],
)
def test_only_of_an_alert_that_is_being_sent_the_end_is_estimated(change):
    assert progress(replace(ALERT, **change), sent=3).estimated_end is None


def test_the_total_is_estimated_while_the_audience_is_read(services, alert):
    half = replace(alert, is_read=False, read_share=0.5)

    assert progress_of(half, services).total == 16
    assert progress_of(replace(half, cancelled_at=NOW), services).total == 8
    assert progress_of(replace(half, read_share=0.0, found=0), services).total == 0
    assert progress_of(alert, services).total == 8


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, {"accepted": 20}),
        ({"cancelled_at": NOW}, {"cancelled": 20}),
        ({"found": 6, "ranges": (Range(3, "", "", 2),)}, {"accepted": 20}),
        ({"found": 6, "next_page": 3}, {"accepted": 20}),
        ({"is_read": True}, {"accepted": 8, "expired": 12}),
    ],
)
def test_recipients_that_were_not_read_are_counted_all_the_same(services, alert, change, expected):
    half = replace(alert, **{"is_read": False, "read_share": 0.5, "recipient_count": 20, **change})

    shown = progress_of(half, services)

    assert (shown.total, shown.counts) == (20, expected)
