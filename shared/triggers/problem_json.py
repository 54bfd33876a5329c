"""Errors as problem details: RFC 9457."""

import json
import math
from http import HTTPStatus
from typing import Any

import azure.functions as func

from shared.errors import AppError

# Python has other words for these, depending on its version: RFC 9110, section 15.5.
_TITLES = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Content Too Large",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Unprocessable Content",
}


def problem(error: AppError) -> func.HttpResponse:
    """Return the answer that an error is."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": _TITLES.get(error.status, error.status.phrase),
        "status": int(error.status),
        "detail": error.detail,
        "code": error.code,
    }
    if error.field_errors:
        body["errors"] = [vars(each) for each in error.field_errors]
    if error.correlation_id:
        body["correlationId"] = error.correlation_id
    seconds = error.retry_after_seconds
    if seconds is None:
        seconds = error.http_retry_after_seconds
    headers = {} if seconds is None else {"Retry-After": str(math.ceil(seconds))}
    return func.HttpResponse(
        json.dumps(body),
        status_code=error.status,
        headers=headers,
        mimetype="application/problem+json",
    )
