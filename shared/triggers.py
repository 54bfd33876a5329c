"""The edge to the Functions host: requests and messages in, answers out; errors mapped here only.

A handler takes a plain request or message and returns or raises; ``http_function`` and
``queue_function`` make of it what the host calls.
"""

import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import azure.functions as func

from shared import json_text
from shared.errors import (
    AppError,
    FieldError,
    InvalidRequestError,
    RequestTooLargeError,
)
from shared.flow import Handle, Taken, process
from shared.services import services

_logger = logging.getLogger(__name__)

_LARGEST_BODY_BYTES = 4 * 1024 * 1024
_LONGEST_ID = 1024
LAST_TRY = 25
"""After so many tries the Functions host gives up: ``maxDequeueCount`` of host.json."""

# Python has other words for these, depending on its version: RFC 9110, section 15.5.
_TITLES = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Content Too Large",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Unprocessable Content",
}

HttpHandler = Callable[[func.HttpRequest], func.HttpResponse]


def http_function(handle: HttpHandler) -> HttpHandler:
    """Answer the errors of a handler as problem details (RFC 9457)."""

    def run(req: func.HttpRequest) -> func.HttpResponse:
        try:
            return handle(req)
        except AppError as error:
            if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                _logger.error("Answered %d %s: %s", error.status, error.code, error)
            else:
                _logger.info("Answered %d %s", error.status, error.code)
            return _problem(error)

    run.__name__ = handle.__name__
    run.__doc__ = handle.__doc__
    return run


def queue_function(
    queue: str,
) -> Callable[[Handle], Callable[[func.QueueMessage, func.Context], None]]:
    """Have a handler called with each message of a queue, and settle what it returns or raises."""

    def decorate(handle: Handle) -> Callable[[func.QueueMessage, func.Context], None]:
        def run(message: func.QueueMessage, context: func.Context) -> None:
            taken = Taken(
                queue,
                message.get_body().decode("utf-8", "replace"),
                message_id=message.id or "",
                inserted_at=_in_utc(message.insertion_time),
                is_last_try=(message.dequeue_count or 0) >= LAST_TRY,
                traceparent=context.trace_context.trace_parent,
            )
            process(taken, services(), handle)

        run.__name__ = handle.__name__
        run.__doc__ = handle.__doc__
        return run

    return decorate


def _in_utc(time: datetime | None) -> datetime | None:
    # azure-functions drops the zone of what does not end in Z.
    return time.replace(tzinfo=UTC) if time is not None and time.tzinfo is None else time


def read_json(request: func.HttpRequest) -> dict[str, Any]:
    """Return the request's JSON object; raise InvalidRequestError or RequestTooLargeError."""
    body = request.get_body()
    if len(body) > _LARGEST_BODY_BYTES:
        raise RequestTooLargeError(
            FieldError("(body)", f"must be at most {_LARGEST_BODY_BYTES // 1024} KB")
        )
    return json_text.parse_object(body)


def path_id(request: func.HttpRequest, name: str) -> str:
    """Return an id from the path, or from the query, which wins and takes any character.

    The Functions host decodes a path's percent-encoding, but for an encoded slash.
    """
    in_path: str = request.route_params.get(name, "")
    value = request.params.get(name) or in_path.replace("%2F", "/").replace("%2f", "/")
    if not 0 < len(value) <= _LONGEST_ID:
        raise InvalidRequestError(FieldError(name, f"must have 1 to {_LONGEST_ID} characters"))
    return value


def json_response(
    body: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK, **headers: str
) -> func.HttpResponse:
    """Return a JSON answer; ``headers`` with ``_`` for ``-``."""
    return func.HttpResponse(
        json.dumps(body),
        status_code=status,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        mimetype="application/json",
    )


def page_response(
    name: str, members: Sequence[Mapping[str, Any]], token: str | None
) -> func.HttpResponse:
    """Return a page of a list, with the token of the next page, if there is one."""
    page: dict[str, Any] = {name: members}
    if token is not None:
        page["continuationToken"] = token
    return json_response(page)


def no_content() -> func.HttpResponse:
    """Return an answer that says only that it is done."""
    return func.HttpResponse(status_code=HTTPStatus.NO_CONTENT)


def _problem(error: AppError) -> func.HttpResponse:
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
