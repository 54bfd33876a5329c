"""Who calls the bot's messaging endpoint: the Connector, or nobody.

The checks are those of "Authentication with the Bot Connector API", section "Authenticate requests
from the Bot Connector service to your bot", steps 2 to 4, all of them. A refusal says nothing of
which one failed, the log does. Tokens that Microsoft Entra issued (of the Emulator, of skills) are
never accepted: they carry no service URL, and anybody in a tenant can get one for the bot.
"""

import hmac
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import requests

from shared.auth.service_urls import is_safe
from shared.errors import ForbiddenActivityError, KeysUnavailableError, UnauthorizedCallerError

if TYPE_CHECKING:
    from jwt import PyJWK

_logger = logging.getLogger(__name__)

_ALGORITHM = "RS256"
_LONGEST_HEADER = 16 * 1024
_CLOCK_SKEW_SECONDS = 300
_KEYS_KEPT_SECONDS = 24 * 60 * 60
_REFRESH_COOLDOWN_SECONDS = 30
_FETCH_TIMEOUT_SECONDS = 5


@dataclass(frozen=True)
class SigningKey:
    """A key of the Connector's, and the channels that it may speak for."""

    key: "PyJWK"
    endorsements: frozenset[str]


class SigningKeys:
    """The Connector's keys, by key id, read from its OpenID metadata and kept for a day.

    A key id that is not known has them read again, but once in 30 s at most, so that nobody can
    make us hammer the metadata. When the metadata is down, the keys that are known go on working.
    """

    def __init__(
        self,
        metadata_url: str,
        *,
        use_proxy: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take where the metadata is; ``clock`` gives seconds.

        ``use_proxy`` lets ``requests`` take a proxy from the environment.
        """
        self._metadata_url = metadata_url
        self._use_proxy = use_proxy
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: Mapping[str, SigningKey] = {}
        self._read_at: float | None = None
        self._tried_at: float | None = None
        self._reachable = True

    def find(self, key_id: str) -> SigningKey:
        """Return a key by its id.

        Raises UnauthorizedCallerError when the Connector has no such key, KeysUnavailableError when
        it may have but cannot be asked.
        """
        known = self._keys.get(key_id)
        if known is not None and not self._is_too_old():
            return known
        # Who knows the key need not wait while somebody else reads the keys anew.
        if self._lock.acquire(blocking=known is None):
            try:
                if key_id not in self._keys or self._is_too_old():
                    self._refresh()
            finally:
                self._lock.release()
        found = self._keys.get(key_id)
        if found is not None:
            return found
        if not self._reachable:
            raise KeysUnavailableError("The Connector's signing keys cannot be read right now")
        raise _refused("no key with this id")

    def _is_too_old(self) -> bool:
        return self._read_at is None or self._clock() - self._read_at > _KEYS_KEPT_SECONDS

    def _refresh(self) -> None:
        now = self._clock()
        if self._tried_at is not None and now - self._tried_at < _REFRESH_COOLDOWN_SECONDS:
            return
        self._tried_at = now
        import jwt

        try:
            jwks_url = self._fetch(self._metadata_url)["jwks_uri"]
            if not is_safe(jwks_url):
                raise ValueError("the keys are not at a safe address")
            self._keys = _signing_keys(self._fetch(jwks_url)["keys"])
        except (
            requests.RequestException,
            jwt.PyJWTError,
            AttributeError,
            KeyError,
            TypeError,
            ValueError,
        ) as error:
            self._reachable = False
            _logger.error("The Connector's keys cannot be read: %s", type(error).__name__)
        else:
            self._reachable = True
            self._read_at = now

    def _fetch(self, url: str) -> Any:
        with requests.Session() as session:
            session.trust_env = self._use_proxy
            answer = session.get(url, timeout=_FETCH_TIMEOUT_SECONDS, allow_redirects=False)
            answer.raise_for_status()
            return answer.json()


@dataclass(frozen=True)
class Caller:
    """The Connector, as far as its token proves: for this service URL and these channels."""

    service_url: str
    endorsements: frozenset[str]

    def require(self, *, service_url: str | None, channel_id: str | None) -> None:
        """Raise ForbiddenActivityError unless the token is good for such an activity."""
        # One of them may lack the last slash: microsoft/teams.net#549.
        if service_url is None or _without_slash(service_url) != _without_slash(self.service_url):
            raise _forbidden("the activity's serviceUrl is not the token's")
        endorsed = {str(each).lower() for each in self.endorsements}
        if channel_id is None or channel_id.lower() not in endorsed:
            raise _forbidden("the key is not endorsed for the activity's channel")


class Callers(Protocol):
    """Tells who calls the messaging endpoint."""

    def identify(self, authorization: str | None) -> Caller:
        """Return who calls by the header ``Authorization``; raise UnauthorizedCallerError."""


class AnyCaller(Caller):
    """The caller of development without a credential, who may say anything."""

    def require(self, *, service_url: str | None, channel_id: str | None) -> None:
        """Do nothing: there is no token to compare with."""


class AnyCallers:
    """Takes everybody for the Connector: development without a credential."""

    def identify(self, authorization: str | None) -> Caller:  # noqa: ARG002  # as the Connector's
        """Return a caller who may say anything."""
        return AnyCaller("", frozenset())


class ConnectorCallers:
    """Takes nobody but the Connector for the Connector, by its token."""

    def __init__(self, app_id: str, issuer: str, keys: SigningKeys) -> None:
        """Take the audience and the issuer of good tokens, and the keys that sign them."""
        self._app_id = app_id
        self._issuer = issuer
        self._keys = keys

    def identify(self, authorization: str | None) -> Caller:
        """Return who calls by the header ``Authorization``; raise UnauthorizedCallerError."""
        import jwt

        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token or len(token) > _LONGEST_HEADER:
            raise _refused("no bearer token")
        try:
            key = self._keys.find(str(jwt.get_unverified_header(token).get("kid")))
            claims = jwt.decode(
                token,
                key.key,
                algorithms=[_ALGORITHM],
                issuer=self._issuer,
                leeway=_CLOCK_SKEW_SECONDS,
                # The audience is compared below: PyJWT would accept a list, and minds the case.
                options={"require": ["exp", "nbf", "iss", "aud"], "verify_aud": False},
            )
        except jwt.PyJWTError as error:
            raise _refused(type(error).__name__) from None
        audience = claims["aud"]
        if not isinstance(audience, str) or not hmac.compare_digest(
            audience.lower().encode(), self._app_id.lower().encode()
        ):
            raise _refused("another audience")
        service_url = claims.get("serviceurl")
        if not isinstance(service_url, str) or not service_url:
            raise _refused("no serviceurl claim")
        return Caller(service_url, key.endorsements)


def _signing_keys(keys: list[Mapping[str, Any]]) -> dict[str, SigningKey]:
    import jwt

    signing_keys = {}
    for key in keys:
        try:
            if key["kty"] == "RSA":
                endorsements = frozenset(key.get("endorsements") or ())
                signing_keys[key["kid"]] = SigningKey(jwt.PyJWK(dict(key)), endorsements)
        except (jwt.PyJWTError, AttributeError, KeyError, TypeError, ValueError) as error:
            _logger.warning("A key of the Connector's is of no use: %s", type(error).__name__)
    if not signing_keys:
        raise ValueError("the metadata names no keys")
    return signing_keys


def _without_slash(url: str) -> str:
    return url.removesuffix("/")


def _refused(reason: str) -> UnauthorizedCallerError:
    _logger.warning("A call to the messaging endpoint was refused: %s", reason)
    return UnauthorizedCallerError()


def _forbidden(reason: str) -> ForbiddenActivityError:
    _logger.warning("An activity was refused: %s", reason)
    return ForbiddenActivityError()
