"""How each kind of bot proves to the real azure-identity who it is."""

import logging
from typing import cast

import jwt
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from shared.auth.tokens import AppType, BotTokens
from shared.errors import BotCredentialError
from tests.shared.auth.credentials import APP_ID, RESOURCE, TENANT_ID, credential
from tests.support.login import is_token_request

FEDERATED_CLIENT_ID = "33333333-0000-4000-8000-000000000003"
PASSWORD = "very-secret-password"


def of_password(login, app_type=AppType.SINGLE_TENANT, **changes):
    return BotTokens(credential(app_type, login_url=login.url, password=PASSWORD, **changes))


@pytest.fixture
def trusting_login(login, monkeypatch):
    for name, value in login.environment.items():
        monkeypatch.setenv(name, value)
    return login


@pytest.fixture
def managed_identity(identity, monkeypatch):
    for name, value in identity.environment.items():
        monkeypatch.setenv(name, value)
    return identity


def test_a_managed_identity_asks_the_platform_once_and_anew_after_a_refusal(managed_identity):
    tokens = BotTokens(credential())

    got = [tokens.token(), tokens.token()]
    tokens.drop(got[0])

    assert [*got, tokens.token()] == ["identity-token-1"] * 2 + ["identity-token-2"]
    for request in managed_identity.requests:
        assert request.query["client_id"] == APP_ID
        assert request.query["resource"] == RESOURCE


@pytest.mark.parametrize(
    ("app_type", "tenant_id"),
    [(AppType.SINGLE_TENANT, TENANT_ID), (AppType.MULTI_TENANT, "botframework.com")],
)
def test_a_password_is_shown_to_the_tenant_at_the_login_of_the_deployment_alone(
    trusting_login, app_type, tenant_id
):
    tokens = of_password(trusting_login, app_type, tenant_id=tenant_id)

    got = [tokens.token(), tokens.token()]

    [request] = filter(is_token_request, trusting_login.requests)
    assert got == ["login-token-1"] * 2
    assert request.path == f"/{tenant_id}/oauth2/v2.0/token"
    assert request.form["grant_type"] == "client_credentials"
    assert request.form["client_id"] == APP_ID
    assert request.form["client_secret"] == PASSWORD
    assert request.form["scope"] == f"{RESOURCE}/.default"
    # No look-up of the login host at Microsoft's: tests would not reach it.
    assert {each.path.split("/")[1] for each in trusting_login.requests} == {tenant_id}


def test_a_certificate_signs_for_the_bot(trusting_login, tmp_path):
    issued = trustme.CA().issue_cert("bot.example", key_type=trustme.KeyType.RSA)
    path = tmp_path / "bot.pem"
    issued.private_key_and_cert_chain_pem.write_to_path(path)
    tokens = BotTokens(
        credential(AppType.SINGLE_TENANT, login_url=trusting_login.url, certificate_path=str(path))
    )

    token = tokens.token()

    [request] = filter(is_token_request, trusting_login.requests)
    certificate = x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes())
    claims = jwt.decode(
        request.form["client_assertion"],
        cast(RSAPublicKey, certificate.public_key()),
        algorithms=["PS256", "RS256"],
        audience=f"{trusting_login.url}/{TENANT_ID}/oauth2/v2.0/token",
    )
    assert token == "login-token-1"
    assert claims["iss"] == claims["sub"] == APP_ID
    assert "client_secret" not in request.form


def test_a_federated_identity_vouches_for_the_bot(managed_identity, trusting_login):
    tokens = BotTokens(
        credential(
            AppType.SINGLE_TENANT,
            login_url=trusting_login.url,
            federated_client_id=FEDERATED_CLIENT_ID,
        )
    )

    token = tokens.token()

    [platform] = managed_identity.requests
    [request] = filter(is_token_request, trusting_login.requests)
    assert token == "login-token-1"
    assert platform.query["client_id"] == FEDERATED_CLIENT_ID
    assert platform.query["resource"] == "api://AzureADTokenExchange"
    assert request.form["client_id"] == APP_ID
    assert request.form["client_assertion"] == "identity-token-1"


ODD_PLATFORM = [
    (400, {"statusCode": 400, "message": "No managed identity is assigned."}),
    (500, "<html>Internal Server Error</html>"),
    (200, b""),
    (200, b"not json"),
    (200, b"[1]"),
    (200, {}),
    (200, {"access_token": None, "expires_on": "99999999999"}),
    (302, b""),
]
ODD_LOGIN = [
    (401, {"error": "invalid_client", "error_description": "AADSTS7000215: invented"}),
    (500, "<html>Internal Server Error</html>"),
    (200, b""),
    (200, b"[1]"),
    (200, {"access_token": None, "expires_in": 3600}),
    (200, {"access_token": "x", "expires_in": "soon"}),
]


@pytest.mark.parametrize("by_login", [False, True], ids=["platform", "login"])
def test_odd_answers_are_failures_that_are_not_kept(managed_identity, trusting_login, by_login):
    asked = trusting_login if by_login else managed_identity
    for status, body in ODD_LOGIN if by_login else ODD_PLATFORM:
        tokens = of_password(trusting_login) if by_login else BotTokens(credential())
        asked.forget()
        is_odd = [True]

        def when(request, is_odd=is_odd):
            return is_odd[0] and (not by_login or is_token_request(request))

        asked.answer(status, body, times=9, when=when)
        with pytest.raises(BotCredentialError):
            tokens.token()

        assert len(list(filter(when, asked.requests))) <= 2
        is_odd[0] = False
        if status == 200:
            # MSAL itself leaves a login alone for a while that answered with an error.
            assert tokens.token()


def test_a_certificate_that_is_not_there_is_a_failure_with_its_reason_in_the_log(caplog, tmp_path):
    missing = str(tmp_path / "missing.pem")

    with pytest.raises(BotCredentialError):
        BotTokens(credential(AppType.SINGLE_TENANT, certificate_path=missing)).token()

    assert "FileNotFoundError" in caplog.text


# Secrets


def test_nothing_secret_is_logged_or_printed(trusting_login, managed_identity, caplog):
    caplog.set_level(logging.DEBUG)
    proof = credential(AppType.SINGLE_TENANT, login_url=trusting_login.url, password=PASSWORD)
    tokens = BotTokens(proof)
    platform_tokens = BotTokens(credential())
    trusting_login.fail("invalid_client", "AADSTS7000215: invented")
    managed_identity.answer(400, {"message": "No managed identity is assigned."})

    for each in (tokens, platform_tokens):
        with pytest.raises(BotCredentialError) as caught:
            each.token()
        assert caught.value.__cause__ is None
        each.token()

    printed = f"{caplog.text} {tokens!r} {tokens.__dict__} {platform_tokens!r} {proof!r}"
    assert "AADSTS7000215" in printed
    assert APP_ID in printed
    for secret in (PASSWORD, managed_identity.secret, "login-token-2", "identity-token-2"):
        assert secret not in printed
