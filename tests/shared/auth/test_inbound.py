"""Who is taken for the Connector: nobody but the Connector."""

from collections.abc import Iterator
from functools import partial
from itertools import product
from typing import Any

import pytest

from shared.auth.inbound import ConnectorCallers, SigningKeys
from shared.errors import ForbiddenActivityError, KeysUnavailableError, UnauthorizedCallerError
from tests.support.clocks import FakeSeconds
from tests.support.exchange import ReceivedRequest
from tests.support.hostile_tokens import ACCEPTED, REFUSED, Forger
from tests.support.openid import ISSUER, StubOpenId, good_claims, make_signer

APP_ID = "5a4b3c2d-0000-4000-8000-00000000b070"
SERVICE_URL = "https://smba.trafficmanager.net/amer/"
MINUTE = 60


@pytest.fixture
def clock() -> FakeSeconds:
    return FakeSeconds()


@pytest.fixture
def openid() -> Iterator[StubOpenId]:
    with StubOpenId() as openid:
        yield openid


@pytest.fixture
def callers(openid: StubOpenId, clock: FakeSeconds) -> ConnectorCallers:
    return ConnectorCallers(APP_ID, ISSUER, SigningKeys(openid.metadata_url, clock=clock))


@pytest.fixture
def forger(openid: StubOpenId) -> Forger:
    return Forger(openid.signers[0], APP_ID, SERVICE_URL)


def claims(**changes: Any) -> dict[str, Any]:
    return good_claims(APP_ID, SERVICE_URL, **changes)


@pytest.mark.parametrize("case", REFUSED)
def test_whoever_does_not_prove_to_be_the_connector_is_refused(
    case: str, forger: Forger, callers: ConnectorCallers
):
    token = REFUSED[case](forger)

    with pytest.raises(UnauthorizedCallerError) as refused:
        callers.identify(f"Bearer {token}")

    assert str(refused.value) == str(UnauthorizedCallerError())


def test_a_header_without_a_bearer_token_is_refused(callers: ConnectorCallers, forger: Forger):
    token = forger.sign()
    for header in (None, "", "Bearer", "Bearer ", f"Basic {token}", f"bearer\t{token}", token):
        with pytest.raises(UnauthorizedCallerError):
            callers.identify(header)
    callers.identify(f"bearer {token}")


def test_a_key_that_is_published_for_another_algorithm_proves_nothing():
    signer = make_signer()
    forger = Forger(signer, APP_ID, SERVICE_URL)
    for algorithm in ("RS384", "RS512", "PS256"):
        with StubOpenId(signer) as openid:
            callers = ConnectorCallers(APP_ID, ISSUER, SigningKeys(openid.metadata_url))
            keys = {"keys": [{**signer.jwk, "alg": algorithm}]}
            openid.answer(200, keys, when=lambda request: request.path.endswith("/keys"))

            for token in (forger.sign_with(algorithm), forger.sign()):
                with pytest.raises(UnauthorizedCallerError):
                    callers.identify(f"Bearer {token}")


ODD_METADATA = [
    b"",
    b"not json",
    "<html>Service unavailable</html>",
    {},
    [],
    {"jwks_uri": None},
    {"jwks_uri": 5},
    {"jwks_uri": "file:///etc/passwd"},
]
ODD_KEYS = [
    {"keys": ["key"]},
    {"keys": [None]},
    {"keys": "key"},
    {"keys": []},
    {"keys": [{"kty": "EC", "kid": "1"}]},
    {"keys": [{"kty": "RSA", "kid": "1", "n": "!", "e": "!"}]},
]
ODD_PARTS: list[dict[str, Any]] = [
    {"alg": "RSA-OAEP", "use": "enc"},
    {"endorsements": None},
    {"endorsements": 5},
    {"endorsements": [{}]},
    {"n": "!"},
    {"n": 5},
    {"kid": []},
    {"kty": None},
    {"kty": "EC"},
]


def is_for(path: str, request: ReceivedRequest) -> bool:
    return request.path.endswith(path)


def test_odd_metadata_and_odd_keys_are_taken_for_none(
    openid: StubOpenId, forger: Forger, callers: ConnectorCallers, clock: FakeSeconds
):
    # It reaches this machine, but not by a name that is known to.
    elsewhere = {"jwks_uri": f"http://0.0.0.0:{openid.url.rpartition(':')[2]}/keys"}
    cases = [(odd, "") for odd in [*ODD_METADATA, elsewhere]]
    for odd, path in cases + [(odd, "/keys") for odd in ODD_KEYS]:
        openid.answer(200, odd, when=partial(is_for, path))
        with pytest.raises(KeysUnavailableError):
            callers.identify(f"Bearer {forger.sign()}")
        clock.now += 31


def test_a_key_that_is_of_no_use_does_not_spoil_the_others(
    openid: StubOpenId, forger: Forger, callers: ConnectorCallers, clock: FakeSeconds
):
    good = forger.signer.jwk
    alike = [{**good, "kid": "odd", **part} for part in ODD_PARTS]
    for number, odd in enumerate([*alike, {"kty": "RSA"}, None, "key"]):
        # It is not known yet, so all keys are read.
        key_id = f"new-{number}"
        keys = {"keys": [odd, {**good, "kid": key_id}]}
        openid.answer(200, keys, when=partial(is_for, "/keys"))
        callers.identify(f"Bearer {forger.signer.sign(claims(), kid=key_id)}")
        clock.now += 31


def test_the_connector_is_accepted(forger: Forger, callers: ConnectorCallers):
    for make in ACCEPTED.values():
        caller = callers.identify(f"Bearer {make(forger)}")
        caller.require(service_url=SERVICE_URL, channel_id="msteams")


@pytest.mark.parametrize(
    ("endorsements", "service_url", "channel_id"),
    [
        (("msteams",), None, "msteams"),
        (("msteams",), "https://evil.example/amer/", "msteams"),
        (("msteams",), "https://SMBA.trafficmanager.net/amer/", "msteams"),
        (("msteams",), f"{SERVICE_URL}/", "msteams"),
        (("msteams",), SERVICE_URL, None),
        (("msteams",), SERVICE_URL, "telegram"),
        ((), SERVICE_URL, "msteams"),
    ],
)
def test_a_token_is_good_only_for_its_service_url_and_the_channels_of_its_key(
    endorsements: tuple[str, ...], service_url: str | None, channel_id: str | None
):
    signer = make_signer(endorsements=endorsements)
    with StubOpenId(signer) as openid:
        callers = ConnectorCallers(APP_ID, ISSUER, SigningKeys(openid.metadata_url))
        caller = callers.identify(f"Bearer {signer.sign(claims())}")

    with pytest.raises(ForbiddenActivityError):
        caller.require(service_url=service_url, channel_id=channel_id)


def test_a_service_url_may_lack_the_last_slash_in_the_token_or_in_the_activity(
    openid: StubOpenId, callers: ConnectorCallers
):
    for claimed, told in product((SERVICE_URL, SERVICE_URL.rstrip("/")), repeat=2):
        token = openid.signers[0].sign(claims(serviceurl=claimed))
        callers.identify(f"Bearer {token}").require(service_url=told, channel_id="msteams")


def test_keys_are_read_once_for_many_calls_and_again_for_a_new_one(
    openid: StubOpenId, callers: ConnectorCallers, clock: FakeSeconds
):
    token = openid.signers[0].sign(claims())
    for _ in range(20):
        callers.identify(f"Bearer {token}")
        clock.now += MINUTE
    assert openid.key_reads == 1

    openid.signers.append(make_signer(1))
    callers.identify(f"Bearer {openid.signers[1].sign(claims())}")

    assert openid.key_reads == 2


def test_unknown_keys_have_the_metadata_read_once_in_30_seconds_at_most(
    openid: StubOpenId, callers: ConnectorCallers, clock: FakeSeconds
):
    for number in range(50):
        with pytest.raises(UnauthorizedCallerError):
            callers.identify(f"Bearer {openid.signers[0].sign(claims(), kid=f'made-up-{number}')}")
        clock.now += 1

    assert openid.key_reads == 2


def test_a_key_that_was_rotated_away_is_refused_after_a_day(
    openid: StubOpenId, callers: ConnectorCallers, clock: FakeSeconds
):
    token = openid.signers[0].sign(claims())
    callers.identify(f"Bearer {token}")
    openid.signers[:] = [make_signer(1)]
    clock.now += 25 * 60 * MINUTE

    with pytest.raises(UnauthorizedCallerError):
        callers.identify(f"Bearer {token}")


@pytest.mark.parametrize("is_down", [True, False], ids=["down", "has no keys"])
def test_known_keys_go_on_working_while_the_metadata_is_of_no_use(
    openid: StubOpenId, callers: ConnectorCallers, clock: FakeSeconds, is_down: bool
):
    token = openid.signers[0].sign(claims())
    callers.identify(f"Bearer {token}")
    if is_down:
        openid.answer(500, times=99)
    else:
        openid.signers.clear()
    clock.now += 25 * 60 * MINUTE

    assert callers.identify(f"Bearer {token}").service_url == SERVICE_URL


def test_an_unknown_key_is_no_refusal_while_the_metadata_is_down(
    openid: StubOpenId, callers: ConnectorCallers
):
    openid.answer(500, times=99)

    for _ in range(2):
        with pytest.raises(KeysUnavailableError):
            callers.identify(f"Bearer {openid.signers[0].sign(claims())}")
