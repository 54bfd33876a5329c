"""The Connector's OpenID metadata and keys, played on loopback, and tokens signed by them."""

import base64
import itertools
import json
import time
from dataclasses import dataclass
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.stub_server import Answer, ReceivedRequest, StubServer

ISSUER = "https://api.botframework.com"
ENDORSEMENTS = ("msteams", "webchat", "slack")


@dataclass(frozen=True)
class Signer:
    """A private key, the id that it is published under, and the channels it may speak for."""

    key_id: str
    private_key: rsa.RSAPrivateKey
    endorsements: tuple[str, ...] = ENDORSEMENTS

    @property
    def jwk(self) -> dict[str, Any]:
        """The public key as the metadata publishes it."""
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.private_key.public_key()))
        return {**public, "kid": self.key_id, "endorsements": list(self.endorsements)}

    @property
    def public_pem(self) -> bytes:
        return self.private_key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def sign(self, claims: dict[str, Any], **header: Any) -> str:
        """A token with these claims."""
        named = {"kid": self.key_id, **header}
        headers = {name: value for name, value in named.items() if value is not None}
        return jwt.encode(claims, self.private_key, algorithm="RS256", headers=headers)


_numbers = itertools.count(1)


@cache
def _private_key(number: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def make_signer(number: int = 0, endorsements: tuple[str, ...] = ENDORSEMENTS) -> Signer:
    """A signer with a key id of its own; those of one number share a key, which is slow to make."""
    return Signer(f"key-{next(_numbers)}", _private_key(number), endorsements)


class StubOpenId(StubServer):
    """Publishes the keys of its signers, as the Connector's login host does."""

    def __init__(self, *signers: Signer) -> None:
        self.signers = list(signers) or [make_signer()]
        super().__init__()

    @property
    def metadata_url(self) -> str:
        return f"{self.url}/v1/.well-known/openidconfiguration"

    @property
    def key_reads(self) -> int:
        """How often the keys were read."""
        return sum(request.path.endswith("/keys") for request in self.requests)

    def default_answer(self, request: ReceivedRequest) -> Answer:
        """The metadata, or the keys that it names."""
        if request.path.endswith("/openidconfiguration"):
            return Answer(200, {"issuer": ISSUER, "jwks_uri": f"{self.url}/keys"})
        return Answer(200, {"keys": [signer.jwk for signer in self.signers]})


def good_claims(app_id: str, service_url: str, **changes: Any) -> dict[str, Any]:
    """The claims of a token of the Connector's, for one activity; None takes a claim away."""
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": app_id,
        "nbf": now - 60,
        "exp": now + 3600,
        "serviceurl": service_url,
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


def unsigned(claims: dict[str, Any], **header: Any) -> str:
    """A token of algorithm ``none``."""
    parts = ({"alg": "none", "typ": "JWT", **header}, claims)
    encoded = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
    return b".".join((*encoded, b"")).decode()
