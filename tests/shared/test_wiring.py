from concurrent.futures import ThreadPoolExecutor

import pytest

from shared import wiring
from shared.errors import InvalidSettingError
from shared.settings import Settings
from shared.wiring import Services, services
from tests.support.builders import services_of


def test_services_are_put_together_once_for_all_threads(deployed, monkeypatch):
    assert services() is deployed
    monkeypatch.setattr(wiring, "_services", None)
    with ThreadPoolExecutor(8) as pool:
        got = {id(each) for each in pool.map(lambda _: services(), range(32))}

    assert got == {id(services())}


def test_a_wrong_setting_is_told_each_time_until_it_is_mended(deployed, monkeypatch):
    monkeypatch.setattr(wiring, "_services", None)
    monkeypatch.setenv("BotCloud", "Mars")
    for _ in range(2):
        with pytest.raises(InvalidSettingError, match="BotCloud"):
            services()

    monkeypatch.setenv("BotCloud", "Public")

    assert services().settings.cloud.name == "Public"


def test_nothing_is_connected_to_before_it_is_used(app_settings, connector, identity, caplog):
    caplog.set_level("DEBUG")

    Services.of(Settings.from_environment(app_settings))

    assert connector.connections == identity.connections == 0
    assert "HTTP" not in caplog.text


def test_each_bot_has_the_token_of_its_own(services, connector, identity):
    services.connector.at(connector.url).send_activity("a:1", {"text": "News"})

    assert connector.requests[0].headers["Authorization"] == "Bearer identity-token-1"
    assert identity.requests[0].query["client_id"] == services.settings.app_id


def test_without_a_credential_no_token_is_asked_for(app_settings, connector, identity):
    bot = services_of(app_settings, MicrosoftAppId="", AZURE_FUNCTIONS_ENVIRONMENT="Development")

    bot.connector.at(connector.url).send_activity("a:1", {"text": "News"})

    assert connector.requests[0].headers["Authorization"] is None
    assert identity.requests == []
