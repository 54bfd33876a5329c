"""Sending one activity: into a conversation, or to a person wherever they talk with the bot."""

from dataclasses import dataclass

from SendActivity.request import SendRequest
from shared.accounts import Account
from shared.activities import outgoing, require_size
from shared.errors import ConversationNotStartedError
from shared.languages import best_match
from shared.models import Activity
from shared.queues import QueuedMessage, Sent, StartFirst
from shared.services import Services
from shared.targets import Target, target_account, target_in, target_person
from shared.turns import take_turn
from shared.welcome import require_welcome


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
    conversation = target.conversation
    if message is not None:
        message.destination = target.destination
    if target.user_id is not None and not (message and message.flow.is_reply):
        require_welcome(
            target.channel_id,
            target.user_id,
            target.account,
            services,
            topic=request.topic,
            message=message,
        )
    if conversation is None:
        raise ConversationNotStartedError("The bot has no conversation with this recipient yet")
    activity = _in_language(request, target.account, services.settings.default_locale)
    require_size(activity, services.settings.largest_activity_bytes(conversation.channel_id))
    turn = take_turn(target.destination, services, message)
    activity_id = turn.call(
        lambda: services.connector.send_activity(
            conversation.service_url, conversation.id, outgoing(activity, conversation)
        )
    )
    return SentActivity(activity_id)


def send_queued_activity(message: QueuedMessage, services: Services) -> Sent | StartFirst:
    """Send what a queue's message asks for; have the conversation started where there is none.

    That is another call, so another invocation makes it: the message waits inside the start's and
    comes back when it is done.
    """
    request = SendRequest.from_json(message.body)
    try:
        return Sent(send_activity(request, services, message).id)
    except ConversationNotStartedError:
        to = message.destination
        if message.flow.started or to is None or to.user_id is None:
            raise
        return StartFirst(
            {"channelId": to.channel_id, "isGroup": False, "members": [{"id": to.user_id}]}
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
