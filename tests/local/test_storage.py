import re
from uuid import uuid4

import pytest

from local.environment import StartError
from local.storage import queue_service

URL = "https://myaccount.queue.core.windows.net/"


@pytest.fixture
def connection() -> str:
    return f"Connection{uuid4().hex}"


@pytest.mark.parametrize(
    ("suffix", "value", "url", "credential"),
    [
        ("__accountName", "myaccount", URL, "DefaultAzureCredential"),
        ("__queueServiceUri", URL, URL, "DefaultAzureCredential"),
        (
            "",
            "UseDevelopmentStorage=true",
            "http://127.0.0.1:10001/devstoreaccount1/",
            "SharedKeyCredentialPolicy",
        ),
    ],
)
def test_a_connection_is_by_identity_or_string(
    connection, monkeypatch, suffix, value, url, credential
):
    monkeypatch.setenv(connection + suffix, value)

    with queue_service(connection) as service:
        assert service.url == url
        assert type(service.credential).__name__ == credential


@pytest.mark.parametrize("value", ["", "AccountName=only"])
def test_a_connection_that_is_missing_or_wrong_is_named(connection, monkeypatch, value):
    monkeypatch.setenv(connection, value)

    with pytest.raises(StartError, match=re.escape(connection)):
        queue_service(connection)
