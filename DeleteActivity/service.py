"""Recalling what was sent: it is deleted where it is."""

from datetime import datetime

from DeleteActivity.request import DeleteRequest
from shared.connector.errors import ConnectorError, says_activity_is_unknown
from shared.messages.queued_message import QueuedMessage, Sent, addressed
from shared.sending.alert_copies import held_copy
from shared.sending.connector_call import take_turn
from shared.sending.recipient import FoundRecipient
from shared.wire_models import parse
from shared.wiring import Services


def delete_activity(
    request: DeleteRequest, services: Services, message: QueuedMessage | None = None
) -> Sent:
    """Recall what is asked for with one Connector call."""
    return _delete(
        request.find_recipient(services),
        request.activity_id,
        services,
        message,
        is_targeted=request.is_targeted,
    )


def delete_queued_activity(message: QueuedMessage, services: Services) -> Sent:
    """Recall what a queue's message asks for, or a person's copy of an alert."""
    change, alert_id = message.envelope.change, message.envelope.alert
    if change is None or alert_id is None:
        return delete_activity(parse(DeleteRequest, message.body), services, message)
    with held_copy(alert_id, change, services, recalls=True) as copy:
        copy.sent = _delete(copy.recipient, copy.activity_id, services, message, until=copy.until)
    return copy.sent


def _delete(
    recipient: FoundRecipient,
    activity_id: str,
    services: Services,
    message: QueuedMessage | None,
    *,
    is_targeted: bool = False,
    until: datetime | None = None,
) -> Sent:
    with addressed(message, recipient.destination) as message:
        conversation = recipient.conversation
        if is_targeted:
            recipient.require_targeting()
        with take_turn(recipient.destination, services, message).call(until) as call:
            try:
                call.connector.delete_activity(
                    conversation.id, activity_id, is_targeted=is_targeted
                )
            except ConnectorError as error:
                # On a queue it may be gone already: that is what was asked for.
                if message is None or not says_activity_is_unknown(error.answer):
                    raise
        return Sent(activity_id, call.message, is_targeted=is_targeted)
