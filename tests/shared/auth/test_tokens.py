"""Tokens kept, renewed and dropped, whoever gives them."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError

from shared.auth.tokens import BotTokens, NoTokens, TokenSource
from shared.errors import BotCredentialError
from tests.shared.auth.credentials import credential
from tests.support.clocks import FakeSeconds
from tests.support.waiting import until

NOW = 1000.0
LIFETIME = 3600


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
