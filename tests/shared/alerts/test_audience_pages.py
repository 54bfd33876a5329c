"""The pages of an alert's audience as they are kept."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from shared.alerts.audience_pages import AudiencePage, AudiencePages
from tests.support.builders import unique

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
PAGE = AudiencePage(
    alert_id="order/7 김😀",
    number=0,
    after="",
    up_to="f" * 64,
    read_at=NOW,
    members=("a" * 32, "r7"),
    lanes={("smba.example.com", "tenant"): 3, ("one.example.com:8443", "-"): 1},
    share=0.25,
)


@pytest.fixture
def pages(services):
    return services.audience_pages


@pytest.fixture
def found(pages):
    """Finds the page as it is kept now."""

    def find():
        page = pages.find(PAGE.alert_id, 0)
        assert page is not None
        return page

    return find


def kept(page):
    return replace(page, version="")


@pytest.mark.parametrize("count", [0, 4, 500])
def test_a_page_is_opened_once_and_found_as_it_was(pages, found, count):
    lanes = {("smba.trafficmanager.net", f"{n:036}"): 1 for n in range(count)}
    page = replace(PAGE, members=tuple(f"{n:032x}" for n in range(count)), lanes=lanes)

    opened = pages.open(page)

    assert pages.open(PAGE) is None
    assert kept(opened) == page
    assert opened == found()
    assert pages.find(PAGE.alert_id, 1) is None
    assert pages.find("another", 0) is None


def test_of_more_lanes_than_a_row_can_hold_those_with_most_calls_are_kept(pages, found):
    lanes = {("smba.trafficmanager.net", f"{n:036}"): n + 1 for n in range(2000)}
    pages.open(replace(PAGE, lanes=lanes))

    most = found().lanes
    assert 100 < len(most) < 2000
    assert most == {lane: n for lane, n in lanes.items() if n > 2000 - len(most)}


def test_pages_are_listed_from_a_number_on_in_their_order(pages, services):
    for number in (10, 2, 0, 100, 1):
        pages.open(replace(PAGE, number=number))
    pages.open(replace(PAGE, number=3, alert_id="another"))

    def numbers(alert_id, first):
        return [page.number for page in pages.counted_since(alert_id, first)]

    assert numbers(PAGE.alert_id, 0) == [0, 1, 2, 10, 100]
    assert numbers(PAGE.alert_id, 2) == [2, 10, 100]
    assert numbers(PAGE.alert_id, 101) == numbers("nothing", 0) == []
    another_bot = AudiencePages(services.storage, unique("another"))
    assert another_bot.counted_since(PAGE.alert_id, 0) == []


# Closing


def test_a_page_is_closed_with_its_counts_once_for_each_version_of_it(pages, found):
    page = pages.open(PAGE)

    closes = [pages.close(page, {"sent": count, "suppressed": 1}, 3) for count in (1, 2)]

    assert closes == [True, False]
    closed = found()
    assert (closed.counts, closed.counted_version) == ({"sent": 1, "suppressed": 1}, 3)
    assert kept(replace(closed, counts=None, counted_version=None)) == PAGE
    [listed] = pages.counted_since(PAGE.alert_id, 0)
    assert (listed.counts, listed.counted_version) == (closed.counts, 3)
    assert pages.close(closed, {"sent": 2}, 4)
    assert found().counted_version == 4


def test_a_page_that_was_reopened_since_it_was_read_is_not_closed(pages, found):
    page = pages.open(PAGE)
    pages.close(page, {"sent": 1}, 1)

    assert pages.reopen(page.alert_id, page.number)
    reopened = found()

    assert kept(reopened) == PAGE
    assert not pages.close(page, {"sent": 2}, 1)
    # The same where it is open.
    assert not pages.reopen(page.alert_id, page.number)
    assert not pages.close(reopened, {"sent": 2}, 1)
    assert found().counts is None
    assert not pages.reopen("nothing", 0)
