"""Caching, finding and erasing accounts, over HTTP and from the queue."""

from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import azure.functions as func

from shared.messages.queue_names import CACHE_ACCOUNT
from shared.messages.queued_message import QueuedMessage
from shared.settings import STORAGE
from shared.triggers.http import (
    http_function,
    json_response,
    no_content,
    page_response,
    path_id,
    read_json,
)
from shared.triggers.queue import queue_function
from shared.wire_models import canonical_channel_id
from shared.wiring import services

cache_account_blueprint = func.Blueprint()

_ROUTE = "accounts/{channelId}/{userId}"


@cache_account_blueprint.function_name("CacheAccount")
@cache_account_blueprint.route(_ROUTE, methods=["PUT"])
@http_function
def cache_account_http(request: func.HttpRequest) -> func.HttpResponse:
    """Merge the body into the cached account; 201 when it is new, else 200."""
    from CacheAccount.request import account_patch
    from CacheAccount.service import account_body, cache_account

    patch = account_patch(
        read_json(request),
        channel_id=path_id(request, "channelId"),
        user_id=path_id(request, "userId"),
    )
    cached = cache_account(patch, services(), if_match=request.headers.get("If-Match"))
    status = HTTPStatus.CREATED if cached.is_new else HTTPStatus.OK
    return json_response(account_body(cached.account), status, ETag=cached.version)


@cache_account_blueprint.function_name("CacheAccountFromQueue")
@cache_account_blueprint.queue_trigger(
    "message", CACHE_ACCOUNT, STORAGE, data_type=func.DataType.BINARY
)
@queue_function(CACHE_ACCOUNT)
def cache_account_from_queue(message: QueuedMessage) -> None:
    """Merge the message into the cached account."""
    from CacheAccount.service import cache_queued_account

    # Queue storage tells only the second in which a message came: it may have been its end.
    told_at = message.envelope.accepted_at + timedelta(milliseconds=999)
    cache_queued_account(message.request, services(), told_at=min(told_at, datetime.now(UTC)))


@cache_account_blueprint.function_name("GetAccount")
@cache_account_blueprint.route(_ROUTE, methods=["GET"])
@http_function
def get_account_http(request: func.HttpRequest) -> func.HttpResponse:
    """Return what is cached of an account."""
    from CacheAccount.service import account_body, find_account

    found = find_account(_channel_id(request), path_id(request, "userId"), services())
    return json_response(account_body(found.account), ETag=found.version)


@cache_account_blueprint.function_name("ListAccounts")
@cache_account_blueprint.route("accounts", methods=["GET"])
@http_function
def list_accounts_http(request: func.HttpRequest) -> func.HttpResponse:
    """Return a page of the accounts that match; the next one with the token, while there is one."""
    from CacheAccount.request import AccountQuery
    from CacheAccount.service import account_body, list_accounts

    accounts, token = list_accounts(AccountQuery.from_params(request.params), services())
    return page_response("accounts", [account_body(account) for account in accounts], token)


@cache_account_blueprint.function_name("DeleteAccount")
@cache_account_blueprint.route(_ROUTE, methods=["DELETE"])
@http_function
def delete_account_http(request: func.HttpRequest) -> func.HttpResponse:
    """Erase a person and their conversations; 204 whether or not anything was cached."""
    services().accounts.erase(_channel_id(request), path_id(request, "userId"))
    return no_content()


def _channel_id(request: func.HttpRequest) -> str:
    return canonical_channel_id(path_id(request, "channelId"))
