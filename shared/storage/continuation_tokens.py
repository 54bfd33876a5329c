"""Where a list goes on: storage's own token, as text for callers."""

import base64
import json
import re
from typing import Any

from shared.errors import FieldError, InvalidRequestError

# Storage gets its token back in two headers.
_KEYS = {"PartitionKey", "RowKey"}
_KEY = re.compile(r"[!-~]*")


def write_token(token: dict[str, Any] | None) -> str | None:
    """Return storage's token as text that fits a query; None stays None: there is no next page."""
    if token is None:
        return None
    return base64.urlsafe_b64encode(json.dumps(token).encode()).decode().rstrip("=")


def read_token(token: str | None) -> dict[str, Any] | None:
    """Return storage's token again; raise InvalidRequestError for a text that is none of ours."""
    if token is None:
        return None
    try:
        read = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (ValueError, RecursionError):
        raise unknown_token() from None
    if not (
        isinstance(read, dict) and set(read) == _KEYS and all(map(_is_token_key, read.values()))
    ):
        raise unknown_token()
    return read


def unknown_token() -> InvalidRequestError:
    """Return the error of a token that no page of a list came with."""
    return InvalidRequestError(FieldError("continuationToken", "is not one that this list gave"))


def _is_token_key(key: object) -> bool:
    # Storage gives no row key where the next page begins with a partition.
    return key is None or (isinstance(key, str) and _KEY.fullmatch(key) is not None)
