"""Tokens kept, renewed and dropped, whoever gives them."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from azure.core.exceptions import ClientAuthenticationError

from shared.auth.tokens import BotTokens, NoTokens, TokenSource
from shared.errors import BotCredentialError
from tests.shared.auth.credentials import LIFETIME, AzureCredential, credential
from tests.support.clocks import FakeSeconds
from tests.support.waiting import PATIENCE_SECONDS, until

NOW = 1000.0


@pytest.fixture
def clock():
    return FakeSeconds()


@pytest.fixture
def azure(clock):
    return AzureCredential(clock)


@pytest.fixture
def tokens(azure, clock):
    return BotTokens(credential(), make_azure_credential=azure.make, clock=clock)


def test_a_token_is_asked_for_when_one_is_needed_and_kept(tokens, azure):
    assert (azure.made, azure.asked) == (0, 0)

    assert [tokens.token() for _ in range(3)] == ["token-1"] * 3

    assert azure.asked == 1


@pytest.mark.parametrize(
    ("lifetime", "renewed_after"), [(LIFETIME, LIFETIME - 300), (60, 30)], ids=["long", "short"]
)
def test_a_token_is_renewed_five_minutes_before_it_expires_or_after_half_its_life(
    tokens, azure, clock, lifetime, renewed_after
):
    azure.lifetime = lifetime
    tokens.token()

    clock.now = NOW + renewed_after - 1
    assert tokens.token() == "token-1"
    clock.now = NOW + renewed_after
    assert tokens.token() == "token-2"


def test_however_many_threads_wait_one_token_is_asked_for(tokens, azure):
    azure.gate.clear()
    with ThreadPoolExecutor(16) as pool:
        calls = [pool.submit(tokens.token) for _ in range(16)]
        until(lambda: azure.asked)
        azure.gate.set()
        got = {call.result(PATIENCE_SECONDS) for call in calls}

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
        started.wait(PATIENCE_SECONDS)
        with pytest.raises(BotCredentialError):
            tokens.token()

    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(ask) for _ in range(8)]
        started.wait(PATIENCE_SECONDS)
        until(lambda: azure.asked)
        azure.gate.set()
        for call in calls:
            call.result(PATIENCE_SECONDS)

    # Whoever came when all was over asks once more; nobody who waited does.
    assert azure.asked < 8


def test_a_good_token_outlives_a_login_that_fails_until_it_is_about_to_expire(tokens, azure, clock):
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
    clock.now = NOW + LIFETIME - 30
    with pytest.raises(BotCredentialError):
        tokens.token()


def test_a_good_token_is_used_while_somebody_asks_for_a_newer_one(tokens, azure, clock):
    tokens.token()
    clock.now = NOW + LIFETIME - 300
    azure.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        newer = pool.submit(tokens.token)
        until(lambda: azure.asked == 2)

        assert tokens.token() == "token-1"
        azure.gate.set()
        assert newer.result(PATIENCE_SECONDS) == "token-2"

    assert tokens.token() == "token-2"


# Refused tokens


def test_a_refused_token_is_dropped_with_all_that_keeps_it_and_no_newer_one(tokens, azure):
    tokens.token()

    tokens.drop("token-1")

    # Nor is it taken where the login fails.
    azure.failures = 1
    with pytest.raises(BotCredentialError):
        tokens.token()
    assert tokens.token() == "token-3"
    assert azure.made == 2
    tokens.drop("token-1")
    assert tokens.token() == "token-3"


def test_in_development_there_is_no_token():
    tokens: TokenSource = NoTokens()

    tokens.drop("anything")

    assert tokens.token() is None
