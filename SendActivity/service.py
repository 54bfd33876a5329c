"""Sending one activity: into a conversation, or to a person wherever they talk with the bot."""

from dataclasses import dataclass

from SendActivity.request import Recipient, SendRequest
from shared.accounts import Account
from shared.activities import outgoing, require_size
from shared.conversations import Conversation
from shared.errors import ConversationNotStartedError
from shared.flow import QueuedMessage
from shared.languages import best_match
from shared.models import Activity
from shared.services import Services


@dataclass(frozen=True)
class SentActivity:
    """What was sent; ``id`` is None where the channel gives none."""

    id: str | None


def send_activity(request: SendRequest, services: Services) -> SentActivity:
    """Send what is asked for with one Connector call.

    Raises ConversationNotStartedError when the bot has no conversation with the recipient yet.
    """
    if request.recipient is not None:
        account = _account(request.recipient.channel_id, request.recipient.user_id, services)
        conversation = _conversation_with(request.recipient, account, services)
    else:
        conversation = services.conversations.find(
            request.conversation_id or "", request.channel_id
        )
        account = None
        if request.activities and conversation.user_id is not None:
            account = _account(conversation.channel_id, conversation.user_id, services)
    activity = _in_language(request, account, services.settings.default_locale)
    require_size(activity, conversation.channel_id)
    activity_id = services.connector.send_activity(
        conversation.service_url, conversation.id, outgoing(activity, conversation)
    )
    return SentActivity(activity_id)


def send_queued_activity(message: QueuedMessage, services: Services) -> None:
    """Send what a queue's message asks for; start the conversation first where there is none.

    That is another call, so another invocation makes it: the message waits inside the start's and
    comes back when it is done.
    """
    request = SendRequest.from_json(message.body)
    try:
        send_activity(request, services)
    except ConversationNotStartedError:
        if message.flow.started or request.recipient is None:
            raise
        services.queues.start_first(
            {
                "channelId": request.recipient.channel_id,
                "isGroup": False,
                "members": [{"id": request.recipient.user_id}],
            },
            message,
        )


def _account(channel_id: str, user_id: str, services: Services) -> Account | None:
    stored = services.accounts.get(channel_id, user_id)
    return stored.account if stored else None


def _conversation_with(
    recipient: Recipient, account: Account | None, services: Services
) -> Conversation:
    one_to_one = account.conversation if account else None
    if account is None or one_to_one is None:
        raise ConversationNotStartedError("The bot has no conversation with this recipient yet")
    return Conversation(
        id=one_to_one.id,
        channel_id=recipient.channel_id,
        service_url=account.service_url or services.settings.service_url(recipient.channel_id),
        bot=account.bot,
        tenant_id=account.tenant_id,
        user_id=recipient.user_id,
    )


def _in_language(request: SendRequest, account: Account | None, default_locale: str) -> Activity:
    """Return the activity that is sent, of several the one in the person's language."""
    if request.activity is not None:
        return request.activity
    activities = request.activities or {}
    wanted = [account.locale] if account and account.locale else []
    locale = best_match(activities, *wanted, default_locale)
    return activities[locale].model_copy(update={"locale": locale})
