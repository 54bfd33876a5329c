"""Recalling what was sent: it is deleted where it is."""

from http import HTTPStatus

from DeleteActivity.request import DeleteRequest
from shared.connector.errors import ConnectorError
from shared.messages.envelope import QueuedMessage, Sent
from shared.sending.activity_changes import Change
from shared.sending.alert_copies import changing
from shared.sending.recipient import Target
from shared.wire_models import parse
from shared.wiring import Services


def delete_activity(
    request: DeleteRequest, services: Services, message: QueuedMessage | None = None
) -> None:
    """Recall what is asked for with one Connector call."""
    delete_at(request.target(services), request.activity_id, services, message)


def delete_at(
    target: Target, activity_id: str, services: Services, message: QueuedMessage | None = None
) -> None:
    """Recall an activity of the target's conversation; on a queue it may be gone already."""
    change = Change(target, services, message)
    conversation = change.conversation
    try:
        change.call(
            lambda: services.connector.delete_activity(
                conversation.service_url, conversation.id, activity_id
            )
        )
    except ConnectorError as error:
        if message is None or error.answer.status != HTTPStatus.NOT_FOUND:
            raise


def delete_queued_activity(message: QueuedMessage, services: Services) -> Sent:
    """Recall what a queue's message asks for, or what was delivered of an alert."""
    envelope = message.envelope
    if envelope.change is not None and envelope.alert is not None:
        with changing(envelope.alert, envelope.change, services, recalls=True) as delivered:
            delete_at(delivered.target, delivered.activity_id, services, message)
            return Sent(delivered.activity_id)
    request = parse(DeleteRequest, message.body)
    delete_activity(request, services, message)
    return Sent(request.activity_id)
