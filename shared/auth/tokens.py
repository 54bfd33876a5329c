"""The bot's own token, and the credentials that give it."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from shared.auth.kept_token import KeptToken
from shared.errors import BotCredentialError

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

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


class BotTokens(KeptToken):
    """The token source of a bot with a credential: raises BotCredentialError."""

    def __init__(
        self,
        credential: BotCredential,
        *,
        make_azure_credential: "Callable[[BotCredential], TokenCredential] | None" = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the credential; ``clock`` gives seconds since 1970."""
        make = make_azure_credential or azure_credential
        super().__init__(
            lambda: make(credential),
            credential.scope,
            user="the bot",
            make_error=BotCredentialError,
            clock=clock,
        )


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
