"""What is mended or marked once the Connector has refused a queue's message, by its table."""

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from shared.accounts.account import Account
from shared.accounts.store import StoredAccount
from shared.connector.errors import ConnectorError
from shared.deliveries.delivery import Destination
from shared.errors import (
    AppError,
    ConversationNotStartedError,
    OnQueue,
    StorageRefusedError,
    StorageUnavailableError,
)
from shared.messages.envelope import DELETE_ACTIVITY, UPDATE_ACTIVITY, QueuedMessage
from shared.throttling.lane import Lane
from shared.throttling.pacer import DISABLED
from shared.wiring import Services

_logger = logging.getLogger(__name__)

_ADMIN_PROBE_SECONDS = 3600.0


def heal(
    error: ConnectorError, destination: Destination, message: QueuedMessage, services: Services
) -> AppError:
    """Mend or mark what the error says; return what it means for the message from here on."""
    match error.on_queue:
        case OnQueue.START_AGAIN:
            return _without_conversation(error, destination, message, services)
        case OnQueue.CHANGE_HOST:
            return _with_other_host(error, destination, message, services)
        case OnQueue.MARK_NOT_INSTALLED | OnQueue.MARK_BLOCKED:
            _mark(error, destination, services)
        case OnQueue.PAUSE:
            services.pacer.pause(
                Lane.of(destination.service_url, destination.tenant_id),
                probe_seconds=_ADMIN_PROBE_SECONDS,
                reason=DISABLED,
            )
    return error


def note_success(destination: Destination, message: QueuedMessage, services: Services) -> None:
    """Note that somebody can be reached again who was out of reach."""
    if not message.envelope.is_probe or _is_forgotten(destination, services):
        return

    def within_reach(stored: StoredAccount | None) -> Account:
        account = _account(stored, destination.channel_id, destination.user_id or "")
        return replace(account, blocked=False, installed=True, probe_at=None)

    try:
        services.accounts.change(destination.channel_id, destination.user_id or "", within_reach)
    except (StorageUnavailableError, StorageRefusedError) as error:
        # The message was sent, and must not be sent again for this; the next probe tells the same.
        _logger.warning("That somebody can be reached again could not be noted: %s", error)


def _without_conversation(
    error: ConnectorError, destination: Destination, message: QueuedMessage, services: Services
) -> AppError:
    """Forget a one-to-one conversation, so that it is started again; the person stays."""
    user_id, conversation_id = destination.user_id, destination.conversation_id
    if message.queue in (UPDATE_ACTIVITY, DELETE_ACTIVITY):
        # What was sent into it is in no other.
        return error
    if user_id is None or conversation_id is None or "conversation" in message.envelope.healed:
        return error
    if _is_forgotten(destination, services):
        return error

    def without(stored: StoredAccount | None) -> Account:
        account = _account(stored, destination.channel_id, user_id)
        if account.conversation_id == conversation_id:
            return account.without_conversation()
        return account.having_left(conversation_id)

    services.accounts.change(destination.channel_id, user_id, without)
    message.envelope = message.envelope.after_healing("conversation")
    gone = ConversationNotStartedError("The Connector knows this conversation no more")
    gone.was_attempt = True
    gone.correlation_id = error.correlation_id
    # A start that has something to say comes back, and finds no conversation any more.
    gone.on_queue = OnQueue.COUNT
    gone.retry_after_seconds = 0
    return gone


def _with_other_host(
    error: ConnectorError, destination: Destination, message: QueuedMessage, services: Services
) -> AppError:
    """Have the person, and the message, go by the service URL of the government community cloud."""
    service_url = services.settings.cloud.community_service_url
    if "host" in message.envelope.healed or not services.settings.trusted_service_urls.accepts(
        service_url
    ):
        return error
    if destination.conversation_id is None:
        message.body = {**message.body, "serviceUrl": service_url}
    else:
        services.conversations.move(
            destination.conversation_id, destination.channel_id, service_url
        )
    user_id = destination.user_id
    if user_id is not None and services.accounts.get(destination.channel_id, user_id) is not None:

        def moved(stored: StoredAccount | None) -> Account:
            account = _account(stored, destination.channel_id, user_id)
            return replace(account, service_url=service_url)

        services.accounts.change(destination.channel_id, user_id, moved)
    message.envelope = message.envelope.after_healing("host")
    error.on_queue = OnQueue.COUNT
    error.retry_after_seconds = 0
    return error


def _mark(error: ConnectorError, destination: Destination, services: Services) -> None:
    """Mark a person as out of reach, until they are heard of or a probe reaches them."""
    user_id = destination.user_id
    if user_id is None or _is_forgotten(destination, services):
        return
    probe_at = datetime.now(UTC) + timedelta(days=services.settings.blocked_probe_days)

    def out_of_reach(stored: StoredAccount | None) -> Account:
        account = _account(stored, destination.channel_id, user_id)
        if account.has_left(destination.conversation_id or ""):
            # What was sent there may still be changed, but nothing is told of where they are now.
            return account
        if error.on_queue is OnQueue.MARK_BLOCKED:
            return replace(account, blocked=True, probe_at=probe_at)
        return replace(account, installed=False, probe_at=probe_at)

    services.accounts.change(destination.channel_id, user_id, out_of_reach)


def _is_forgotten(destination: Destination, services: Services) -> bool:
    """Tell whether there is nobody to note anything of: no person, or one who was forgotten."""
    user_id = destination.user_id
    if user_id is None:
        return True
    was_known = destination.key is not None
    return was_known and services.accounts.get(destination.channel_id, user_id) is None


def _account(stored: StoredAccount | None, channel_id: str, user_id: str) -> Account:
    return stored.account if stored else Account(channel_id, user_id)
