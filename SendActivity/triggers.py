"""Sending one activity, over HTTP and from the queue."""

from datetime import datetime
from http import HTTPStatus

import azure.functions as func

from shared.errors import FieldError, InvalidRequestError
from shared.idempotency import Answer
from shared.messages.queue_names import SEND_ACTIVITY
from shared.messages.queued_message import Handled, QueuedMessage
from shared.settings import STORAGE
from shared.triggers.http import http_function, json_response, path_id, query_flag, read_json
from shared.triggers.queue import queue_function
from shared.wire_models import Activity, parse
from shared.wiring import services

send_activity_blueprint = func.Blueprint()


@send_activity_blueprint.function_name("SendActivity")
@send_activity_blueprint.route("conversations/{conversationId}/activities", methods=["POST"])
@http_function
def send_activity_http(request: func.HttpRequest) -> func.HttpResponse:
    """Send the activity in the body; 201 with its id, 202 where the channel gives none."""
    answer = services().idempotency_keys.once("SendActivity", request, _send)
    return json_response(answer.body, answer.status, **answer.headers)


def _send(request: func.HttpRequest, until: datetime | None) -> Answer:
    from SendActivity.request import SendRequest
    from SendActivity.service import send_activity

    activity = parse(Activity, read_json(request))
    if query_flag(request, "isTargetedActivity") and not activity.is_targeted:
        raise InvalidRequestError(
            FieldError("recipient.isTargeted", "must be true, for the member who is to see this")
        )
    asked = SendRequest.from_json(
        {
            "conversationId": path_id(request, "conversationId"),
            "channelId": request.params.get("channelId"),
            "activity": activity,
        }
    )
    sent = send_activity(asked, services(), until=until)
    if sent.activity_id is None:
        return Answer({}, HTTPStatus.ACCEPTED)
    return Answer({"id": sent.activity_id}, HTTPStatus.CREATED)


@send_activity_blueprint.function_name("SendActivityFromQueue")
@send_activity_blueprint.queue_trigger(
    "message", SEND_ACTIVITY, STORAGE, data_type=func.DataType.BINARY
)
@queue_function(SEND_ACTIVITY)
def send_activity_from_queue(message: QueuedMessage) -> Handled:
    """Send the activity to the conversation or the person that the message names."""
    from SendActivity.service import send_queued_activity

    return send_queued_activity(message, services())
