"""Alerts as they are kept: found, changed, listed, and remembered for a second."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.alerts.alert import Alert, Audience, Range
from shared.alerts.question import Answer, AnswerMode, Option, Question
from shared.alerts.store import AlertStore
from shared.errors import CancelledError, UnknownAlertError
from shared.storage.tables import Table
from tests.support.builders import services_of, unique
from tests.support.clocks import FakeSeconds

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
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
    ranges=(Range(4, "3f", "7f", 2), Range(5, "9", "", 3)),
    found=1234,
    read_share=0.25,
    is_read=True,
    closed_pages=2,
    reopenings=1,
    question=Question((Option("take", {"": "I take it", "de": "Ich"}),), AnswerMode.FIRST),
    first_answer=Answer("take", datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC), "a:0:r1", "key-1"),
    chain="chain-1",
    change_page=3,
    change_version=2,
    edit_id="edit-1",
    until=NOW + timedelta(days=30),
    counts={"sent": 3, "permanent-failure": 1},
)


@pytest.fixture
def clock():
    return FakeSeconds()


@pytest.fixture
def store(services, clock):
    """Makes stores of one bot: each is that of another process."""

    def build():
        return AlertStore(
            services.storage,
            services.settings.app_id,
            services.queues.large_values,
            kept_days=30,
            clock=clock,
        )

    return build


@pytest.fixture
def alerts(store):
    return store()


def an_alert(alert_id="order-7", **given):
    return Alert(alert_id, NOW, NOW, **{"fingerprint": "", "content_key": "", **given})


def keep_text(alerts, text):
    """Keep a content; return an alert that has it."""
    return an_alert(content_key=alerts.keep({"activity": {"text": text}}, None))


# Rows


@pytest.mark.parametrize("alert", [WHOLE, an_alert()], ids=["whole", "empty"])
def test_an_alert_is_created_once_and_found_as_it_was(alerts, alert):
    assert alerts.create(alert)
    assert not alerts.create(replace(alert, topic="second"))

    assert alerts.find(alert.id) == alert
    # The whole one has something in each field.
    empty = vars(an_alert())
    same = [name for name, value in vars(WHOLE).items() if value == empty[name]]
    assert same == ["created_at", "row_version"]


def test_an_unknown_alert_is_told_as_such(alerts):
    for look in (alerts.find, alerts.current, alerts.under_way):
        with pytest.raises(UnknownAlertError):
            look("nothing")
    with pytest.raises(UnknownAlertError):
        alerts.change("nothing", lambda alert: alert)


def test_bots_do_not_see_each_others_alerts(alerts, app_settings):
    alerts.create(an_alert())
    another = services_of(app_settings, MicrosoftAppId=unique("another"))

    assert another.alerts.page(100) == ([], None)
    with pytest.raises(UnknownAlertError):
        another.alerts.find("order-7")


def test_all_alerts_are_listed_in_pages(alerts):
    ids = {f"order-{number}" for number in range(5)}
    for each in ids:
        alerts.create(an_alert(each))

    found, token = [], None
    while True:
        page, token = alerts.page(2, token)
        assert len(page) <= 2
        found += [each.id for each in page]
        if token is None:
            break

    assert sorted(found) == sorted(ids)


# Changes


def test_a_change_says_when_it_was_made_and_takes_two_round_trips(alerts, storage_calls):
    alerts.create(an_alert())
    before = datetime.now(UTC)
    storage_calls()

    changed = alerts.change("order-7", lambda alert: replace(alert, version=2))

    assert [call.split()[0] for call in storage_calls()] == ["GET", "PUT"]
    assert before <= changed.updated_at <= datetime.now(UTC)
    assert alerts.find("order-7") == changed


# What is remembered of an alert


def test_an_alert_is_remembered_for_a_second_but_by_who_knows_of_a_newer_version(
    alerts, store, clock, storage_calls
):
    alerts.create(an_alert())
    knowing = store()
    for each in (alerts, knowing):
        each.current("order-7")
    store().change("order-7", lambda alert: replace(alert, version=2))
    storage_calls()

    clock.now += 0.9
    assert [each.current("order-7", version=1).version for each in (alerts, knowing)] == [1, 1]
    assert storage_calls() == []
    assert knowing.current("order-7", version=2).version == 2
    assert knowing.current("order-7").version == 2
    assert len(storage_calls()) == 1
    clock.now += 0.1
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: alerts.current("order-7"), range(100)))
    assert {each.version for each in found} == {2}
    assert len(storage_calls()) == 1


@pytest.mark.parametrize("stop", ["cancelled_at", "recalled_at"])
def test_a_stopped_alert_is_not_under_way(alerts, clock, stop):
    alerts.create(an_alert())
    assert alerts.under_way("order-7") == an_alert()
    alerts.change("order-7", lambda alert: replace(alert, **{stop: NOW}))
    clock.now += 1

    with pytest.raises(CancelledError):
        alerts.under_way("order-7")


# Contents and recipients


def test_a_content_is_read_once_and_by_its_key(alerts, storage_calls):
    said = {"activity": {"text": "${amount}"}, "data": {"amount": 7}}
    alert = an_alert(content_key=alerts.keep(said, None))
    storage_calls()

    with ThreadPoolExecutor(8) as pool:
        contents = list(pool.map(alerts.content, [alert] * 50))

    [read] = storage_calls()
    assert read.startswith("GET /bodies(PartitionKey=")
    assert all(content is contents[0] for content in contents)
    assert contents[0].data == {"amount": 7}


def test_only_the_latest_contents_are_remembered_as_far_as_there_is_room(
    store, storage_calls, monkeypatch
):
    monkeypatch.setattr("shared.alerts.store._CHARACTERS_REMEMBERED", 250)
    alerts = store()
    first, second, third = (keep_text(alerts, f"{number}" * 80) for number in (1, 2, 3))
    larger_than_all = keep_text(alerts, "x" * 300)

    def reads(alert):
        storage_calls()
        alerts.content(alert)
        return len(storage_calls())

    assert [reads(each) for each in (first, second, first, second, first)] == [1, 1, 0, 0, 0]
    # The third one takes the place of the one that nobody has asked for the longest.
    assert [reads(each) for each in (third, first, second)] == [1, 0, 1]
    assert [reads(each) for each in (larger_than_all, larger_than_all, first)] == [1, 0, 1]


def test_a_content_that_is_not_kept_any_more_is_unknown(alerts):
    alert = keep_text(alerts, "News")
    alerts.drop(alert.content_key)
    alerts.drop(None)

    with pytest.raises(UnknownAlertError):
        alerts.content(alert)


def test_recipients_are_kept_in_their_order(alerts):
    named = [("msteams", f"29:{number}") for number in range(3000)]

    assert alerts.recipients(an_alert(recipients_key=alerts.keep(named, None))) == named
    assert alerts.recipients(an_alert()) == []


@pytest.mark.parametrize("days", [None, 400])
def test_a_content_is_kept_whole_and_as_long_as_the_records_of_its_alert(alerts, services, days):
    before = datetime.now(UTC)
    send_at = before + timedelta(days=days) if days else None
    text = "ü" * 100_000
    key = alerts.keep({"activity": {"text": text}}, send_at)

    rows = Table(services.storage, "bodies").partition(key)

    assert len(rows) > 1
    assert min(row["until"] for row in rows) >= (send_at or before) + timedelta(days=30)
    content = alerts.content(an_alert(content_key=key))
    activity = content.activity(topic=None, name=None, locale=None, default_locale="en")
    assert activity.text == text
