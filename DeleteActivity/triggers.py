"""Recalling what was sent, over HTTP and from the queue."""

import azure.functions as func

from shared.messages.queue_names import DELETE_ACTIVITY
from shared.messages.queued_message import Handled, QueuedMessage
from shared.settings import STORAGE
from shared.triggers.http import http_function, no_content, path_id, query_flag
from shared.triggers.queue import queue_function
from shared.wire_models import parse
from shared.wiring import services

delete_activity_blueprint = func.Blueprint()


@delete_activity_blueprint.function_name("DeleteActivity")
@delete_activity_blueprint.route(
    "conversations/{conversationId}/activities/{activityId}", methods=["DELETE"]
)
@http_function
def delete_activity_http(request: func.HttpRequest) -> func.HttpResponse:
    """Delete an activity that was sent; 204."""
    from DeleteActivity.request import DeleteRequest
    from DeleteActivity.service import delete_activity

    asked = parse(
        DeleteRequest,
        {
            "conversationId": path_id(request, "conversationId"),
            "activityId": path_id(request, "activityId"),
            "channelId": request.params.get("channelId"),
            "isTargeted": query_flag(request, "isTargetedActivity"),
        },
    )
    delete_activity(asked, services())
    return no_content()


@delete_activity_blueprint.function_name("DeleteActivityFromQueue")
@delete_activity_blueprint.queue_trigger(
    "message", DELETE_ACTIVITY, STORAGE, data_type=func.DataType.BINARY
)
@queue_function(DELETE_ACTIVITY)
def delete_activity_from_queue(message: QueuedMessage) -> Handled:
    """Delete the activity that the message names."""
    from DeleteActivity.service import delete_queued_activity

    return delete_queued_activity(message, services())
