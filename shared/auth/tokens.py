"""The bot's own token: asked for once, kept until shortly before it expires.

``azure-identity`` does the asking, or MSAL for a managed identity. What is added here: the token is
kept as a plain string, one request at a time is made for it however many threads wait, a failure is
shared by those who waited for it, and a token that is still good outlives a login service that is
down for a moment.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from shared.errors import BotCredentialError

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, TokenCredential

_logger = logging.getLogger(__name__)

_EXPIRY_MARGIN_SECONDS = 300
_RETRY_WHILE_GOOD_SECONDS = 30
# Bounds one request for a token, so that no function waits long for a login service that hangs.
_NETWORK_BOUNDS: dict[str, Any] = {"connection_timeout": 5, "read_timeout": 10, "retry_total": 1}


class AppType(StrEnum):
    """How the bot proves who it is to Microsoft Entra."""

    USER_ASSIGNED_MSI = "UserAssignedMSI"
    SINGLE_TENANT = "SingleTenant"
    MULTI_TENANT = "MultiTenant"


@dataclass(frozen=True)
class BotCredential:
    """What the bot has to ask for its tokens with; nothing of it is ever printed."""

    app_type: AppType
    app_id: str
    tenant_id: str
    login_url: str
    scope: str
    password: str = field(default="", repr=False)
    certificate_path: str = field(default="", repr=False)
    federated_client_id: str = ""


class TokenSource(Protocol):
    """Gives the bot's token for the Connector."""

    def token(self) -> str | None:
        """Return the token; None where the Connector asks for none."""

    def drop(self, refused: str) -> None:
        """Forget the token that the Connector refused, so that the next call gets a new one."""


class NoTokens:
    """The token source of development without a credential: there is no token."""

    def token(self) -> None:
        """Return None: nothing is asked for."""

    def drop(self, refused: str) -> None:
        """Do nothing: there is nothing to forget."""


@dataclass(frozen=True)
class _Kept:
    token: str
    refresh_at: float
    expires_at: float


class BotTokens:
    """The token source of a bot with a credential; for all threads of the process."""

    def __init__(
        self,
        credential: BotCredential,
        *,
        make_azure_credential: "Callable[[BotCredential], TokenCredential] | None" = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the credential; ``clock`` gives seconds since 1970."""
        self._credential = credential
        self._make_azure_credential = make_azure_credential or azure_credential
        self._clock = clock
        self._azure_credential: TokenCredential | None = None
        self._lock = threading.Lock()
        self._kept: _Kept | None = None
        self._failures = 0

    def token(self) -> str:
        """Return the token; raise BotCredentialError when there is none to be had."""
        kept = self._kept
        if kept is not None and self._clock() < kept.refresh_at:
            return kept.token
        failures_before = self._failures
        with self._lock:
            kept = self._kept
            if kept is not None and self._clock() < kept.refresh_at:
                return kept.token
            if self._failures != failures_before:
                # The one who held the lock just failed; asking again at once would only add load.
                raise BotCredentialError
            return self._ask(kept)

    def drop(self, refused: str) -> None:
        """Forget the token that the Connector refused, and what the credential keeps of it.

        A newer token stays: several threads can be refused with one old token.
        """
        with self._lock:
            if self._kept is not None and self._kept.token == refused:
                self._kept = None
                self._azure_credential = None

    def _ask(self, kept: _Kept | None) -> str:
        try:
            answer = self._request()
        # azure-identity also lets through whatever a strange answer of the login made it stumble
        # over; none of it is the message's fault.
        except Exception as error:  # noqa: BLE001  # of any type, see above
            now = self._clock()
            _logger.error("No token for the bot: %s: %.500s", type(error).__name__, error)
            if kept is not None and now < kept.expires_at - _RETRY_WHILE_GOOD_SECONDS:
                self._kept = _Kept(kept.token, now + _RETRY_WHILE_GOOD_SECONDS, kept.expires_at)
                return kept.token
            self._failures += 1
            raise BotCredentialError from None
        now = self._clock()
        lifetime = answer.expires_on - now
        margin = min(_EXPIRY_MARGIN_SECONDS, lifetime / 2)
        self._kept = _Kept(answer.token, answer.expires_on - margin, answer.expires_on)
        return answer.token

    def _request(self) -> "AccessToken":
        if self._azure_credential is None:
            self._azure_credential = self._make_azure_credential(self._credential)
        answer = self._azure_credential.get_token(self._credential.scope)
        if not answer.token:
            raise ValueError("the answer holds no token")
        return answer


def azure_credential(credential: BotCredential) -> "TokenCredential":
    """Return the credential for the bot's app type and what it proves itself with."""
    # Imported here: only an invocation that calls the Connector needs it, and seldom all of it.
    from shared.auth.managed_identity import ManagedIdentity

    if credential.app_type is AppType.USER_ASSIGNED_MSI:
        return ManagedIdentity(credential.app_id)
    from azure.identity import (
        CertificateCredential,
        ClientAssertionCredential,
        ClientSecretCredential,
    )

    for noisy in ("azure.core", "azure.identity"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    entra: dict[str, Any] = {
        "tenant_id": credential.tenant_id,
        "client_id": credential.app_id,
        "authority": credential.login_url,
        # The bot's login host is given by the deployment, it needs no look-up at Microsoft's.
        "disable_instance_discovery": True,
        **_NETWORK_BOUNDS,
    }
    if credential.federated_client_id:
        identity = ManagedIdentity(credential.federated_client_id)
        return ClientAssertionCredential(
            func=lambda: identity.get_token("api://AzureADTokenExchange/.default").token, **entra
        )
    if credential.certificate_path:
        return CertificateCredential(certificate_path=credential.certificate_path, **entra)
    return ClientSecretCredential(client_secret=credential.password, **entra)
