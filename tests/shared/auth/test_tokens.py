import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from shared.auth.tokens import AppType, BotCredential, BotTokens, NoTokens, TokenSource
from shared.errors import BotCredentialError
from tests.support.clocks import FakeSeconds
from tests.support.login import is_token_request
from tests.support.waiting import until

APP_ID = "11111111-0000-4000-8000-000000000001"
TENANT_ID = "22222222-0000-4000-8000-000000000002"
FEDERATED_CLIENT_ID = "33333333-0000-4000-8000-000000000003"
RESOURCE = "https://api.botframework.com"
PASSWORD = "very-secret-password"
NOW = 1000.0
LIFETIME = 3600


def credential(app_type=AppType.USER_ASSIGNED_MSI, **changes):
    fields = {
        "app_type": app_type,
        "app_id": APP_ID,
        "tenant_id": TENANT_ID,
        "login_url": "https://login.microsoftonline.com",
        "scope": f"{RESOURCE}/.default",
        **changes,
    }
    return BotCredential(**fields)


def of_password(login, app_type=AppType.SINGLE_TENANT, **changes):
    return BotTokens(credential(app_type, login_url=login.url, password=PASSWORD, **changes))


class AzureCredential:
    """azure-identity's side: counts what it is asked, gives what it is told, waits at a gate."""

    def __init__(self, clock):
        self.asked = 0
        self.made = 0
        self.failures = 0
        self.error: Exception = ClientAuthenticationError("AADSTS7000215: invented")
        self.clock = clock
        self.gate = threading.Event()
        self.gate.set()

    def make(self, _credential):
        self.made += 1
        return self

    def get_token(self, *_scopes, **_options):
        self.asked += 1
        assert self.gate.wait(30)
        if self.failures:
            self.failures -= 1
            raise self.error
        return AccessToken(f"token-{self.asked}", int(self.clock.now) + LIFETIME)


@pytest.fixture
def clock():
    return FakeSeconds()


@pytest.fixture
def azure(clock):
    return AzureCredential(clock)


@pytest.fixture
def tokens(azure, clock):
    return BotTokens(credential(), make_azure_credential=azure.make, clock=clock)


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


# Kept and asked for


def test_no_token_is_asked_for_before_one_is_needed(tokens, azure):
    assert (azure.made, azure.asked) == (0, 0)


def test_a_token_is_kept(tokens, azure):
    got = [tokens.token() for _ in range(3)]

    assert got == ["token-1"] * 3
    assert azure.asked == 1


def test_a_token_is_renewed_five_minutes_before_it_expires(tokens, azure, clock):
    for seconds_left, token in ((LIFETIME, 1), (301, 1), (300, 2)):
        clock.now = NOW + LIFETIME - seconds_left
        assert tokens.token() == f"token-{token}"
        assert azure.asked == token


def test_a_token_that_lives_shortly_is_kept_for_half_its_life(tokens, azure, clock, monkeypatch):
    monkeypatch.setattr(f"{__name__}.LIFETIME", 60)
    tokens.token()

    clock.now = NOW + 29
    assert tokens.token() == "token-1"
    clock.now = NOW + 30
    assert tokens.token() == "token-2"


def test_however_many_threads_wait_one_token_is_asked_for(tokens, azure):
    azure.gate.clear()
    with ThreadPoolExecutor(16) as pool:
        calls = [pool.submit(tokens.token) for _ in range(16)]
        until(lambda: azure.asked)
        azure.gate.set()
        got = {call.result(30) for call in calls}

    assert got == {"token-1"}
    assert azure.asked == 1


# Failures


def test_whatever_azure_identity_fails_with_is_one_error_that_is_not_remembered(tokens, azure):
    for number, error in enumerate(
        [
            ClientAuthenticationError("refused"),
            ValueError("the certificate is odd"),
            FileNotFoundError("no such certificate"),
            ConnectionError("no network"),
            AttributeError("an answer of a kind that azure-identity does not expect"),
            KeyError("access_token"),
        ]
    ):
        azure.failures = 1
        azure.error = error
        with pytest.raises(BotCredentialError):
            tokens.token()

        assert tokens.token() == f"token-{2 * number + 2}"
        tokens.drop(f"token-{2 * number + 2}")


def test_those_who_wait_for_a_failing_request_share_its_failure(tokens, azure):
    azure.failures = 99
    azure.gate.clear()
    started = threading.Barrier(9)

    def ask():
        started.wait(30)
        with pytest.raises(BotCredentialError):
            tokens.token()

    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(ask) for _ in range(8)]
        started.wait(30)
        until(lambda: azure.asked)
        azure.gate.set()
        for call in calls:
            call.result(30)

    # Whoever came when all was over asks once more; nobody who waited does.
    assert azure.asked < 8


def test_a_good_token_outlives_a_login_that_fails(tokens, azure, clock):
    tokens.token()
    azure.failures = 99

    clock.now = NOW + LIFETIME - 300
    first = [tokens.token() for _ in range(5)]
    asked_at_once = azure.asked
    clock.now += 30
    second = [tokens.token() for _ in range(5)]

    assert first == second == ["token-1"] * 5
    assert asked_at_once == 2
    assert azure.asked == 3


def test_a_token_that_is_about_to_expire_outlives_nothing(tokens, azure, clock):
    tokens.token()
    azure.failures = 1

    clock.now = NOW + LIFETIME - 30

    with pytest.raises(BotCredentialError):
        tokens.token()


# Refused tokens


def test_a_refused_token_is_dropped_with_all_that_keeps_it(tokens, azure):
    tokens.token()

    tokens.drop("token-1")

    assert tokens.token() == "token-2"
    assert azure.made == 2


def test_a_newer_token_is_not_dropped_for_an_older_one(tokens, azure):
    tokens.token()
    tokens.drop("token-1")
    tokens.token()

    tokens.drop("token-1")

    assert tokens.token() == "token-2"
    assert azure.asked == 2


def test_a_dropped_token_does_not_outlive_a_login_that_fails(tokens, azure):
    tokens.token()
    tokens.drop("token-1")
    azure.failures = 1

    with pytest.raises(BotCredentialError):
        tokens.token()


def test_in_development_there_is_no_token():
    tokens: TokenSource = NoTokens()

    tokens.drop("anything")

    assert tokens.token() is None


# With the real azure-identity


def test_a_managed_identity_asks_the_platform(managed_identity):
    tokens = BotTokens(credential())

    got = [tokens.token(), tokens.token()]

    [request] = managed_identity.requests
    assert got == ["identity-token-1"] * 2
    assert request.query["client_id"] == APP_ID
    assert request.query["resource"] == RESOURCE


def test_a_managed_identity_is_asked_anew_after_a_refusal(managed_identity):
    tokens = BotTokens(credential())

    tokens.drop(tokens.token())

    assert tokens.token() == "identity-token-2"


@pytest.mark.parametrize(
    ("app_type", "tenant_id"),
    [(AppType.SINGLE_TENANT, TENANT_ID), (AppType.MULTI_TENANT, "botframework.com")],
)
def test_a_password_is_shown_to_the_tenant(trusting_login, app_type, tenant_id):
    tokens = of_password(trusting_login, app_type, tenant_id=tenant_id)

    got = [tokens.token(), tokens.token()]

    [request] = filter(is_token_request, trusting_login.requests)
    assert got == ["login-token-1"] * 2
    assert request.path == f"/{tenant_id}/oauth2/v2.0/token"
    assert request.form["grant_type"] == "client_credentials"
    assert request.form["client_id"] == APP_ID
    assert request.form["client_secret"] == PASSWORD
    assert request.form["scope"] == f"{RESOURCE}/.default"


def test_only_the_login_of_the_deployment_is_asked(trusting_login):
    tokens = of_password(trusting_login)

    tokens.token()

    # No look-up of the login host at Microsoft's: tests would not reach it.
    assert {request.path.split("/")[1] for request in trusting_login.requests} == {TENANT_ID}


def test_a_certificate_signs_for_the_bot(trusting_login, tmp_path):
    key, path = self_signed_certificate(tmp_path)
    tokens = BotTokens(
        credential(AppType.SINGLE_TENANT, login_url=trusting_login.url, certificate_path=str(path))
    )

    token = tokens.token()

    [request] = filter(is_token_request, trusting_login.requests)
    claims = jwt.decode(
        request.form["client_assertion"],
        key.public_key(),
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


def test_odd_answers_of_the_platform_are_failures(managed_identity):
    cases = [
        (400, {"statusCode": 400, "message": "No managed identity is assigned."}),
        (500, "<html>Internal Server Error</html>"),
        (200, b""),
        (200, b"not json"),
        (200, b"[1]"),
        (200, {}),
        (200, {"access_token": None, "expires_on": "99999999999"}),
        (302, b""),
    ]
    for status, body in cases:
        is_odd = [True]
        managed_identity.answer(status, body, times=9, when=lambda _, is_odd=is_odd: is_odd[0])
        asked_before = len(managed_identity.requests)

        with pytest.raises(BotCredentialError):
            BotTokens(credential()).token()

        assert len(managed_identity.requests) - asked_before <= 2
        is_odd[0] = False


def test_odd_answers_of_the_login_are_failures_that_are_not_kept(trusting_login):
    cases = [
        (401, {"error": "invalid_client", "error_description": "AADSTS7000215: invented"}),
        (500, "<html>Internal Server Error</html>"),
        (200, b""),
        (200, b"[1]"),
        (200, {"access_token": None, "expires_in": 3600}),
        (200, {"access_token": "x", "expires_in": "soon"}),
    ]
    for status, body in cases:
        is_odd = [True]

        def when(request, is_odd=is_odd):
            return is_token_request(request) and is_odd[0]

        trusting_login.answer(status, body, times=9, when=when)
        asked_before = len(list(filter(is_token_request, trusting_login.requests)))
        tokens = of_password(trusting_login)
        with pytest.raises(BotCredentialError):
            tokens.token()

        assert len(list(filter(is_token_request, trusting_login.requests))) - asked_before <= 2
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


def self_signed_certificate(folder):
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bot")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = folder / "bot.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return key, path
