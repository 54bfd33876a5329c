"""Sending one activity: into a conversation, or to a person wherever they talk with the bot."""

from datetime import UTC, datetime, timedelta
from typing import Any

from SendActivity.request import SendRequest
from shared.accounts.account import Account
from shared.errors import ConversationNotStartedError
from shared.languages import best_match
from shared.messages.account_snapshot import account_in_snapshot
from shared.messages.queued_message import (
    Handled,
    QueuedMessage,
    Sent,
    StartFirst,
    UnsentError,
    addressed,
)
from shared.sending.connector_call import take_turn
from shared.sending.outgoing_activity import outgoing, require_deliverable
from shared.sending.recipient import (
    FoundRecipient,
    find_conversation,
    find_person,
    recipient_of,
)
from shared.sending.suppression_check import require_wanted
from shared.wire_models import Activity
from shared.wiring import Services

# After that, a person may have moved, or changed their mind.
_SNAPSHOT_HOLDS = timedelta(minutes=1)


def send_activity(
    request: SendRequest,
    services: Services,
    message: QueuedMessage | None = None,
    *,
    until: datetime | None = None,
) -> Sent:
    """Send what is asked for with one Connector call, for a queue's message or for HTTP.

    The call ends before ``until``.
    Raises SuppressedError when the person wants no such message, unless it is a reply to what they
    just wrote; ConversationNotStartedError when the bot has no conversation with them.
    """
    recipient = _find_recipient(request, services)
    destination = recipient.destination
    with addressed(message, destination) as message:
        is_probe = require_wanted(recipient, request.topic, services, message)
        activity = _in_language(request, recipient.account, services.settings.default_locale)
        is_targeted = activity.is_targeted
        require_deliverable(activity, recipient, services, is_targeted=is_targeted)
        conversation = recipient.conversation
        with take_turn(destination, services, message, is_probe=is_probe).call(until) as call:
            activity_id = call.connector.send_activity(
                conversation.id,
                outgoing(activity, conversation),
                is_targeted=is_targeted,
            )
        return Sent(activity_id, call.message, is_targeted=is_targeted)


def send_queued_activity(message: QueuedMessage, services: Services) -> Handled:
    """Send what a queue's message asks for; have the conversation started where there is none.

    That is another call, so another invocation makes it: the message waits inside the start's and
    comes back when it is done.
    """
    alert_id = message.envelope.alert
    try:
        if alert_id is not None:
            return _send_alert(alert_id, services, message)
        return send_activity(SendRequest.from_json(message.body), services, message)
    except UnsentError as unsent:
        to = unsent.message.destination
        needs_start = isinstance(unsent.error, ConversationNotStartedError)
        # What comes back from a start does not go in circles.
        if not needs_start or unsent.message.envelope.started or not (to and to.user_id):
            raise
        return StartFirst(_start(to.channel_id, to.user_id, alert_id, services), unsent.message)


def _start(
    channel_id: str, user_id: str, alert_id: str | None, services: Services
) -> dict[str, Any]:
    """Return the start of a conversation with a person; the topic of an alert is its title."""
    start = {"channelId": channel_id, "isGroup": False, "members": [{"id": user_id}]}
    topic_name = services.alerts.current(alert_id).topic_name if alert_id else None
    return {**start, "topicName": topic_name} if topic_name else start


def _send_alert(alert_id: str, services: Services, message: QueuedMessage) -> Sent:
    """Send a person's share of an alert, in the version that it has when the call is made."""
    from shared.sending.alert_activity import alert_activity

    request = SendRequest.of_alert(message.body)
    alert = services.alerts.under_way(alert_id)
    snapshot = _account_in_snapshot(request, message)
    recipient = recipient_of(snapshot, services) if snapshot else _find_recipient(request, services)
    destination = recipient.destination
    with addressed(message, destination) as addressed_message:
        # Whether they want it was checked when the snapshot was made, a moment ago.
        is_probe = not snapshot and require_wanted(recipient, alert.topic, services, message)
        conversation = recipient.conversation
        delivery_id = message.envelope.id
        activity = alert_activity(alert, recipient, delivery_id, services)
        require_deliverable(activity, recipient, services, is_targeted=activity.is_targeted)
        with take_turn(destination, services, addressed_message, is_probe=is_probe).call() as call:
            current = services.alerts.under_way(alert_id)
            if current.version != alert.version:
                activity = alert_activity(current, recipient, delivery_id, services)
            activity_id = call.connector.send_activity(
                conversation.id, outgoing(activity, conversation)
            )
        return Sent(activity_id, call.message, alert_version=current.version)


def _find_recipient(request: SendRequest, services: Services) -> FoundRecipient:
    if request.recipient is not None:
        return find_person(request.recipient.channel_id, request.recipient.user_id, services)
    found = find_conversation(request.conversation_id or "", request.channel_id, services)
    if found.account and found.account.has_left(found.conversation.id):
        # The old id goes on reaching the person, in the conversation that they have now.
        return recipient_of(found.account, services, user_id=found.user_id)
    return found


def _account_in_snapshot(request: SendRequest, message: QueuedMessage) -> Account | None:
    """Return the account as the alert's message brings it along, while that is fresh."""
    snapshot, to = message.envelope.snapshot, request.recipient
    age = datetime.now(UTC) - message.envelope.accepted_at
    if snapshot is None or to is None or age >= _SNAPSHOT_HOLDS:
        return None
    return account_in_snapshot(snapshot, to.channel_id, to.user_id)


def _in_language(request: SendRequest, account: Account | None, default_locale: str) -> Activity:
    """Return the activity that is sent, of several the one in the person's language."""
    if request.activity is not None:
        return request.activity
    activities = request.activities or {}
    wanted = [account.locale] if account and account.locale else []
    locale = best_match(activities, *wanted, default_locale)
    return activities[locale].model_copy(update={"locale": locale})
