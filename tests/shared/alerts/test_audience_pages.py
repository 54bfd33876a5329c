"""The pages of an alert's audience as they are kept."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from shared.alerts.audience_pages import AudiencePage, AudiencePages
from shared.settings import Settings
from shared.storage.account import Storage
from tests.support.builders import unique
from tests.support.lossy_storage import LossyStorage

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
STORAGE = "AzureWebJobsStorage"


@pytest.fixture
def pages(services):
    return services.audience_pages


def a_page(number=0, **given):
    return AudiencePage(
        **{
            "alert_id": "order/7 김😀",
            "number": number,
            "after": "",
            "up_to": "f" * 64,
            "read_at": NOW,
            "members": ("a" * 32, "r7"),
            "lanes": {("smba.example.com", "tenant"): 3, ("one.example.com:8443", "-"): 1},
            "share": 0.25,
            **given,
        }
    )


def kept(page):
    return replace(page, version="")


def test_a_page_is_found_as_it_was_opened(pages):
    opened = pages.open(a_page())

    found = pages.find(opened.alert_id, 0)
    assert kept(found) == a_page()
    assert found.version != ""
    assert pages.find(opened.alert_id, 1) is None
    assert pages.find("another", 0) is None


@pytest.mark.parametrize("members", [(), tuple(f"{n:032x}" for n in range(500))])
def test_a_page_has_nobody_or_five_hundred(pages, members):
    lanes = {("smba.trafficmanager.net", f"{n:036}"): 1 for n in range(len(members))}
    pages.open(a_page(members=members, lanes=lanes))

    found = pages.find(a_page().alert_id, 0)
    assert (found.members, found.lanes) == (members, lanes)


def test_a_page_that_was_opened_before_stays_as_it_was(pages):
    pages.open(a_page())

    assert pages.open(a_page(members=("b" * 32,), up_to="0" * 64)) is None

    assert kept(pages.find(a_page().alert_id, 0)) == a_page()


def test_what_is_opened_can_be_closed_as_it_is(pages):
    opened = pages.open(a_page())

    assert opened == pages.find(opened.alert_id, 0)
    assert pages.close(opened, {"sent": 2}, 1)


def test_of_many_who_open_a_page_at_once_one_does(pages):
    mine = [a_page(members=(f"{n:032x}",)) for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        opened = [page for page in pool.map(pages.open, mine) if page is not None]

    [page] = opened
    assert page == pages.find(page.alert_id, 0)


def test_a_page_is_opened_though_storage_lost_the_answer(pages, services, app_settings):
    with LossyStorage(app_settings[STORAGE]) as lossy:
        settings = Settings.from_environment({**app_settings, STORAGE: lossy.connection_string})
        through = AudiencePages(Storage(settings.storage, threads=4), services.settings.app_id)
        lossy.lose_answer(lambda request: request.method == "POST" and b"upTo" in request.body)

        through.open(a_page())

    assert kept(pages.find(a_page().alert_id, 0)) == a_page()


def test_pages_are_listed_from_a_number_on_in_their_order(pages):
    for number in (10, 2, 0, 100, 1):
        pages.open(a_page(number))
    pages.open(a_page(3, alert_id="another"))

    assert [page.number for page in pages.counted_since(a_page().alert_id, 0)] == [0, 1, 2, 10, 100]
    assert [page.number for page in pages.counted_since(a_page().alert_id, 2)] == [2, 10, 100]
    assert pages.counted_since(a_page().alert_id, 101) == []
    assert pages.counted_since("nothing", 0) == []


# Closing


def test_a_page_is_closed_with_its_counts(pages):
    pages.open(a_page())
    page = pages.find(a_page().alert_id, 0)

    assert pages.close(page, {"sent": 1, "suppressed": 1}, 3)

    closed = pages.find(page.alert_id, 0)
    assert (closed.counts, closed.counted_version) == ({"sent": 1, "suppressed": 1}, 3)
    assert replace(closed, counts=None, counted_version=None, version=page.version) == page


def test_a_page_that_was_changed_since_it_was_read_is_not_closed(pages):
    pages.open(a_page())
    page = pages.find(a_page().alert_id, 0)
    pages.reopen(page)

    assert not pages.close(page, {"sent": 2}, 1)

    assert pages.find(page.alert_id, 0).counts is None


def test_a_page_is_closed_by_one_of_two(pages):
    pages.open(a_page())
    page = pages.find(a_page().alert_id, 0)

    assert [pages.close(page, {"sent": count}, 1) for count in (1, 2)] == [True, False]

    assert pages.find(page.alert_id, 0).counts == {"sent": 1}


def test_a_closed_page_is_closed_once_more_in_another_version(pages):
    pages.open(a_page())
    page = pages.find(a_page().alert_id, 0)
    pages.close(page, {"sent": 1}, 1)

    assert pages.close(pages.find(page.alert_id, 0), {"sent": 2}, 2)

    assert pages.find(page.alert_id, 0).counted_version == 2


def test_a_page_is_reopened_whatever_is_noted_meanwhile(pages):
    pages.open(a_page())
    page = pages.find(a_page().alert_id, 0)
    pages.close(page, {"sent": 1}, 1)

    pages.reopen(page)

    reopened = pages.find(page.alert_id, 0)
    assert (reopened.counts, reopened.counted_version) == (None, None)
    assert kept(reopened) == a_page()


def test_pages_of_bots_with_the_same_alert_are_their_own(pages, services):
    pages.open(a_page())

    assert (
        AudiencePages(services.storage, unique("another")).counted_since(a_page().alert_id, 0) == []
    )
