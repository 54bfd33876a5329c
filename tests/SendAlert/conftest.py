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
