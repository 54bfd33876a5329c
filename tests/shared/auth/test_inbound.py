"""Who is taken for the Connector: nobody but the Connector."""

import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from typing import Any

import pytest

from shared.auth.inbound import ConnectorCallers, SigningKeys
from shared.errors import ForbiddenActivityError, KeysUnavailableError, UnauthorizedCallerError
from tests.support.openid import ISSUER, Signer, StubOpenId, good_claims, make_signer, unsigned

APP_ID = "5a4b3c2d-0000-4000-8000-00000000b070"
SERVICE_URL = "https://smba.trafficmanager.net/amer/"
MINUTE = 60


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def openid() -> Iterator[StubOpenId]:
    with StubOpenId() as openid:
        yield openid


@pytest.fixture
def callers(openid: StubOpenId, clock: Clock) -> ConnectorCallers:
    return ConnectorCallers(APP_ID, ISSUER, SigningKeys(openid.metadata_url, clock=clock))


def claims(**changes: Any) -> dict[str, Any]:
    return good_claims(APP_ID, SERVICE_URL, **changes)


def later(seconds: int) -> int:
    return int(good_claims(APP_ID, SERVICE_URL, nbf=None)["exp"]) - 3600 + seconds


def with_the_public_key_as_secret(signer: Signer) -> str:
    # PyJWT itself refuses to make such a token.
    header = {"alg": "HS256", "typ": "JWT", "kid": signer.key_id}
    parts = [
        urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims())
    ]
    signature = hmac.digest(signer.public_pem, b".".join(parts), "sha256")
    return b".".join((*parts, urlsafe_b64encode(signature).rstrip(b"="))).decode()


def tampered(token: str) -> str:
    header, _, signature = token.split(".")
    forged = urlsafe_b64encode(json.dumps(claims(aud="somebody-else")).encode()).rstrip(b"=")
    return ".".join((header, forged.decode(), signature))


REFUSED = {
    "algorithm none": lambda signer: unsigned(claims(), kid=signer.key_id),
    "HS256 with the public key": with_the_public_key_as_secret,
    "PS256": lambda signer: __import__("jwt").encode(
        claims(), signer.private_key, algorithm="PS256", headers={"kid": signer.key_id}
    ),
    "RS512": lambda signer: __import__("jwt").encode(
        claims(), signer.private_key, algorithm="RS512", headers={"kid": signer.key_id}
    ),
    "another issuer": lambda signer: signer.sign(claims(iss="https://api.botframework.us")),
    "Entra as issuer": lambda signer: signer.sign(claims(iss="https://sts.windows.net/d6d49420/")),
    "no issuer": lambda signer: signer.sign(claims(iss=None)),
    "another audience": lambda signer: signer.sign(claims(aud="somebody-else")),
    "two audiences": lambda signer: signer.sign(claims(aud=[APP_ID, "somebody-else"])),
    "a list of one audience": lambda signer: signer.sign(claims(aud=[APP_ID])),
    "no audience": lambda signer: signer.sign(claims(aud=None)),
    "no expiry": lambda signer: signer.sign(claims(exp=None)),
    "no not-before": lambda signer: signer.sign(claims(nbf=None)),
    "an expiry that is no number": lambda signer: signer.sign(claims(exp="tomorrow")),
    "expired 6 minutes ago": lambda signer: signer.sign(claims(exp=later(-6 * MINUTE))),
    "good only in 6 minutes": lambda signer: signer.sign(claims(nbf=later(6 * MINUTE))),
    "an unknown key": lambda signer: signer.sign(claims(), kid="unknown"),
    "no key": lambda signer: signer.sign(claims(), kid=None),
    "another key under a known id": lambda signer: Signer(
        signer.key_id, make_signer(1).private_key
    ).sign(claims()),
    "a tampered body": lambda signer: tampered(signer.sign(claims())),
    "no signature": lambda signer: signer.sign(claims()).rpartition(".")[0] + ".",
    "no serviceurl claim": lambda signer: signer.sign(claims(serviceurl=None)),
    "an empty serviceurl claim": lambda signer: signer.sign(claims(serviceurl="")),
    "a serviceurl claim that is no text": lambda signer: signer.sign(claims(serviceurl=[1])),
    "not a token": lambda _signer: "hello",
    "a token of 100 KB": lambda signer: signer.sign(claims(padding="x" * 100_000)),
}


@pytest.mark.parametrize("case", REFUSED)
def test_whoever_does_not_prove_to_be_the_connector_is_refused(
    case: str, openid: StubOpenId, callers: ConnectorCallers
):
    token = REFUSED[case](openid.signers[0])

    with pytest.raises(UnauthorizedCallerError) as refused:
        callers.identify(f"Bearer {token}")

    assert str(refused.value) == str(UnauthorizedCallerError())


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "bearer\ttoken"]
)
def test_a_header_without_a_bearer_token_is_refused(
    authorization: str | None, callers: ConnectorCallers
):
    with pytest.raises(UnauthorizedCallerError):
        callers.identify(authorization)


ACCEPTED: dict[str, dict[str, Any]] = {
    "a good token": {},
    "expired 4 minutes ago": {"exp": later(-4 * MINUTE)},
    "good in 4 minutes": {"nbf": later(4 * MINUTE)},
    "the audience in capitals": {"aud": APP_ID.upper()},
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_the_connector_is_accepted(case: str, openid: StubOpenId, callers: ConnectorCallers):
    token = openid.signers[0].sign(claims(**ACCEPTED[case]))

    caller = callers.identify(f"Bearer {token}")

    caller.require(service_url=SERVICE_URL, channel_id="msteams")


@pytest.mark.parametrize(
    ("service_url", "channel_id"),
    [
        (None, "msteams"),
        ("https://evil.example/amer/", "msteams"),
        ("https://SMBA.trafficmanager.net/amer/", "msteams"),
        ("https://smba.trafficmanager.net/amer", "msteams"),
        (SERVICE_URL, None),
        (SERVICE_URL, "slack"),
        (SERVICE_URL, "MSTEAMS"),
    ],
)
def test_a_token_is_good_only_for_its_service_url_and_the_channels_of_its_key(
    service_url: str | None,
    channel_id: str | None,
    openid: StubOpenId,
    callers: ConnectorCallers,
):
    caller = callers.identify(f"Bearer {openid.signers[0].sign(claims())}")

    with pytest.raises(ForbiddenActivityError):
        caller.require(service_url=service_url, channel_id=channel_id)


def test_a_key_without_endorsements_speaks_for_no_channel(clock: Clock):
    signer = make_signer(endorsements=())
    with StubOpenId(signer) as openid:
        callers = ConnectorCallers(APP_ID, ISSUER, SigningKeys(openid.metadata_url, clock=clock))
        caller = callers.identify(f"Bearer {signer.sign(claims())}")

    with pytest.raises(ForbiddenActivityError):
        caller.require(service_url=SERVICE_URL, channel_id="msteams")


def test_keys_are_read_once_for_many_calls(openid: StubOpenId, callers: ConnectorCallers):
    token = openid.signers[0].sign(claims())

    for _ in range(20):
        callers.identify(f"Bearer {token}")

    assert openid.key_reads == 1


def test_a_new_key_is_read_when_it_is_first_used(
    openid: StubOpenId, callers: ConnectorCallers, clock: Clock
):
    callers.identify(f"Bearer {openid.signers[0].sign(claims())}")
    openid.signers.append(make_signer(1))
    clock.now += 31

    callers.identify(f"Bearer {openid.signers[1].sign(claims())}")

    assert openid.key_reads == 2


def test_unknown_keys_have_the_metadata_read_once_in_30_seconds_at_most(
    openid: StubOpenId, callers: ConnectorCallers, clock: Clock
):
    for number in range(50):
        with pytest.raises(UnauthorizedCallerError):
            callers.identify(f"Bearer {openid.signers[0].sign(claims(), kid=f'made-up-{number}')}")
        clock.now += 1

    assert openid.key_reads == 2


def test_a_key_that_was_rotated_away_is_refused_after_a_day(
    openid: StubOpenId, callers: ConnectorCallers, clock: Clock
):
    token = openid.signers[0].sign(claims())
    callers.identify(f"Bearer {token}")
    openid.signers[:] = [make_signer(1)]
    clock.now += 25 * 60 * MINUTE

    with pytest.raises(UnauthorizedCallerError):
        callers.identify(f"Bearer {token}")


def test_known_keys_go_on_working_while_the_metadata_is_down(
    openid: StubOpenId, callers: ConnectorCallers, clock: Clock
):
    token = openid.signers[0].sign(claims())
    callers.identify(f"Bearer {token}")
    openid.answer(500, times=99)
    clock.now += 25 * 60 * MINUTE

    caller = callers.identify(f"Bearer {token}")

    assert caller.service_url == SERVICE_URL


def test_an_unknown_key_is_no_refusal_while_the_metadata_is_down(
    openid: StubOpenId, callers: ConnectorCallers
):
    openid.answer(500, times=99)

    for _ in range(2):
        with pytest.raises(KeysUnavailableError):
            callers.identify(f"Bearer {openid.signers[0].sign(claims())}")


def test_a_set_of_keys_that_is_empty_does_not_drop_those_that_are_known(
    openid: StubOpenId, callers: ConnectorCallers, clock: Clock
):
    token = openid.signers[0].sign(claims())
    callers.identify(f"Bearer {token}")
    openid.signers.clear()
    clock.now += 25 * 60 * MINUTE

    assert callers.identify(f"Bearer {token}").service_url == SERVICE_URL
