import pytest

from tests.shared.triggers.settling import Settling


@pytest.fixture
def settling(services, queue_reader):
    return Settling(services, queue_reader)
