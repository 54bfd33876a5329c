"""Fixtures of the tests of alerts."""

import pytest

from tests.SendAlert.alerting import Alerting


@pytest.fixture
def alerting(services, queue_reader, connector):
    """Sends alerts whose audience is read in pages of three."""
    return Alerting(services, queue_reader, connector.url)
