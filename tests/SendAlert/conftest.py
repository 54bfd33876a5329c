"""Fixtures of the tests of alerts."""

from dataclasses import replace

import pytest

from shared.sending import alert_lifecycle
from tests.SendAlert.alerting import Alerting, make_known
from tests.support.builders import unique


@pytest.fixture
def alerting(services, queue_reader, connector, monkeypatch):
    """Sends alerts whose audience is read in pages of three."""
    # A change goes round as soon as a test takes its steps.
    monkeypatch.setattr(alert_lifecycle, "KNOWN_AFTER_SECONDS", 0)
    return Alerting(services, queue_reader, connector.url)


@pytest.fixture
def sent(alerting):
    """An alert that was sent to four people on two pages, and has ended."""
    alerting.know(4)
    alert = alerting.send()
    assert alert.ended_at is not None
    alerting.steps()
    return alert


@pytest.fixture
def many_tenants(alerting):
    """Fifty people of as many tenants, of whom five are on a page: its calls take a second."""
    alerting.services = replace(alerting.services, pacer=alerting.pacer(alerting.sending, 5))
    people = [
        alerting.person(unique("29:user"), tenant_id=f"tenant-{number}") for number in range(50)
    ]
    make_known(alerting.services, people)
    return people
