from datetime import UTC, datetime, timedelta

import pytest

from shared.accounts.account import Account
from shared.alerts.alert import Alert, AlertStatus, Audience

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
TENANT_ID = "aaaaaaaa-0000-4000-8000-000000000001"


def an_alert(**known):
    return Alert("order-7", NOW, NOW, fingerprint="", content_key="", **known)


@pytest.mark.parametrize(
    ("audience", "account", "is_in"),
    [
        ({}, {}, True),
        ({"channel_id": "msteams"}, {}, True),
        ({"channel_id": "slack"}, {}, False),
        ({"tenant_id": "t"}, {"tenant_id": "t"}, True),
        ({"tenant_id": "t"}, {}, False),
        ({"tenant_id": TENANT_ID.upper()}, {"tenant_id": TENANT_ID}, True),
        ({"locale": "DE"}, {"locale": "de-AT"}, True),
        ({"locale": "de"}, {"locale": "den"}, False),
        ({"locale": "de"}, {}, False),
        ({"interests": ("News", "x")}, {"preferences": {"interests": ["y", "NEWS!"]}}, True),
        ({"interests": ("news",)}, {"preferences": {"interests": None}}, False),
        ({"interests": ("news",)}, {}, False),
        (
            {"interests": ("news",), "tenant_id": "t"},
            {"preferences": {"interests": ["news"]}},
            False,
        ),
    ],
)
def test_an_account_that_matches_all_that_is_given_is_in_the_audience(audience, account, is_in):
    assert Audience(**audience).includes(Account("msteams", "29:alex", **account)) is is_in


@pytest.mark.parametrize(
    ("known", "status"),
    [
        ({}, AlertStatus.ACCEPTED),
        ({"send_at": LATER}, AlertStatus.SCHEDULED),
        ({"send_at": NOW}, AlertStatus.ACCEPTED),
        ({"send_at": LATER, "started_at": NOW}, AlertStatus.SENDING),
        ({"started_at": NOW, "ended_at": NOW, "read_share": 1.0}, AlertStatus.DONE),
        ({"ended_at": NOW, "read_share": 0.5, "is_read": True}, AlertStatus.EXPIRED),
        ({"ended_at": NOW, "read_share": 1.0, "cancelled_at": NOW}, AlertStatus.CANCELLED),
        ({"cancelled_at": NOW, "recalled_at": NOW}, AlertStatus.RECALLED),
    ],
)
def test_the_status_of_an_alert_is_how_far_it_is(known, status):
    assert an_alert(**known).status(NOW) is status


def test_an_alert_was_stopped_when_it_was_cancelled_or_recalled_first():
    assert an_alert().stopped_at is None
    assert an_alert(cancelled_at=NOW, recalled_at=LATER).stopped_at == NOW
    assert an_alert(recalled_at=LATER).stopped_at == LATER


def test_an_alert_expires_at_its_time():
    assert an_alert(expires_at=NOW).is_expired(NOW)
    assert not an_alert(expires_at=LATER).is_expired(NOW)
    assert not an_alert().is_expired(NOW)
