"""Requests in, answers out; errors become answers here only.

A handler takes a request and returns an answer or raises; ``http_function`` makes of it what the
Functions host calls.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import azure.functions as func

from shared import json_text
from shared.errors import AppError, FieldError, InvalidRequestError, RequestTooLargeError
from shared.triggers.problem_json import problem

_logger = logging.getLogger(__name__)

_LARGEST_BODY_BYTES = 4 * 1024 * 1024
_LONGEST_ID = 1024
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
            return problem(error)

    run.__name__ = handle.__name__
    run.__doc__ = handle.__doc__
    return run


def read_json(request: func.HttpRequest) -> dict[str, Any]:
    """Return the request's JSON object; raise InvalidRequestError or RequestTooLargeError."""
    body = read_body(request)
    if not body:
        # A body in chunks does not reach a function: https://github.com/Azure/azure-functions-host/issues/7930
        raise InvalidRequestError(
            FieldError("(body)", "is empty; send it with Content-Length, not in chunks")
        )
    return json_text.parse_object(body)


def read_body(request: func.HttpRequest) -> bytes:
    """Return the request's body as it came; raise RequestTooLargeError."""
    body = request.get_body()
    if len(body) > _LARGEST_BODY_BYTES:
        raise RequestTooLargeError(
            FieldError("(body)", f"must be at most {_LARGEST_BODY_BYTES // 1024} KB")
        )
    return body


def query_of(request: func.HttpRequest) -> dict[str, list[str]]:
    """Return the values of each name in the query, in their order.

    The Functions host joins those of one name with commas in ``params``.
    """
    return parse_qs(urlsplit(request.url).query)


def path_id(request: func.HttpRequest, name: str) -> str:
    """Return an id from the path, or from the query, which wins and takes any character.

    The Functions host decodes a path's percent-encoding, but for an encoded slash.
    """
    in_path: str = request.route_params.get(name, "")
    value = request.params.get(name) or in_path.replace("%2F", "/").replace("%2f", "/")
    if not 0 < len(value) <= _LONGEST_ID:
        raise InvalidRequestError(FieldError(name, f"must have 1 to {_LONGEST_ID} characters"))
    return value


def link_to(collection: str, name: str, own_id: str, rest: str = "") -> str:
    """Return the path of what has an id, as ``path_id`` reads it by its name in the route.

    What is all dots is lost on the way in a path, and an encoded slash becomes a slash there.
    """
    encoded = quote(own_id, safe="")
    if own_id.strip(".") and "%2f" not in own_id.lower():
        return f"/api/{collection}/{encoded}{rest}"
    return f"/api/{collection}/-{rest}?{name}={encoded}"


def query_flag(request: func.HttpRequest, name: str) -> bool:
    """Return what the query says of a name: true, or false where it says nothing.

    Raises InvalidRequestError for anything else.
    """
    value = str(request.params.get(name, "false")).lower()
    if value not in ("true", "false"):
        raise InvalidRequestError(FieldError(name, "must be true or false"))
    return value == "true"


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
