"""Where a list goes on: storage's own token, as text for callers."""

import base64
import json
import re
from typing import Any

from shared.errors import FieldError, InvalidRequestError

_KEYS = {"PartitionKey", "RowKey"}
# Those of our rows are hashes and short names, which storage encodes.
_KEY = re.compile(r"[!-~]{1,1000}")


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
    if not isinstance(read, dict) or set(read) != _KEYS:
        raise unknown_token()
    # Storage gives no row key where the next page begins with a partition.
    keys = [read["PartitionKey"], "-" if read["RowKey"] is None else read["RowKey"]]
    if not all(isinstance(key, str) and _KEY.fullmatch(key) for key in keys):
        raise unknown_token()
    return read


def unknown_token() -> InvalidRequestError:
    """Return the error of a token that no page of a list came with."""
    return InvalidRequestError(FieldError("continuationToken", "is not one that this list gave"))
