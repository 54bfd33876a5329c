import re
from uuid import uuid4

import pytest

from local.environment import StartError
from local.storage import queue_service


@pytest.mark.parametrize(
    ("suffix", "value"),
    [
        ("accountName", "myaccount"),
        ("queueServiceUri", "https://myaccount.queue.core.windows.net"),
    ],
)
def test_a_connection_can_be_by_identity(monkeypatch, suffix, value):
    name = f"Connection{uuid4().hex}"
    monkeypatch.setenv(f"{name}__{suffix}", value)

    with queue_service(name) as service:
        assert service.url == "https://myaccount.queue.core.windows.net/"
        assert type(service.credential).__name__ == "DefaultAzureCredential"


def test_development_storage_is_a_connection(monkeypatch):
    name = f"Connection{uuid4().hex}"
    monkeypatch.setenv(name, "UseDevelopmentStorage=true")

    with queue_service(name) as service:
        assert service.url == "http://127.0.0.1:10001/devstoreaccount1/"


@pytest.mark.parametrize("value", ["", "AccountName=only"])
def test_a_connection_that_is_missing_or_wrong_is_named(monkeypatch, value):
    name = f"Connection{uuid4().hex}"
    monkeypatch.setenv(name, value)

    with pytest.raises(StartError, match=re.escape(name)):
        queue_service(name)
