"""Table and Queue storage by their REST API: one request, one answer.

For what each message needs. The clients of azure.data.tables and azure.storage.queue take more time
around a request than the request itself takes; they do the rest. Sources: "Authorize with Shared
Key", "Authorize with Microsoft Entra ID", "Versioning" and "Status and error codes" of the Azure
Storage REST API.
"""

import base64
import hmac
import re
from collections.abc import Callable, Mapping
from email.utils import formatdate
from http import HTTPStatus

from urllib3 import BaseHTTPResponse, Timeout
from urllib3.exceptions import HTTPError, MaxRetryError

from shared.auth.kept_token import KeptToken
from shared.connector.http_transport import Transport
from shared.errors import AppError, StorageRefusedError, StorageUnavailableError

_VERSION = "2020-12-06"
# Too large, or not what storage takes: another try would end the same.
_REFUSED = (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

Authorize = Callable[[str, str, dict[str, str]], None]
"""Takes the method, the path and the headers of a request, and adds what it is authorized by."""


class StorageService:
    """One service of the storage account, tables or queues; for all threads."""

    def __init__(
        self,
        url: str,
        authorize: Authorize,
        transport: Transport,
        *,
        timeout: Timeout,
        signature: str,
    ) -> None:
        """``signature`` is a shared access signature (SAS), which goes in the query."""
        self._timeout = timeout
        self._authorize = authorize
        self._signature = signature
        self._transport = transport
        origin, slash, path = url.rstrip("/").partition("://")
        host, slash, path = path.partition("/")
        self._origin = f"{origin}://{host}"
        # The emulator has the account's name in its paths.
        self._path = slash + path

    def ask(
        self,
        method: str,
        path: str,
        *expected: HTTPStatus,
        headers: Mapping[str, str],
        query: str = "",
        body: bytes | None = None,
    ) -> BaseHTTPResponse:
        """Return the answer, which has one of the ``expected`` statuses.

        ``path`` begins with a slash. Raises StorageRefusedError for what storage cannot take, and
        StorageUnavailableError when it does not do what it is asked.
        """
        path = self._path + path
        query = "&".join(filter(None, (query, self._signature)))
        sent = {**headers, "x-ms-date": formatdate(usegmt=True), "x-ms-version": _VERSION}
        self._authorize(method, path, sent)
        try:
            answer = self._transport.request(
                method,
                f"{self._origin}{path}?{query}" if query else self._origin + path,
                headers=sent,
                body=body,
                timeout=self._timeout,
            )
        except HTTPError as error:
            reason = error.reason if isinstance(error, MaxRetryError) else error
            raise storage_error(type(reason).__name__) from error
        if answer.status in expected:
            return answer
        raise storage_error(_code(answer), answer.status)


def was_repeated(answer: BaseHTTPResponse) -> bool:
    """Tell whether the request was sent again, because it failed or its answer was lost."""
    return bool(answer.retries and answer.retries.history)


def _code(answer: BaseHTTPResponse) -> str:
    """Return the error code of an answer, which tables write in the body, queues in a header."""
    written = re.search(rb'"code": ?"(\w+)"', answer.data)
    code = answer.headers.get("x-ms-error-code") or (written and written[1].decode())
    return code or str(answer.status)


def storage_error(reason: str, status: int | None = None) -> AppError:
    """Return the error that an answer of storage is, or that there was none (without ``status``).

    ``reason`` is storage's own code, or else the name of what failed.
    """
    if status in _REFUSED:
        return StorageRefusedError(f"Storage cannot take this: {reason}")
    return StorageUnavailableError(f"Storage did not do what it was asked: {reason}")


def unsigned(_method: str, _path: str, _headers: dict[str, str]) -> None:
    """Add nothing: the signature in the query is all."""


def shared_key_lite(account_name: str, key: str, *, is_table: bool) -> Authorize:
    """Return what signs requests with the account's key: "Shared Key Lite authorization"."""
    secret = base64.b64decode(key)

    def authorize(method: str, path: str, headers: dict[str, str]) -> None:
        if is_table:
            signed = headers["x-ms-date"]
        else:
            ours = sorted(name for name in headers if name.startswith("x-ms-"))
            canonical = "".join(f"{name}:{headers[name]}\n" for name in ours)
            signed = f"{method}\n\n{headers.get('Content-Type', '')}\n\n{canonical}".rstrip("\n")
        text = f"{signed}\n/{account_name}{path}".encode()
        signature = base64.b64encode(hmac.digest(secret, text, "sha256")).decode()
        headers["Authorization"] = f"SharedKeyLite {account_name}:{signature}"

    return authorize


def bearer(kept: KeptToken) -> Authorize:
    """Return what authorizes requests with a token of Microsoft Entra."""

    def authorize(_method: str, _path: str, headers: dict[str, str]) -> None:
        headers["Authorization"] = f"Bearer {kept.token()}"

    return authorize
