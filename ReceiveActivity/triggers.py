"""The messaging endpoint, over HTTP: what the Azure Bot resource calls."""

from http import HTTPStatus

import azure.functions as func

from shared.triggers.http import http_function, json_response, read_json
from shared.wiring import services

receive_activity_blueprint = func.Blueprint()


@receive_activity_blueprint.function_name("ReceiveActivity")
@receive_activity_blueprint.route("messages", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@http_function
def receive_activity_http(request: func.HttpRequest) -> func.HttpResponse:
    """Take an activity, from the Connector alone; nothing is read before that is certain."""
    from ReceiveActivity.invoke_response import invoke_response
    from ReceiveActivity.request import InboundActivity
    from ReceiveActivity.service import receive_activity

    caller = services().callers.identify(request.headers.get("Authorization"))
    activity = InboundActivity.from_json(read_json(request))
    caller.require(service_url=activity.service_url, channel_id=activity.channel_id)
    card = receive_activity(activity, services())
    if activity.type != "invoke":
        return json_response({})
    body = invoke_response(activity, card, services())
    return json_response(body) if body else func.HttpResponse(status_code=HTTPStatus.OK)
