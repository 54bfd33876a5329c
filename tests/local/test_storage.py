import re
from uuid import uuid4

import pytest

from local.environment import StartError
from local.storage import queue_service
from shared.settings import STORAGE, Settings

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


@pytest.mark.parametrize("suffix", ["__accountName", "__queueServiceUri"])
@pytest.mark.parametrize("value", ["UseDevelopmentStorage=true", " "])
def test_host_and_app_take_the_queues_of_one_account(monkeypatch, value, suffix):
    queue_service.cache_clear()
    monkeypatch.setenv(STORAGE, value)
    monkeypatch.setenv(f"{STORAGE}__tableServiceUri", "https://myaccount.table.core.windows.net")
    monkeypatch.setenv(STORAGE + suffix, {"__accountName": "myaccount"}.get(suffix, URL))
    monkeypatch.setenv("AZURE_FUNCTIONS_ENVIRONMENT", "Development")
    monkeypatch.setenv("MicrosoftAppId", "")

    with queue_service(STORAGE) as service:
        of_the_host = service.url
    queue_service.cache_clear()

    of_the_app = Settings.from_environment().storage.queue_service_url
    assert of_the_host.rstrip("/") == of_the_app.rstrip("/")
    assert ("127.0.0.1" in of_the_host) == bool(value.strip())


@pytest.mark.parametrize("value", ["", "AccountName=only"])
def test_a_connection_that_is_missing_or_wrong_is_named(connection, monkeypatch, value):
    monkeypatch.setenv(connection, value)

    with pytest.raises(StartError, match=re.escape(connection)):
        queue_service(connection)
