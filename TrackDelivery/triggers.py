"""Following messages over HTTP, and removing old records by a timer."""

from http import HTTPStatus

import azure.functions as func

from shared.triggers.http import http_function, json_response, link_to, page_response, path_id
from shared.wiring import services

track_delivery_blueprint = func.Blueprint()


@track_delivery_blueprint.function_name("GetDelivery")
@track_delivery_blueprint.route("deliveries/{id}", methods=["GET"])
@http_function
def get_delivery_http(request: func.HttpRequest) -> func.HttpResponse:
    """Return what became of a message so far."""
    from TrackDelivery.service import find_delivery

    return json_response(find_delivery(path_id(request, "id"), services()).to_json())


@track_delivery_blueprint.function_name("ListDeliveries")
@track_delivery_blueprint.route("deliveries", methods=["GET"])
@http_function
def list_deliveries_http(request: func.HttpRequest) -> func.HttpResponse:
    """Return a page of the failures; the next one with the token, while there is one."""
    from TrackDelivery.request import FailureQuery
    from TrackDelivery.service import list_failures

    failures, token = list_failures(FailureQuery.from_params(request.params), services())
    return page_response("deliveries", [each.to_json() for each in failures], token)


@track_delivery_blueprint.function_name("RetryDelivery")
@track_delivery_blueprint.route("deliveries/{id}/retry", methods=["POST"])
@http_function
def retry_delivery_http(request: func.HttpRequest) -> func.HttpResponse:
    """Put a message that failed back on its queue; 202 once the queue has it."""
    from TrackDelivery.service import retry_delivery

    accepted = retry_delivery(path_id(request, "id"), services())
    return json_response(
        accepted.to_json(),
        HTTPStatus.ACCEPTED,
        Location=link_to("deliveries", "id", accepted.id),
    )


@track_delivery_blueprint.function_name("RemoveOldRecords")
@track_delivery_blueprint.timer_trigger("timer", "0 17 * * * *", run_on_startup=False)
def remove_old_records(timer: func.TimerRequest) -> None:  # noqa: ARG001  # its binding's name
    """Remove the records that are older than the settings allow."""
    from TrackDelivery.retention import remove_old_rows

    remove_old_rows(services())
