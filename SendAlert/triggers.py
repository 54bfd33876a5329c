"""Sending alerts, following them and acting on them, over HTTP and from the queue."""

import uuid
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

import azure.functions as func

from shared.idempotency import Answer, id_for_key
from shared.messages.queue_names import SEND_ALERT
from shared.messages.queued_message import QueuedMessage
from shared.settings import STORAGE
from shared.triggers.http import http_function, json_response, page_response, path_id, read_json
from shared.triggers.queue import queue_function
from shared.wiring import services

if TYPE_CHECKING:
    from shared.alerts.alert import Alert

send_alert_blueprint = func.Blueprint()


@send_alert_blueprint.function_name("SendAlert")
@send_alert_blueprint.route("alerts", methods=["POST"])
@http_function
def send_alert_http(request: func.HttpRequest) -> func.HttpResponse:
    """Accept an alert with 202; with ``dryRun`` answer 200 and how many people it would reach."""
    answer = services().idempotency_keys.once("SendAlert", request, _send)
    return json_response(answer.body, answer.status, **answer.headers)


def _send(request: func.HttpRequest, _until: datetime | None) -> Answer:
    from SendAlert.request import AlertRequest
    from SendAlert.responses import accepted_body, links_of, reach_body
    from SendAlert.service import accept_alert, reach_of

    asked = AlertRequest.from_json(read_json(request))
    if asked.dry_run:
        return Answer(reach_body(reach_of(asked, services())))
    alert_id = asked.id or id_for_key("SendAlert", request) or uuid.uuid4().hex
    alert = accept_alert(asked, alert_id, services())
    return Answer(accepted_body(alert), HTTPStatus.ACCEPTED, {"Location": links_of(alert)["self"]})


@send_alert_blueprint.function_name("SendAlertFromQueue")
@send_alert_blueprint.queue_trigger("message", SEND_ALERT, STORAGE, data_type=func.DataType.BINARY)
@queue_function(SEND_ALERT)
def send_alert_from_queue(message: QueuedMessage) -> None:
    """Accept an alert, take the next step of one that was accepted, or follow an answer to one."""
    from SendAlert.fan_out import take_step
    from SendAlert.service import accept_queued_alert
    from shared.sending.answer_decision import follow_answer

    envelope = message.envelope
    if envelope.step is not None and envelope.alert is not None:
        take_step(envelope.alert, envelope.step, services())
    elif envelope.answer is not None and envelope.alert is not None:
        follow_answer(envelope.alert, envelope.answer, services())
    else:
        accept_queued_alert(message, services())


@send_alert_blueprint.function_name("ListAlerts")
@send_alert_blueprint.route("alerts", methods=["GET"])
@http_function
def list_alerts_http(request: func.HttpRequest) -> func.HttpResponse:
    """Return a page of the alerts; the next one with the token, until there is none."""
    from SendAlert.request import AlertQuery
    from SendAlert.responses import alert_body
    from SendAlert.service import list_alerts

    alerts, token = list_alerts(AlertQuery.from_params(request.params), services())
    return page_response("alerts", [alert_body(alert) for alert in alerts], token)


@send_alert_blueprint.function_name("GetAlert")
@send_alert_blueprint.route("alerts/{id}", methods=["GET"])
@http_function
def get_alert_http(request: func.HttpRequest) -> func.HttpResponse:
    """Return how far an alert is."""
    return _progress_response(services().alerts.find(path_id(request, "id")), HTTPStatus.OK)


@send_alert_blueprint.function_name("ListAlertDeliveries")
@send_alert_blueprint.route("alerts/{id}/deliveries", methods=["GET"])
@http_function
def list_alert_deliveries_http(request: func.HttpRequest) -> func.HttpResponse:
    """Return a page of the deliveries of an alert; go on until there is no token."""
    from SendAlert.request import AlertDeliveryQuery
    from SendAlert.service import list_alert_deliveries

    query = AlertDeliveryQuery.from_params(request.params)
    deliveries, token = list_alert_deliveries(path_id(request, "id"), query, services())
    return page_response("deliveries", [each.to_json() for each in deliveries], token)


@send_alert_blueprint.function_name("ListAnswers")
@send_alert_blueprint.route("alerts/{id}/answers", methods=["GET"])
@http_function
def list_answers_http(request: func.HttpRequest) -> func.HttpResponse:
    """Return a page of the answers to an alert; go on until there is no token."""
    from SendAlert.request import AlertQuery
    from SendAlert.responses import answer_body
    from SendAlert.service import list_answers

    query = AlertQuery.from_params(request.params)
    answers, token = list_answers(path_id(request, "id"), query, services())
    return page_response("answers", [answer_body(*each) for each in answers], token)


@send_alert_blueprint.function_name("CancelAlert")
@send_alert_blueprint.route("alerts/{id}/cancel", methods=["POST"])
@http_function
def cancel_alert_http(request: func.HttpRequest) -> func.HttpResponse:
    """Send nothing more of an alert; the answer says what went out."""
    from SendAlert.responses import progress_body
    from SendAlert.service import progress_when_quiet
    from shared.sending.alert_lifecycle import cancel_alert

    cancelled = cancel_alert(path_id(request, "id"), services())
    return json_response(progress_body(progress_when_quiet(cancelled, services())))


@send_alert_blueprint.function_name("RetryAlert")
@send_alert_blueprint.route("alerts/{id}/retry", methods=["POST"])
@http_function
def retry_alert_http(request: func.HttpRequest) -> func.HttpResponse:
    """Put back what failed of an alert."""
    from SendAlert.service import retry_alert

    return _progress_response(retry_alert(path_id(request, "id"), services()))


@send_alert_blueprint.function_name("EditAlert")
@send_alert_blueprint.route("alerts/{id}/activity", methods=["PUT"])
@http_function
def edit_alert_http(request: func.HttpRequest) -> func.HttpResponse:
    """Edit an alert, also the copies that were sent."""
    answer = services().idempotency_keys.once("EditAlert", request, _edit)
    return json_response(answer.body, answer.status)


def _edit(request: func.HttpRequest, _until: datetime | None) -> Answer:
    from SendAlert.progress import progress_of
    from SendAlert.request import EditRequest
    from SendAlert.responses import progress_body
    from shared.sending.alert_lifecycle import edit_alert

    content = EditRequest.from_json(read_json(request)).content_json()
    edit_id = id_for_key("EditAlert", request)
    alert = edit_alert(path_id(request, "id"), content, services(), edit_id=edit_id)
    return Answer(progress_body(progress_of(alert, services())), HTTPStatus.ACCEPTED)


@send_alert_blueprint.function_name("RecallAlert")
@send_alert_blueprint.route("alerts/{id}", methods=["DELETE"])
@http_function
def recall_alert_http(request: func.HttpRequest) -> func.HttpResponse:
    """Delete the copies of an alert that were sent, and send nothing more of it."""
    from shared.sending.alert_lifecycle import recall_alert

    return _progress_response(recall_alert(path_id(request, "id"), services()))


def _progress_response(
    alert: "Alert", status: HTTPStatus = HTTPStatus.ACCEPTED
) -> func.HttpResponse:
    from SendAlert.progress import progress_of
    from SendAlert.responses import progress_body

    return json_response(progress_body(progress_of(alert, services())), status)
