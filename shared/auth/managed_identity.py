"""Tokens of a managed identity, which the platform that the app runs on gives.

MSAL asks for them, as azure-identity has it do. Alone it loads in a moment; azure-identity loads
what all other credentials need too, a quarter of the work up to a new process's first message.
"""

import time
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msal  # type: ignore[import-untyped]  # untyped there
import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken

_RETRIES = Retry(
    total=1,
    backoff_factor=0.8,
    status_forcelist=(404, 408, 410, 429, 500, 502, 503, 504),
    respect_retry_after_header=False,
    raise_on_status=False,
)


class ManagedIdentity:
    """The credential of a managed identity, as azure.core has credentials (TokenCredential)."""

    def __init__(self, client_id: str) -> None:
        """Take the id of the identity; empty for the one that the app has of itself."""
        identity = (
            msal.UserAssignedManagedIdentity(client_id=client_id)
            if client_id
            else msal.SystemAssignedManagedIdentity()
        )
        self._client = msal.ManagedIdentityClient(identity, http_client=_Session())

    def get_token(self, *scopes: str, **_options: Any) -> "AccessToken":
        """Return the token for a scope; raise azure.core's ClientAuthenticationError."""
        [scope] = scopes
        try:
            answer = self._client.acquire_token_for_client(resource=scope.removesuffix("/.default"))
        except requests.RequestException as error:
            raise _failed(type(error).__name__) from error
        if "access_token" not in answer:
            raise _failed(f"{answer.get('error')}: {answer.get('error_description')}")
        expires_on = int(time.time()) + answer["expires_in"]
        return cast("AccessToken", _Token(answer["access_token"], expires_on))


class _Token(NamedTuple):
    """As azure.core's AccessToken, which would load all of azure.core."""

    token: str
    expires_on: int


class _Session(requests.Session):
    """Bounds one request, so that nothing waits long for a platform that hangs."""

    def __init__(self) -> None:
        super().__init__()
        for scheme in ("http://", "https://"):
            self.mount(scheme, HTTPAdapter(max_retries=_RETRIES))

    def get(self, url: str | bytes, **options: Any) -> requests.Response:
        # A redirect would take the secret header to somebody else.
        return super().get(url, timeout=(5, 10), allow_redirects=False, **options)


def _failed(reason: str) -> Exception:
    from azure.core.exceptions import ClientAuthenticationError

    return ClientAuthenticationError(f"The managed identity gives no token: {reason}")
