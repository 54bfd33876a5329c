"""Editing what was sent, over HTTP and from the queue."""

import azure.functions as func

from shared.messages.queue_names import UPDATE_ACTIVITY
from shared.messages.queued_message import Handled, QueuedMessage
from shared.settings import STORAGE
from shared.triggers.http import http_function, json_response, path_id, query_flag, read_json
from shared.triggers.queue import queue_function
from shared.wire_models import Activity, parse
from shared.wiring import services

update_activity_blueprint = func.Blueprint()


@update_activity_blueprint.function_name("UpdateActivity")
@update_activity_blueprint.route(
    "conversations/{conversationId}/activities/{activityId}", methods=["PUT"]
)
@http_function
def update_activity_http(request: func.HttpRequest) -> func.HttpResponse:
    """Put the activity in the body in the place of the one that was sent; 200 with its id."""
    from UpdateActivity.request import UpdateRequest
    from UpdateActivity.service import update_activity

    asked = parse(
        UpdateRequest,
        {
            "conversationId": path_id(request, "conversationId"),
            "activityId": path_id(request, "activityId"),
            "channelId": request.params.get("channelId"),
            "activity": parse(Activity, read_json(request)),
            "isTargeted": query_flag(request, "isTargetedActivity"),
        },
    )
    return json_response({"id": update_activity(asked, services()).activity_id})


@update_activity_blueprint.function_name("UpdateActivityFromQueue")
@update_activity_blueprint.queue_trigger(
    "message", UPDATE_ACTIVITY, STORAGE, data_type=func.DataType.BINARY
)
@queue_function(UPDATE_ACTIVITY)
def update_activity_from_queue(message: QueuedMessage) -> Handled:
    """Put the activity of the message in the place of the one that it names."""
    from UpdateActivity.service import update_queued_activity

    return update_queued_activity(message, services())
