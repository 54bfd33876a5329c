"""Events of other systems, over HTTP and from the queue, and the incidents that they make."""

from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import azure.functions as func

from shared.errors import InvalidSignatureError, UnknownSenderError
from shared.messages.queue_names import RECEIVE_EVENT
from shared.messages.queued_message import QueuedMessage
from shared.settings import STORAGE
from shared.triggers.http import (
    http_function,
    json_response,
    page_response,
    path_id,
    query_of,
    read_body,
)
from shared.triggers.queue import queue_function
from shared.wiring import services

if TYPE_CHECKING:
    from ReceiveEvent.formats import Format

receive_event_blueprint = func.Blueprint()


def _message_of(text: bytes) -> dict[str, Any]:
    from ReceiveEvent.request import message_of

    return message_of(text)


@receive_event_blueprint.function_name("ReceiveEvent")
@receive_event_blueprint.route("events/{sender}", methods=["POST", "PUT", "OPTIONS"])
@http_function
def receive_event_http(request: func.HttpRequest) -> func.HttpResponse:
    """Take what a sender says with 202; with ``dryRun`` answer 200 and what would be done."""
    from ReceiveEvent.body import parse_body
    from ReceiveEvent.request import EventQuery, ReceivedEvents
    from ReceiveEvent.responses import decided_body, received_body
    from ReceiveEvent.service import accept_events, decisions_on

    sender = path_id(request, "sender")
    written = _format_of(sender)
    headers = {name.lower(): value for name, value in request.headers.items()}
    if request.method == "OPTIONS":
        return _consent(written, headers)
    body = _signed_body(request, sender, headers)
    query = EventQuery.from_url(query_of(request))
    said = parse_body(headers, body)
    answer = written.handshake(headers, said)
    if answer is not None:
        return json_response(answer)
    received = ReceivedEvents(sender, query, written.read(headers, said))
    if query.dry_run:
        return json_response(decided_body(decisions_on(received, services())))
    accept_events(received, services())
    return json_response(received_body(received.events), HTTPStatus.ACCEPTED)


@receive_event_blueprint.function_name("ReceiveEventFromQueue")
@receive_event_blueprint.queue_trigger(
    "message", RECEIVE_EVENT, STORAGE, data_type=func.DataType.BINARY
)
@queue_function(RECEIVE_EVENT, read=_message_of)
def receive_event_from_queue(message: QueuedMessage) -> None:
    """Act on events: those that came over HTTP, and those that others put there."""
    from ReceiveEvent.service import act_on_queued_events

    act_on_queued_events(message, services())


@receive_event_blueprint.function_name("ListIncidents")
@receive_event_blueprint.route("incidents", methods=["GET"])
@http_function
def list_incidents_http(request: func.HttpRequest) -> func.HttpResponse:
    """Return a page of the incidents; the next one with the token, until there is none."""
    from ReceiveEvent.request import IncidentQuery
    from ReceiveEvent.responses import incident_body
    from ReceiveEvent.service import list_incidents

    incidents, token = list_incidents(IncidentQuery.from_params(request.params), services())
    return page_response("incidents", [incident_body(*each) for each in incidents], token)


def _format_of(sender: str) -> "Format":
    from ReceiveEvent.request import format_of

    secrets = services().settings.webhook_secrets
    if secrets and sender not in secrets:
        raise UnknownSenderError("The setting WebhookSecrets does not name this sender")
    return format_of(sender)


def _signed_body(request: func.HttpRequest, sender: str, headers: Mapping[str, str]) -> bytes:
    """Return the body as it came; raise InvalidSignatureError if its sender did not sign it."""
    from ReceiveEvent.signatures import is_from

    body = read_body(request)
    secrets = services().settings.webhook_secrets.get(sender, ())
    if not is_from(sender, headers, body, secrets, datetime.now(UTC)):
        raise InvalidSignatureError
    return body


def _consent(written: "Format", headers: Mapping[str, str]) -> func.HttpResponse:
    """Answer who asks whether it may send."""
    allowed = written.consent(headers)
    if allowed is None:
        status, headers = HTTPStatus.METHOD_NOT_ALLOWED, {"Allow": "POST, PUT"}
        return func.HttpResponse(status_code=status, headers=headers)
    return func.HttpResponse(status_code=HTTPStatus.OK, headers=allowed)
