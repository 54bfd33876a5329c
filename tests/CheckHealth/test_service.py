import pytest
from urllib3 import Retry

from CheckHealth import service
from CheckHealth.service import failing_components
from CheckHealth.triggers import check_health_http
from shared import wiring
from tests.support.builders import NOWHERE, answer_of, http_request


class Clock:
    now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture(autouse=True)
def clock(deployed, monkeypatch):
    """Nothing was looked at yet, and no time passes by itself."""
    clock = Clock()
    monkeypatch.setattr(service, "time", clock)
    monkeypatch.setattr(service, "_kept", None)
    monkeypatch.setattr(Retry, "sleep", lambda *_: None)
    return clock


@pytest.fixture
def redeploy(monkeypatch):
    """Changes settings, as a deployment does."""

    def run(**settings):
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(wiring, "_services", None)

    return run


def test_all_is_well_where_storage_answers(identity, storage_calls):
    storage_calls()

    assert answer_of(check_health_http(http_request("GET"))) == (200, {"status": "ok"})
    assert len(storage_calls()) == 2
    assert identity.requests == []


def test_only_what_fails_is_named(redeploy, azurite, clock):
    endpoints = dict(part.split("=", 1) for part in azurite.connection_string.strip(";").split(";"))
    endpoints["QueueEndpoint"] = "http://127.0.0.1:9/devstoreaccount1"

    redeploy(AzureWebJobsStorage=";".join(f"{key}={value}" for key, value in endpoints.items()))

    assert failing_components() == ["queues"]
    clock.now += 11
    redeploy(AzureWebJobsStorage=NOWHERE)
    assert failing_components() == ["tables", "queues"]


def test_a_wrong_setting_fails_with_its_name_in_the_log_only(redeploy, caplog, clock):
    wrong = {"BotCloud": "wrong", "DefaultServiceUrl": "wrong", "MicrosoftAppId": ""}
    for setting, value in wrong.items():
        redeploy(**{setting: value})
        clock.now += 11

        assert failing_components() == ["settings"]
        assert f"Setting {setting}" in caplog.text
        redeploy(BotCloud="")


def test_a_wrong_connection_string_fails_and_tells_no_secret(redeploy, caplog):
    redeploy(AzureWebJobsStorage="AccountName=x;AccountKe=secret")

    assert failing_components() == ["settings"]
    assert "Setting AzureWebJobsStorage" in caplog.text
    assert "secret" not in caplog.text


def test_what_was_found_is_kept_for_ten_seconds(redeploy, azurite, clock, storage_calls):
    failing_components()
    storage_calls()

    clock.now += 10
    failing_components()
    assert storage_calls() == []

    redeploy(MicrosoftAppId="")
    assert failing_components() == []
    clock.now += 0.1
    assert failing_components() == ["settings"]


def test_bad_health_is_answered_with_names_only(redeploy):
    redeploy(BotCloud="Mars")

    assert answer_of(check_health_http(http_request("GET"))) == (
        503,
        {"status": "failing", "failing": ["settings"]},
    )


def test_who_comes_while_another_one_looks_gets_what_was_found_before(clock):
    found = failing_components()
    clock.now += 11

    with service._lock:
        assert failing_components() is found
