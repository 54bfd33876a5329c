"""Editing what was sent: another activity in its place, with the same id."""

from collections.abc import Callable

from shared.messages.envelope import QueuedMessage, Sent
from shared.sending.activity_changes import Change
from shared.sending.alert_copies import changing
from shared.sending.outgoing_activity import outgoing, require_size
from shared.sending.recipient import Target
from shared.wire_models import Activity, parse
from shared.wiring import Services
from UpdateActivity.request import UpdateRequest


def update_activity(
    request: UpdateRequest, services: Services, message: QueuedMessage | None = None
) -> str:
    """Edit what is asked for with one Connector call; return the id that the activity has now."""
    target = request.target(services)
    return update_at(target, request.activity_id, lambda: request.activity, services, message)


def update_at(
    target: Target,
    activity_id: str,
    say: Callable[[], Activity],
    services: Services,
    message: QueuedMessage | None = None,
) -> str:
    """Edit an activity of the target's conversation; return the id that it has now.

    What it is to say is asked for once more when the call is made.
    """
    change = Change(target, services, message)
    conversation = change.conversation
    require_size(say(), services.settings.largest_activity_bytes(conversation.channel_id))
    answered_id = change.call(
        lambda: services.connector.update_activity(
            conversation.service_url,
            conversation.id,
            activity_id,
            {**outgoing(say(), conversation), "id": activity_id},
        )
    )
    return answered_id or activity_id


def update_queued_activity(message: QueuedMessage, services: Services) -> Sent:
    """Edit what a queue's message asks for, or what was delivered of an alert."""
    envelope = message.envelope
    if envelope.change is not None and envelope.alert is not None:
        with changing(envelope.alert, envelope.change, services, recalls=False) as delivered:
            delivered.activity_id = update_at(
                delivered.target,
                delivered.activity_id,
                lambda: delivered.says(services),
                services,
                message,
            )
            return Sent(delivered.activity_id)
    return Sent(update_activity(parse(UpdateRequest, message.body), services, message))
