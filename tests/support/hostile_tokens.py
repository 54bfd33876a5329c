"""Tokens that are not the Connector's, each in one way only, for all who must refuse them."""

import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jwt

from tests.support.openid import Signer, good_claims, make_signer, unsigned

_MINUTE = 60


@dataclass(frozen=True)
class Forger:
    """Makes tokens for a bot and an activity's service URL, signed by a key of the Connector's."""

    signer: Signer
    app_id: str
    service_url: str

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Good claims, but for the changes; None takes a claim away."""
        return good_claims(self.app_id, self.service_url, **changes)

    def sign(self, **changes: Any) -> str:
        """A token that is good, but for the changes of its claims."""
        return self.signer.sign(self.claims(**changes))

    def sign_with(self, algorithm: str) -> str:
        """A token with good claims, signed by the right key in another way."""
        return jwt.encode(
            self.claims(),
            self.signer.private_key,
            algorithm=algorithm,
            headers={"kid": self.signer.key_id},
        )

    def later(self, seconds: int) -> int:
        """The time so many seconds from now, as claims have it."""
        return int(self.claims()["nbf"]) + _MINUTE + seconds


def _with_the_public_key_as_secret(forger: Forger) -> str:
    # PyJWT itself refuses to make such a token.
    header = {"alg": "HS256", "typ": "JWT", "kid": forger.signer.key_id}
    signed = b".".join((_encoded(header), _encoded(forger.claims())))
    signature = hmac.digest(forger.signer.public_pem, signed, "sha256")
    return b".".join((signed, urlsafe_b64encode(signature).rstrip(b"="))).decode()


def _with_other_claims(forger: Forger) -> str:
    header, _, signature = forger.sign().split(".")
    claims = _encoded(forger.claims(name="somebody else"))
    return ".".join((header, claims.decode(), signature))


def _encoded(part: dict[str, Any]) -> bytes:
    return urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")


REFUSED: dict[str, Callable[[Forger], str]] = {
    "algorithm none": lambda forger: unsigned(forger.claims(), kid=forger.signer.key_id),
    "HS256 with the public key": _with_the_public_key_as_secret,
    "PS256": lambda forger: forger.sign_with("PS256"),
    "RS512": lambda forger: forger.sign_with("RS512"),
    "another issuer": lambda forger: forger.sign(iss="https://api.botframework.us"),
    "Entra as issuer": lambda forger: forger.sign(iss="https://sts.windows.net/d6d49420/"),
    "no issuer": lambda forger: forger.sign(iss=None),
    "another audience": lambda forger: forger.sign(aud="somebody-else"),
    "two audiences": lambda forger: forger.sign(aud=[forger.app_id, "somebody-else"]),
    "a list of one audience": lambda forger: forger.sign(aud=[forger.app_id]),
    "no audience": lambda forger: forger.sign(aud=None),
    "no expiry": lambda forger: forger.sign(exp=None),
    "no not-before": lambda forger: forger.sign(nbf=None),
    "an expiry that is no number": lambda forger: forger.sign(exp="tomorrow"),
    "expired 302 seconds ago": lambda forger: forger.sign(exp=forger.later(-5 * _MINUTE - 2)),
    "good only in 6 minutes": lambda forger: forger.sign(nbf=forger.later(6 * _MINUTE)),
    "an unknown key": lambda forger: forger.signer.sign(forger.claims(), kid="unknown"),
    "no key": lambda forger: forger.signer.sign(forger.claims(), kid=None),
    "another key under a known id": lambda forger: Signer(
        forger.signer.key_id, make_signer(1).private_key
    ).sign(forger.claims()),
    "a tampered body": _with_other_claims,
    "no signature": lambda forger: forger.sign().rpartition(".")[0] + ".",
    "no serviceurl claim": lambda forger: forger.sign(serviceurl=None),
    "an empty serviceurl claim": lambda forger: forger.sign(serviceurl=""),
    "a serviceurl claim that is no text": lambda forger: forger.sign(serviceurl=[1]),
    "not a token": lambda _forger: "hello",
    "a token of 20 KB": lambda forger: forger.sign(padding="x" * 20_000),
}

ACCEPTED: dict[str, Callable[[Forger], str]] = {
    "a good token": lambda forger: forger.sign(),
    "expired 4 minutes ago": lambda forger: forger.sign(exp=forger.later(-4 * _MINUTE)),
    "good in 4 minutes": lambda forger: forger.sign(nbf=forger.later(4 * _MINUTE)),
    "the audience in capitals": lambda forger: forger.sign(aud=forger.app_id.upper()),
}
