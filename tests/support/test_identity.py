import time

import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ManagedIdentityCredential

SCOPE = "https://api.botframework.com/.default"


@pytest.fixture
def credential(identity, monkeypatch):
    for name, value in identity.environment.items():
        monkeypatch.setenv(name, value)
    with ManagedIdentityCredential(client_id="app-id") as credential:
        yield credential


def test_the_real_credential_gets_a_token(identity, credential):
    token = credential.get_token(SCOPE)

    [request] = identity.requests
    assert token.token == "identity-token-1"
    assert token.expires_on > time.time()
    assert request.query == {
        "api-version": "2019-08-01",
        "client_id": "app-id",
        "resource": "https://api.botframework.com",
    }


def test_the_real_credential_is_told_of_a_failure(identity, credential):
    identity.answer(400, {"statusCode": 400, "message": "No managed identity is assigned."})

    with pytest.raises(ClientAuthenticationError):
        credential.get_token(SCOPE)


def test_without_the_secret_there_is_no_token(identity):
    answer = requests.get(identity.environment["IDENTITY_ENDPOINT"], timeout=30)

    assert answer.status_code == 401
