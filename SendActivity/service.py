"""Sending one activity: into a conversation, or to a person wherever they talk with the bot."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from SendActivity.request import SendRequest
from shared.accounts.account import Account
from shared.errors import ConversationNotStartedError
from shared.languages import best_match
from shared.messages.account_snapshot import account_in_snapshot
from shared.messages.envelope import QueuedMessage, Sent, StartFirst
from shared.sending.connector_call import take_turn
from shared.sending.outgoing_activity import outgoing, require_size
from shared.sending.recipient import Target, target_account, target_in, target_person
from shared.sending.welcome import require_welcome
from shared.wire_models import Activity
from shared.wiring import Services

# Longer ago, a person may have moved, or changed their mind.
_REFERENCE_HOLDS = timedelta(minutes=1)


@dataclass(frozen=True)
class SentActivity:
    """What was sent; ``id`` is None where the channel gives none."""

    id: str | None


def send_activity(
    request: SendRequest, services: Services, message: QueuedMessage | None = None
) -> SentActivity:
    """Send what is asked for with one Connector call, for a queue's message or for HTTP.

    Raises SuppressedError when the person wants no such message, unless it is a reply to what they
    just wrote; ConversationNotStartedError when the bot has no conversation with them.
    """
    target = _target(request, services)
    if message is not None:
        message.destination = target.destination
    if not (message and message.envelope.is_reply):
        _require_welcome(request, target, services, message)
    activity = _in_language(request, target.account, services.settings.default_locale)
    return _send(target, lambda: activity, services, message)


def send_queued_activity(message: QueuedMessage, services: Services) -> Sent | StartFirst:
    """Send what a queue's message asks for; have the conversation started where there is none.

    That is another call, so another invocation makes it: the message waits inside the start's and
    comes back when it is done.
    """
    try:
        if message.envelope.alert is not None:
            return Sent(_send_alert(message, services, message.envelope.alert).id)
        return Sent(send_activity(SendRequest.from_json(message.body), services, message).id)
    except ConversationNotStartedError:
        to = message.destination
        if message.envelope.started or to is None or to.user_id is None:
            raise
        start = {"channelId": to.channel_id, "isGroup": False, "members": [{"id": to.user_id}]}
        if message.envelope.alert is not None:
            topic_name = services.alerts.current(message.envelope.alert).topic_name
            start |= {"topicName": topic_name} if topic_name else {}
        return StartFirst(start)


def _send_alert(message: QueuedMessage, services: Services, alert_id: str) -> SentActivity:
    """Send a person's share of an alert, in the version that it has when the call is made."""
    request = SendRequest.of_alert(message.body)
    services.alerts.under_way(alert_id)
    reference, recipient = message.envelope.reference, request.recipient
    age = datetime.now(UTC) - message.envelope.accepted_at
    if reference is not None and recipient is not None and age < _REFERENCE_HOLDS:
        # Whether they want it was asked when the reference was made, a moment ago.
        account = account_in_snapshot(reference, recipient.channel_id, recipient.user_id)
        target = target_account(account, services)
        message.destination = target.destination
    else:
        target = _target(request, services)
        message.destination = target.destination
        _require_welcome(request, target, services, message)
    said: Activity | None = None

    def say() -> Activity:
        nonlocal said
        alert = services.alerts.current(alert_id)
        if said is None or message.alert_version != alert.version:
            said = services.alerts.content(alert).activity(
                topic=alert.topic,
                name=target.account.name if target.account else None,
                locale=target.account.locale if target.account else None,
                default_locale=services.settings.default_locale,
            )
            message.alert_version = alert.version
        return said

    return _send(target, say, services, message)


def _send(
    target: Target,
    say: Callable[[], Activity],
    services: Services,
    message: QueuedMessage | None,
) -> SentActivity:
    """Send what is to be said, which is asked for once more when the call is made."""
    conversation = target.conversation
    if conversation is None:
        raise ConversationNotStartedError("The bot has no conversation with this recipient yet")
    require_size(say(), services.settings.largest_activity_bytes(conversation.channel_id))
    turn = take_turn(target.destination, services, message)
    activity_id = turn.call(
        lambda: services.connector.send_activity(
            conversation.service_url, conversation.id, outgoing(say(), conversation)
        )
    )
    return SentActivity(activity_id)


def _require_welcome(
    request: SendRequest, target: Target, services: Services, message: QueuedMessage | None
) -> None:
    if target.user_id is not None:
        require_welcome(
            target.channel_id,
            target.user_id,
            target.account,
            services,
            topic=request.topic,
            message=message,
        )


def _target(request: SendRequest, services: Services) -> Target:
    recipient = request.recipient
    if recipient is not None:
        return target_person(recipient.channel_id, recipient.user_id, services)
    found = target_in(request.conversation_id or "", request.channel_id, services)
    if found.account and found.conversation and found.account.has_left(found.conversation.id):
        # The old id goes on reaching the person, in the conversation that they have now.
        return target_account(found.account, services, user_id=found.user_id)
    return found


def _in_language(request: SendRequest, account: Account | None, default_locale: str) -> Activity:
    """Return the activity that is sent, of several the one in the person's language."""
    if request.activity is not None:
        return request.activity
    activities = request.activities or {}
    wanted = [account.locale] if account and account.locale else []
    locale = best_match(activities, *wanted, default_locale)
    return activities[locale].model_copy(update={"locale": locale})
