"""Fixtures of the tests of alerts."""

import pytest

from shared.sending import alert_lifecycle
from tests.SendAlert.alerting import Alerting


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
