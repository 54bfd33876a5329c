from datetime import UTC, datetime, timedelta

from shared.deliveries.delivery import Delivery, Status
from shared.deliveries.failures import Failure
from tests.support.builders import services_of, unique


def failed_at(moment, delivery_id):
    return Delivery(delivery_id, Status.PERMANENT_FAILURE, moment, moment, posting="first")


def test_what_failed_is_kept_whole(services):
    for message in ({"text": "😀" * 50_000}, "no JSON", ["a list"], None):
        day = services.failures.keep(
            failed_at(datetime.now(UTC), "order-7"), Failure("send-activity", message)
        )

        assert services.failures.find("order-7", day) == Failure("send-activity", message)
        assert services.failures.find("order-7", "2026-02-28") is None
        assert services.failures.find("order-8", day) is None


def test_what_failed_is_listed_since_a_moment_in_pages(services):
    now = datetime.now(UTC)
    ages = {"old": 50, "yesterday": 23, "lately": 1, "now": 0}
    for name, hours in ages.items():
        services.failures.keep(
            failed_at(now - timedelta(hours=hours), name), Failure("send-activity", {})
        )

    since = now - timedelta(hours=24)
    pages, token = [], None
    while True:
        page, token = services.failures.page(since, size=1, token=token)
        pages.append([each.id for each in page])
        if token is None:
            break

    assert sorted(name for page in pages for name in page) == ["lately", "now", "yesterday"]
    assert max(map(len, pages)) == 1


def test_bots_do_not_see_each_others_failures(services, app_settings):
    services.failures.keep(failed_at(datetime.now(UTC), "order-7"), Failure("send-activity", {}))
    another = services_of(app_settings, MicrosoftAppId=unique("another"))

    assert another.failures.page(datetime.now(UTC) - timedelta(hours=1), size=10) == ([], None)
