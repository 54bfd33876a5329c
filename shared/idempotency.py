"""Requests with an Idempotency-Key: done once, and answered again when they come again.

Table ``idempotency``, a row for each key that was used. PartitionKey: the hash of the bot's app id,
the function's name and the key; RowKey: ``answer``. At first the row is a claim, then it has the
answer. When a process dies in between, its claim runs out by itself. The key is not stored. The
answer is encrypted with it, and it is part of the fingerprint of the request, so the row tells
neither. The header: the IETF's draft "The Idempotency-Key HTTP Header Field".
"""

import hmac
import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol, TypeVar

from shared.errors import (
    AppError,
    FieldError,
    IdempotencyKeyInUseError,
    IdempotencyKeyReusedError,
    InvalidRequestError,
    OutcomeUnknownError,
    ReplayedError,
    StorageRefusedError,
    StorageUnavailableError,
)
from shared.storage.clients import Storage
from shared.storage.encryption import decrypt, derived_key, encrypt
from shared.storage.tables import Row, Table, key_of, version_of

_logger = logging.getLogger(__name__)

_HEADER = "Idempotency-Key"
_KEY = re.compile(r"[\x20-\x7e]{1,255}")
_ROW_KEY = "answer"
_KEPT_FOR = timedelta(hours=24)
_TRY_AGAIN = (HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED, HTTPStatus.TOO_MANY_REQUESTS)


class Request(Protocol):
    """What makes one HTTP request the same as another."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, by name in any case."""

    @property
    def params(self) -> Mapping[str, str]:
        """What the query says."""

    @property
    def route_params(self) -> Mapping[str, str]:
        """What the path says."""

    def get_body(self) -> bytes:
        """Return the body."""


@dataclass(frozen=True)
class Answer:
    """What a request is answered: JSON, a status and headers."""

    body: Mapping[str, Any]
    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)


AnyRequest = TypeVar("AnyRequest", bound=Request)
Handle = Callable[[AnyRequest, datetime | None], Answer]


@dataclass(frozen=True)
class _Claim:
    """The right to do what a request asks for, and the row that says so."""

    row: dict[str, Any]
    version: str
    secret: str = field(repr=False)


class IdempotencyKeys:
    """Remembers for 24 hours what requests with a key were answered."""

    def __init__(
        self,
        storage: Storage,
        app_id: str,
        *,
        lease_seconds: float,
        give_up_ambiguous: bool = False,
        now: Callable[[], datetime] = partial(datetime.now, UTC),
    ) -> None:
        """``lease_seconds`` is how long a request may take."""
        self._table = Table(storage, "idempotency")
        self._app_id = app_id
        self._lease = timedelta(seconds=lease_seconds)
        self._give_up_ambiguous = give_up_ambiguous
        self._now = now

    def once(self, function: str, request: AnyRequest, handle: Handle[AnyRequest]) -> Answer:
        """Return the handler's answer to a request, or the one that its key got before.

        The handler takes the request, and until when it has it for itself; None without a key.
        An error that was the answer is raised again, as a ReplayedError. Raises
        IdempotencyKeyReusedError when the key came with another request before, and
        IdempotencyKeyInUseError while that request is still under way.
        """
        secret = request.headers.get(_HEADER)
        if secret is None:
            return handle(request, None)
        if not _KEY.fullmatch(secret):
            raise InvalidRequestError(
                FieldError(_HEADER, "must be 1 to 255 printable ASCII characters")
            )
        claim = self._claim(function, secret, request)
        if isinstance(claim, Answer):
            return claim
        return self._handle(claim, request, handle)

    def _handle(self, claim: _Claim, request: AnyRequest, handle: Handle[AnyRequest]) -> Answer:
        try:
            answer = handle(request, claim.row["until"])
        except AppError as error:
            if _is_final(error, give_up_ambiguous=self._give_up_ambiguous):
                self._keep(claim, {"error": _from_error(error)})
            else:
                self._release(claim)
            raise
        except BaseException:
            self._release(claim)
            raise
        self._keep(claim, {"answer": vars(answer)})
        return answer

    def _claim(self, function: str, secret: str, request: Request) -> _Claim | Answer:
        now = self._now()
        row: dict[str, Any] = {
            "PartitionKey": key_of(self._app_id, function, secret),
            "RowKey": _ROW_KEY,
            "fingerprint": _fingerprint(secret, request),
            "claimedAt": now,
            "until": now + self._lease,
        }
        version = self._table.insert(row)
        if version is None:
            held = self._table.get(row["PartitionKey"], _ROW_KEY)
            if held is None:
                # It was given back a moment ago: the next try finds it free.
                raise IdempotencyKeyInUseError
            if _is_answered(held, row, now):
                return _answer(decrypt(_answer_key(secret), bytes(held["answer"])))
            version = self._take_over(held, row, now)
        if version is None:
            raise IdempotencyKeyInUseError
        return _Claim(row, version, secret)

    def _take_over(self, held: Row, row: dict[str, Any], now: datetime) -> str | None:
        is_free = held["until"] <= now or _is_over(held, now)
        if is_free and self._give_up_ambiguous and not _is_over(held, now):
            raise OutcomeUnknownError(
                "The app died in the middle of the first request with this key, so nobody knows "
                "whether it was done"
            )
        return self._table.replace(row, version_of(held)) if is_free else None

    def _keep(self, claim: _Claim, answer: Mapping[str, Any]) -> None:
        encrypted = encrypt(_answer_key(claim.secret), json.dumps(answer))
        try:
            self._table.replace({**claim.row, "answer": encrypted}, claim.version)
        except StorageRefusedError:
            # Only the answer to a request with a hundred long mistakes is too large for a row.
            self._release(claim)
        except StorageUnavailableError as error:
            _logger.warning("An answer could not be kept, its claim will run out: %s", error)

    def _release(self, claim: _Claim) -> None:
        try:
            self._table.delete(claim.row["PartitionKey"], _ROW_KEY, claim.version)
        except StorageUnavailableError as error:
            _logger.warning("A claim could not be given back and will run out: %s", error)


def id_for_key(function: str, request: Request) -> str | None:
    """Return the id that an Idempotency-Key gives to what is made with it; None without one.

    It is the same each time: so what was made is found again, even when the answer was lost. It
    tells nothing of the key.
    """
    secret = request.headers.get(_HEADER)
    return derived_key(secret, f"id {function}").hex()[:32] if secret is not None else None


def _is_final(error: AppError, *, give_up_ambiguous: bool) -> bool:
    """Tell whether the same request would be answered the same again, or must not be made again."""
    if error.is_ambiguous and give_up_ambiguous:
        return True
    return (
        error.status < HTTPStatus.INTERNAL_SERVER_ERROR
        and error.status not in _TRY_AGAIN
        and error.retry_after_seconds is None
        and error.http_retry_after_seconds is None
    )


def _is_answered(held: Row, row: Row, now: datetime) -> bool:
    """Tell whether a row has the answer to the request of another row."""
    if _is_over(held, now):
        return False
    if bytes(held["fingerprint"]) != row["fingerprint"]:
        raise IdempotencyKeyReusedError
    return "answer" in held


def _is_over(held: Row, now: datetime) -> bool:
    return bool(held["claimedAt"] + _KEPT_FOR <= now)


def _fingerprint(secret: str, request: Request) -> bytes:
    # The function's own key may come in the query, and may be another one the next time.
    query = [each for each in request.params.items() if each[0].lower() != "code"]
    target = json.dumps([sorted(request.route_params.items()), sorted(query)])
    message = target.encode() + b"\n" + request.get_body()
    return hmac.digest(derived_key(secret, "fingerprint"), message, "sha256")


def _answer_key(secret: str) -> bytes:
    return derived_key(secret, "answer")


def _from_error(error: AppError) -> dict[str, Any]:
    return {
        "status": error.status,
        "code": error.code,
        "detail": error.detail,
        "field_errors": [vars(each) for each in error.field_errors],
        "correlation_id": error.correlation_id,
    }


def _answer(text: str) -> Answer:
    """Return the answer that was kept, or raise the error that it was."""
    kept = json.loads(text)
    if "error" in kept:
        error = kept["error"]
        raise ReplayedError(
            HTTPStatus(error["status"]),
            error["code"],
            error["detail"],
            [FieldError(**each) for each in error["field_errors"]],
            error["correlation_id"],
        )
    answer = kept["answer"]
    return Answer(answer["body"], HTTPStatus(answer["status"]), answer["headers"])
