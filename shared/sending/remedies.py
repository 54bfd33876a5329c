"""What a refusal of the Connector asks for: something to mend, or somebody to mark."""

from dataclasses import replace
from datetime import datetime
from functools import partial

from shared.accounts.account import Account
from shared.accounts.store import StoredAccount
from shared.connector.errors import ConnectorError, Remedy
from shared.deliveries.delivery import Destination
from shared.errors import (
    ConversationNotStartedError,
    OnQueue,
    SuppressedError,
    TokenRefusedError,
)
from shared.messages.envelope import Healing
from shared.messages.queue_names import SEND_ACTIVITY, START_CONVERSATION
from shared.messages.queued_message import QueuedMessage, UnsentError
from shared.sending.reachability import mark_out_of_reach
from shared.throttling.pacer import Slot
from shared.wiring import Services


def learn(
    error: ConnectorError,
    destination: Destination,
    message: QueuedMessage,
    services: Services,
    began_at: datetime,
    *,
    is_probe: bool,
) -> UnsentError:
    """Mend or mark what a refusal asks for; it tells of when the call ``began_at``.

    ``is_probe`` tells that the message was let through to somebody out of reach. Returns what the
    refusal means for the message, and the message as it is from here on.
    """
    match error.remedy:
        case Remedy.START_AGAIN:
            return _without_conversation(error, destination, message, services, began_at)
        case Remedy.CHANGE_HOST:
            return _with_other_host(error, destination, message, services)
        case Remedy.MARK_NOT_INSTALLED | Remedy.MARK_BLOCKED | Remedy.MARK_DISABLED:
            # Not before it is recorded that this message has failed: one that comes again to a
            # person who is marked is suppressed.
            mark = partial(mark_out_of_reach, error, destination, services, began_at)
            message = replace(message, afterwards=mark)
            if is_probe:
                return UnsentError(message, _still_out_of_reach(error))
    return UnsentError(message, error)


def learn_of_refused_token(
    error: TokenRefusedError, slot: Slot, message: QueuedMessage, services: Services
) -> UnsentError:
    """Have a message that was answered 401 tried with a new token, once.

    Refused again, it waits for its lane, or it is an attempt where others of the lane get through.
    Returns what that means for the message, and the message as it is from here on.
    """
    first_refused_at = message.envelope.token_refused_at
    if first_refused_at is None:
        refused_at, error.retry_after_seconds = services.pacer.suspect(slot)
        return UnsentError(message.noting(token_refused_at=refused_at), error)
    error.retry_after_seconds = services.pacer.refused(slot, first_refused_at)
    if error.retry_after_seconds is None:
        error.was_attempt = True
        error.on_queue = OnQueue.RETRY
    return UnsentError(message, error)


def _still_out_of_reach(error: ConnectorError) -> SuppressedError:
    suppressed = SuppressedError(f"The person still cannot be reached: {error.code}")
    suppressed.was_attempt = True
    suppressed.correlation_id = error.correlation_id
    return suppressed


def _without_conversation(
    error: ConnectorError,
    destination: Destination,
    message: QueuedMessage,
    services: Services,
    began_at: datetime,
) -> UnsentError:
    """Forget a one-to-one conversation, so that it is started again; the person stays.

    One that was started, or seen, since the call ``began_at`` stays: Teams gives the same id again.
    The message is tried in it, and may still be started anew once.
    """
    user_id, conversation_id = destination.user_id, destination.conversation_id
    says_something_new = message.queue in (SEND_ACTIVITY, START_CONVERSATION)
    # An activity that was sent into it is in no other conversation.
    if not says_something_new or user_id is None or conversation_id is None:
        return UnsentError(message, error)
    if "conversation" in message.envelope.healed:
        return UnsentError(message, error)

    def without(stored: StoredAccount) -> Account:
        account = stored.account
        if account.conversation_id != conversation_id:
            return account.having_left(conversation_id)
        return account if account.has_news_since(began_at) else account.without_conversation()

    changed = services.accounts.change(destination.channel_id, user_id, without)
    if changed is None and destination.key is not None:
        # They were known, and have been erased.
        return UnsentError(message, error)
    gone = ConversationNotStartedError("The Connector does not know this conversation any more")
    gone.was_attempt = True
    gone.correlation_id = error.correlation_id
    # A start that has something to say comes back, and finds no conversation any more.
    gone.on_queue = OnQueue.RETRY
    gone.retry_after_seconds = 0
    is_kept = changed is not None and changed.account.conversation_id == conversation_id
    return UnsentError(message if is_kept else _healed(message, "conversation"), gone)


def _with_other_host(
    error: ConnectorError, destination: Destination, message: QueuedMessage, services: Services
) -> UnsentError:
    """Have the person, and the message, go by the service URL of the government community cloud."""
    service_url = services.settings.cloud.community_service_url
    is_trusted = services.settings.trusted_service_urls.accepts(service_url)
    if "host" in message.envelope.healed or not is_trusted:
        return UnsentError(message, error)
    if destination.conversation_id is None:
        message = replace(message, body={**message.body, "serviceUrl": service_url})
    else:
        services.conversations.move(
            destination.conversation_id, destination.channel_id, service_url
        )
    user_id = destination.user_id
    if user_id is not None:

        def moved(stored: StoredAccount) -> Account:
            return replace(stored.account, service_url=service_url)

        services.accounts.change(destination.channel_id, user_id, moved)
    error.on_queue = OnQueue.RETRY
    error.retry_after_seconds = 0
    return UnsentError(_healed(message, "host"), error)


def _healed(message: QueuedMessage, what: Healing) -> QueuedMessage:
    return message.noting(healed=[*message.envelope.healed, what], started=False)
