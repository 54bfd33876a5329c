import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientSecretCredential

SCOPE = "https://api.botframework.com/.default"


@pytest.fixture
def credential(login, monkeypatch):
    for name, value in login.environment.items():
        monkeypatch.setenv(name, value)
    with ClientSecretCredential(
        "tenant-id",
        "app-id",
        "invented-secret",
        authority=login.url,
        disable_instance_discovery=True,
    ) as credential:
        yield credential


def test_the_real_credential_gets_a_token(login, credential):
    token = credential.get_token(SCOPE)

    request = login.requests[-1]
    assert token.token == "login-token-1"
    assert request.path == "/tenant-id/oauth2/v2.0/token"
    assert request.form["client_id"] == "app-id"
    assert request.form["client_secret"] == "invented-secret"
    assert request.form["scope"] == SCOPE


def test_the_real_credential_is_told_of_a_failure(login, credential):
    login.fail("invalid_client", "AADSTS7000215: Invalid client secret provided.")

    with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
        credential.get_token(SCOPE)


def test_nobody_else_trusts_it(login):
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{login.url}/tenant-id/v2.0/.well-known/openid-configuration", timeout=30)
