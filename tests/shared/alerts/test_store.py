"""Alerts as they are kept: found, changed, listed, and known for a second."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.accounts.account import Account
from shared.alerts.alert import Alert, AlertStatus, Audience
from shared.alerts.content import Content
from shared.alerts.store import AlertStore
from shared.errors import (
    CancelledError,
    InvalidRequestError,
    StorageUnavailableError,
    UnknownAlertError,
)
from shared.settings import Settings
from shared.storage.account import Storage
from shared.storage.tables import Table, key_of
from shared.wiring import Services
from tests.support.builders import unique
from tests.support.lossy_storage import LossyStorage

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
STORAGE = "AzureWebJobsStorage"
WHOLE = Alert(
    id="order/7\\#?% 김😀",
    created_at=NOW,
    updated_at=NOW + timedelta(seconds=1),
    fingerprint="f" * 64,
    content_key="content",
    channel_ids=("msteams", "slack"),
    audience=Audience(("Züge", "\ud83d"), "msteams", "de-AT", "tenant"),
    recipients_key="recipients",
    recipient_count=7,
    topic="Grüße 😀",
    topic_name="Orders",
    send_at=NOW + timedelta(seconds=2),
    expires_at=NOW + timedelta(seconds=3),
    traceparent="00-a-b-01",
    version=3,
    cancelled_at=NOW + timedelta(seconds=5),
    recalled_at=NOW + timedelta(seconds=6),
    started_at=NOW + timedelta(seconds=7),
    ended_at=NOW + timedelta(seconds=8),
    next_page=4,
    reader="somebody",
    found=1234,
    read_share=0.25,
    is_read=True,
    closed_pages=2,
    reopenings=1,
    counts={"sent": 3, "permanent-failure": 1},
)


class Clock:
    """A clock that a test moves on."""

    def __init__(self):
        self.seconds = 1000.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


def build(services, clock, storage=None):
    return AlertStore(
        storage or services.storage,
        services.settings.app_id,
        services.queues.large_values,
        kept_days=30,
        clock=clock,
    )


@pytest.fixture
def alerts(services, clock):
    return build(services, clock)


def an_alert(alert_id="order-7", **given):
    return Alert(alert_id, NOW, NOW, **{"fingerprint": "", "content_key": "", **given})


def keep(alerts, said, send_at=None):
    return alerts.keep(said, send_at)


# Rows


@pytest.mark.parametrize("alert", [WHOLE, an_alert()], ids=["whole", "empty"])
def test_an_alert_is_found_as_it_was_created(alerts, alert):
    assert alerts.create(alert)

    assert alerts.find(alert.id) == alert


def test_the_whole_alert_has_something_in_each_field():
    empty = an_alert()

    same = [
        each.name for each in fields(Alert) if getattr(WHOLE, each.name) == vars(empty)[each.name]
    ]

    assert same == ["created_at"]


def test_an_alert_is_created_once(alerts):
    assert alerts.create(an_alert(topic="first"))
    assert not alerts.create(an_alert(topic="second"))

    assert alerts.find("order-7").topic == "first"


def test_an_alert_that_nobody_knows_is_unknown(alerts):
    for look in (alerts.find, alerts.current, alerts.under_way):
        with pytest.raises(UnknownAlertError):
            look("nothing")
    with pytest.raises(UnknownAlertError):
        alerts.change("nothing", lambda alert: alert)


def test_bots_do_not_see_each_others_alerts(alerts, app_settings):
    alerts.create(an_alert())
    another = Services.of(
        Settings.from_environment({**app_settings, "MicrosoftAppId": unique("another")})
    )

    assert another.alerts.page(100) == ([], None)
    with pytest.raises(UnknownAlertError):
        another.alerts.find("order-7")


def test_an_alert_is_found_and_changed_in_few_round_trips(alerts, storage_calls):
    alerts.create(an_alert())
    storage_calls()

    alerts.find("order-7")
    assert [call.split()[0] for call in storage_calls()] == ["GET"]
    alerts.change("order-7", lambda alert: replace(alert, version=2))
    assert [call.split()[0] for call in storage_calls()] == ["GET", "PUT"]


def test_what_is_to_be_sent_some_day_is_not_old_before(alerts, services):
    alerts.create(an_alert(send_at=LATER))

    row = Table(services.storage, "alerts").get(
        key_of(services.settings.app_id, "order-7"), "alert"
    )
    assert row is not None
    assert row["until"] >= LATER


# Changes


def test_a_change_says_when_it_was_made(alerts):
    alerts.create(an_alert())
    before = datetime.now(UTC)

    changed = alerts.change("order-7", lambda alert: replace(alert, version=2))

    assert before <= changed.updated_at <= datetime.now(UTC)
    assert alerts.find("order-7") == changed


def test_what_does_not_change_is_not_written(alerts, storage_calls):
    alerts.create(an_alert())
    storage_calls()

    assert alerts.change("order-7", lambda alert: alert) == an_alert()

    assert [call.split()[0] for call in storage_calls()] == ["GET"]


def test_what_a_change_raises_comes_out_and_nothing_is_written(alerts):
    alerts.create(an_alert())

    def change(_alert):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        alerts.change("order-7", change)

    assert alerts.find("order-7") == an_alert()


def test_many_who_change_an_alert_do_not_undo_each_other(alerts):
    alerts.create(an_alert())

    def count(_):
        alerts.change("order-7", lambda alert: replace(alert, found=alert.found + 1))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, range(12)))

    assert alerts.find("order-7").found == 12


def test_a_change_that_is_always_overtaken_is_given_up(alerts):
    alerts.create(an_alert())
    overtaken = []

    def change(alert):
        overtaken.append(alert)
        alerts.change("order-7", lambda current: replace(current, found=len(overtaken)))
        return replace(alert, version=2)

    with pytest.raises(StorageUnavailableError, match="too many at once"):
        alerts.change("order-7", change)

    assert 2 < len(overtaken) < 100
    assert alerts.find("order-7").version == 1


def test_a_change_is_made_though_storage_lost_the_answer(alerts, services, app_settings, clock):
    alerts.create(an_alert())
    with LossyStorage(app_settings[STORAGE]) as lossy:
        settings = Settings.from_environment({**app_settings, STORAGE: lossy.connection_string})
        through = build(services, clock, Storage(settings.storage, threads=4))
        lossy.lose_answer(lambda request: request.method == "PUT")

        changed = through.change("order-7", lambda alert: replace(alert, cancelled_at=NOW))

    assert changed.cancelled_at == NOW
    assert alerts.find("order-7") == changed


# What is known of an alert


def test_for_a_second_what_is_known_takes_no_round_trip(alerts, clock, storage_calls):
    alerts.create(an_alert())
    alerts.current("order-7")
    storage_calls()

    clock.seconds += 0.9
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: alerts.current("order-7"), range(100)))
    assert storage_calls() == []
    clock.seconds += 0.1
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: alerts.current("order-7"), range(100)))
    assert len(storage_calls()) == 1


def test_what_others_changed_is_known_a_second_later(alerts, services, clock):
    alerts.create(an_alert())
    alerts.current("order-7")
    build(services, clock).change("order-7", lambda alert: replace(alert, version=2))

    assert alerts.current("order-7").version == 1
    clock.seconds += 1
    assert alerts.current("order-7").version == 2


def test_who_knows_of_a_newer_version_gets_it_at_once(alerts, services, clock, storage_calls):
    alerts.create(an_alert())
    alerts.current("order-7")
    build(services, clock).change("order-7", lambda alert: replace(alert, version=2))
    storage_calls()

    assert alerts.current("order-7", version=1).version == 1
    assert storage_calls() == []
    assert alerts.current("order-7", version=2).version == 2
    assert alerts.current("order-7").version == 2
    assert len(storage_calls()) == 1


@pytest.mark.parametrize("stop", ["cancelled_at", "recalled_at"])
def test_of_what_was_stopped_nothing_is_under_way(alerts, clock, stop):
    alerts.create(an_alert())
    assert alerts.under_way("order-7") == an_alert()
    alerts.change("order-7", lambda alert: replace(alert, **{stop: NOW}))
    clock.seconds += 1

    with pytest.raises(CancelledError):
        alerts.under_way("order-7")


def test_only_so_many_are_known_at_a_time(alerts, storage_calls):
    for number in range(101):
        alerts.create(an_alert(f"order-{number}"))
        alerts.current(f"order-{number}")
    storage_calls()

    alerts.current("order-100")
    alerts.current("order-1")
    assert storage_calls() == []
    alerts.current("order-0")
    assert len(storage_calls()) == 1


# What it says, and to whom


def test_what_an_alert_says_is_read_once(alerts, storage_calls):
    key = keep(alerts, {"activity": {"text": "${amount}"}, "data": {"amount": 7}})
    storage_calls()

    with ThreadPoolExecutor(8) as pool:
        contents = list(pool.map(alerts.content, [an_alert(content_key=key)] * 50))

    assert len(storage_calls()) == 1
    assert all(content is contents[0] for content in contents)
    assert isinstance(contents[0], Content)
    assert contents[0].data == {"amount": 7}


def test_no_more_of_what_alerts_say_is_remembered_than_has_room(alerts, storage_calls):
    large = "x" * 1_500_000
    keys = [keep(alerts, {"activity": {"text": f"{number}{large}"}}) for number in range(4)]
    for key in keys[:3]:
        alerts.content(an_alert(content_key=key))
    storage_calls()

    for key in (keys[2], keys[1], keys[2]):
        alerts.content(an_alert(content_key=key))
    assert storage_calls() == []
    alerts.content(an_alert(content_key=keys[0]))
    assert len(storage_calls()) == 1
    # It took the place of the one that nobody had asked for the longest.
    alerts.content(an_alert(content_key=keys[2]))
    assert storage_calls() == []
    alerts.content(an_alert(content_key=keys[1]))
    assert len(storage_calls()) == 1


def test_the_latest_that_an_alert_says_is_remembered_whatever_its_size(alerts, storage_calls):
    key = keep(alerts, {"activity": {"text": "x" * 5_000_000}})
    alerts.content(an_alert(content_key=key))
    storage_calls()

    alerts.content(an_alert(content_key=key))

    assert storage_calls() == []


def test_what_is_not_kept_any_more_cannot_be_said(alerts):
    key = keep(alerts, {"activity": {"text": "News"}})
    alerts.drop(key)

    with pytest.raises(UnknownAlertError):
        alerts.content(an_alert(content_key=key))


def test_a_large_content_is_kept_whole(alerts):
    said = {"activities": {f"a{chr(97 + n)}": {"text": "ü" * 40_000} for n in range(5)}}

    content = alerts.content(an_alert(content_key=keep(alerts, said)))

    assert len(content.templates) == 5


@pytest.mark.parametrize("count", [1, 10_000])
def test_whom_an_alert_names_is_kept_in_their_order(alerts, count):
    named = [["msteams", f"29:{number}"] for number in range(count)]

    alert = an_alert(recipients_key=keep(alerts, named))

    assert alerts.recipients(alert) == [(channel, user) for channel, user in named]
    assert alerts.recipients(an_alert()) == []


@pytest.mark.parametrize("days", [None, 400])
def test_what_an_alert_says_is_kept_for_as_long_as_its_records(alerts, services, days):
    before = datetime.now(UTC)
    send_at = before + timedelta(days=days) if days else None
    key = keep(alerts, {"activity": {"text": "x" * 200_000}}, send_at)

    rows = Table(services.storage, "bodies").partition(key)

    assert len(rows) > 1
    assert min(row["until"] for row in rows) >= (send_at or before) + timedelta(days=30)


# Lists


def test_all_alerts_are_listed_in_pages(alerts):
    for number in range(5):
        alerts.create(an_alert(f"order-{number}"))

    found, token = [], None
    while True:
        page, token = alerts.page(2, token)
        assert len(page) <= 2
        found += [each.id for each in page]
        if token is None:
            break

    assert sorted(found) == [f"order-{number}" for number in range(5)]


def test_a_token_that_is_none_of_ours_is_refused(alerts):
    with pytest.raises(InvalidRequestError, match="continuationToken"):
        alerts.page(2, "e30")


# What an alert is


def person(**known):
    return Account("msteams", "29:alex", **known)


@pytest.mark.parametrize(
    ("audience", "known", "is_in"),
    [
        ({}, {}, True),
        ({"channel_id": "msteams"}, {}, True),
        ({"channel_id": "slack"}, {}, False),
        ({"tenant_id": "t"}, {"tenant_id": "t"}, True),
        ({"tenant_id": "t"}, {}, False),
        ({"locale": "de"}, {"locale": "de-AT"}, True),
        ({"locale": "de"}, {"locale": "den"}, False),
        ({"locale": "de"}, {}, False),
        ({"interests": ("News", "x")}, {"preferences": {"interests": ["NEWS"]}}, True),
        ({"interests": ("news",)}, {"preferences": {"interests": []}}, False),
        ({"interests": ("news",)}, {"preferences": {"interests": None}}, False),
        ({"interests": ("news",)}, {}, False),
        (
            {"interests": ("news",), "tenant_id": "t"},
            {"preferences": {"interests": ["news"]}},
            False,
        ),
    ],
)
def test_whoever_all_of_it_fits_is_in_the_audience(audience, known, is_in):
    assert Audience(**audience).includes(person(**known)) is is_in


@pytest.mark.parametrize(
    ("known", "status"),
    [
        ({}, AlertStatus.ACCEPTED),
        ({"send_at": LATER}, AlertStatus.SCHEDULED),
        ({"send_at": NOW}, AlertStatus.ACCEPTED),
        ({"send_at": LATER, "started_at": NOW}, AlertStatus.SENDING),
        ({"started_at": NOW, "is_read": True, "read_share": 1.0}, AlertStatus.SENDING),
        ({"started_at": NOW, "ended_at": NOW, "read_share": 1.0}, AlertStatus.DONE),
        ({"ended_at": NOW, "read_share": 0.5}, AlertStatus.EXPIRED),
        ({"ended_at": NOW, "read_share": 1.0, "cancelled_at": NOW}, AlertStatus.CANCELLED),
        ({"cancelled_at": NOW, "recalled_at": NOW}, AlertStatus.RECALLED),
    ],
)
def test_how_far_an_alert_is(known, status):
    assert an_alert(**known).status(NOW) is status


def test_an_alert_was_stopped_when_it_was_first():
    assert an_alert().stopped_at is None
    assert an_alert(cancelled_at=NOW, recalled_at=LATER).stopped_at == NOW
    assert an_alert(recalled_at=LATER).stopped_at == LATER


def test_an_alert_expires_at_its_time():
    assert an_alert(expires_at=NOW).is_expired(NOW)
    assert not an_alert(expires_at=LATER).is_expired(NOW)
    assert not an_alert().is_expired(NOW)
