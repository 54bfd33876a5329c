"""Editing what was sent: another activity in its place, with the same id."""

from datetime import datetime

from shared.messages.queued_message import QueuedMessage, Sent, addressed
from shared.sending.alert_copies import held_copy
from shared.sending.connector_call import take_turn
from shared.sending.outgoing_activity import outgoing, require_deliverable
from shared.sending.recipient import FoundRecipient
from shared.wire_models import Activity, parse
from shared.wiring import Services
from UpdateActivity.request import UpdateRequest


def update_activity(
    request: UpdateRequest, services: Services, message: QueuedMessage | None = None
) -> Sent:
    """Edit what is asked for with one Connector call; return the id that the activity has now."""
    return _update(
        request.find_recipient(services),
        request.activity_id,
        request.activity,
        services,
        message,
        is_targeted=request.is_targeted,
    )


def update_queued_activity(message: QueuedMessage, services: Services) -> Sent:
    """Edit what a queue's message asks for, or a person's copy of an alert."""
    change, alert_id = message.envelope.change, message.envelope.alert
    if change is None or alert_id is None:
        return update_activity(parse(UpdateRequest, message.body), services, message)
    with held_copy(alert_id, change, services, recalls=False) as copy:
        activity = copy.activity(services)
        copy.sent = _update(
            copy.recipient, copy.activity_id, activity, services, message, until=copy.until
        )
    return copy.sent


def _update(
    recipient: FoundRecipient,
    activity_id: str,
    activity: Activity,
    services: Services,
    message: QueuedMessage | None,
    *,
    is_targeted: bool = False,
    until: datetime | None = None,
) -> Sent:
    with addressed(message, recipient.destination) as message:
        conversation = recipient.conversation
        is_targeted = is_targeted or activity.is_targeted
        require_deliverable(activity, recipient, services, is_targeted=is_targeted)
        changed = {**outgoing(activity, conversation), "id": activity_id}
        if is_targeted:
            # Who sees it cannot be changed: Teams answers 400 to an edit with a recipient.
            changed.pop("recipient", None)
        with take_turn(recipient.destination, services, message).call(until) as call:
            updated_id = call.connector.update_activity(
                conversation.id, activity_id, changed, is_targeted=is_targeted
            )
        return Sent(updated_id or activity_id, call.message, is_targeted=is_targeted)
