"""The app's health, over HTTP."""

from http import HTTPStatus

import azure.functions as func

from shared.triggers.http import http_function, json_response

check_health_blueprint = func.Blueprint()


@check_health_blueprint.function_name("CheckHealth")
@check_health_blueprint.route("health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@http_function
def check_health_http(_request: func.HttpRequest) -> func.HttpResponse:
    """Answer 200 when all is well, else 503 naming what fails."""
    from CheckHealth.service import failing_components

    failing = failing_components()
    if failing:
        return json_response(
            {"status": "failing", "failing": failing}, HTTPStatus.SERVICE_UNAVAILABLE
        )
    return json_response({"status": "ok"})
