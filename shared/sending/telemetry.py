"""One line in the log for what became of each call and each message.

The line is ``outcome`` and a JSON object, so that counters, alert rules and searches can live on it
(in Application Insights: ``parse_json``). ``throttled`` is what the Connector answered with 429,
``held-back`` what was not even called, to keep the pace or a pause. ``traceId`` is that of the
message's sender, the same in all its lines. It holds no text, no token, and of people only a hash.
"""

import json
import logging
from enum import StrEnum

from shared.connector.errors import ConnectorError
from shared.errors import AppError, HeldBackError
from shared.storage.tables import key_of

_logger = logging.getLogger(__name__)


class Outcome(StrEnum):
    """What became of a message, or of a call that HTTP asked for."""

    SENT = "sent"
    RETRIED = "retried"
    THROTTLED = "throttled"
    HELD_BACK = "held-back"
    FAILED = "failed"
    SUPPRESSED = "suppressed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


def report(
    outcome: Outcome,
    *,
    user_id: str | None = None,
    traceparent: str | None = None,
    **fields: str | int | float | None,
) -> None:
    """Write the line; fields that are None are left out."""
    told = {
        "outcome": outcome.value,
        **fields,
        "user": key_of(user_id)[:16] if user_id else None,
        "traceId": _trace_id(traceparent),
    }
    known = {name: value for name, value in told.items() if value is not None}
    level = logging.ERROR if outcome is Outcome.FAILED else logging.INFO
    _logger.log(level, "outcome %s", json.dumps(known))


def outcome_of(error: AppError, otherwise: Outcome) -> Outcome:
    """Return the outcome that an error is by itself, or else what it is ``otherwise``."""
    if isinstance(error, ConnectorError) and error.is_throttling:
        return Outcome.THROTTLED
    return Outcome.HELD_BACK if isinstance(error, HeldBackError) else otherwise


def _trace_id(traceparent: str | None) -> str | None:
    """Return the trace id of a traceparent: W3C Trace Context, section 3.2."""
    parts = (traceparent or "").split("-")
    return parts[1] if len(parts) >= 4 and len(parts[1]) == 32 else None
