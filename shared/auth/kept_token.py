"""A token: asked for once, kept until shortly before it expires.

A credential does the asking, of ``azure-identity`` or of a managed identity. What is added here:
one request at a time is made however many threads need one, a failure is shared by those who waited
for it, and a token that is still good outlives a login service that is down or hangs for a moment.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.errors import AppError

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, TokenCredential

_logger = logging.getLogger(__name__)

_EXPIRY_MARGIN_SECONDS = 300
_RETRY_WHILE_GOOD_SECONDS = 30


@dataclass(frozen=True)
class _Kept:
    answer: "AccessToken"
    refresh_at: float


class KeptToken:
    """A token for one scope, for all threads of the process.

    It is a credential itself, as azure.core has credentials (TokenCredential).
    """

    def __init__(
        self,
        make_credential: "Callable[[], TokenCredential]",
        scope: str,
        *,
        user: str,
        make_error: Callable[[], AppError],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Make the credential when it is needed; ``clock`` gives seconds since 1970.

        ``user`` is who needs the token, for the log. ``make_error`` makes what is raised where
        there is none.
        """
        self._make_credential = make_credential
        self._scope = scope
        self._user = user
        self._make_error = make_error
        self._clock = clock
        self._credential: TokenCredential | None = None
        self._lock = threading.Lock()
        self._kept: _Kept | None = None
        self._failures = 0

    def token(self) -> str:
        """Return the token; raise the error of this token when there is none to be had."""
        return self.get_token().token

    def get_token(self, *_scopes: str, **_options: object) -> "AccessToken":
        """Return the token with its expiry; raise as ``token`` does."""
        kept = self._kept
        if kept is not None and self._clock() < kept.refresh_at:
            return kept.answer
        failures_before = self._failures
        is_needed = kept is None or self._is_spent(kept)
        if not self._lock.acquire(blocking=is_needed) and kept is not None:
            # Somebody else asks, and a login service that hangs is not waited for by all.
            return kept.answer
        try:
            kept = self._kept
            if kept is not None and self._clock() < kept.refresh_at:
                return kept.answer
            if self._failures != failures_before:
                # The one who held the lock just failed; asking again at once would only add load.
                raise self._make_error()
            return self._ask(kept)
        finally:
            self._lock.release()

    def drop(self, refused: str) -> None:
        """Forget the token that was refused, and what the credential keeps of it.

        A newer token stays: several threads can be refused with one old token.
        """
        with self._lock:
            if self._kept is not None and self._kept.answer.token == refused:
                self._kept = None
                self._credential = None

    def _is_spent(self, kept: _Kept) -> bool:
        return self._clock() >= kept.answer.expires_on - _RETRY_WHILE_GOOD_SECONDS

    def _ask(self, kept: _Kept | None) -> "AccessToken":
        try:
            answer = self._request()
        # azure-identity also lets through whatever a strange answer of the login made it stumble
        # over; none of it is the fault of what the token is for.
        except Exception as error:  # noqa: BLE001  # of any type, see above
            _logger.error("No token for %s: %s: %.500s", self._user, type(error).__name__, error)
            if kept is not None and not self._is_spent(kept):
                self._kept = _Kept(kept.answer, self._clock() + _RETRY_WHILE_GOOD_SECONDS)
                return kept.answer
            self._failures += 1
            raise self._make_error() from None
        lifetime = answer.expires_on - self._clock()
        margin = min(_EXPIRY_MARGIN_SECONDS, lifetime / 2)
        self._kept = _Kept(answer, answer.expires_on - margin)
        return answer

    def _request(self) -> "AccessToken":
        if self._credential is None:
            self._credential = self._make_credential()
        answer = self._credential.get_token(self._scope)
        if not answer.token:
            raise ValueError("the answer holds no token")
        return answer
