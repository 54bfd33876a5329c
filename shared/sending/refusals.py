"""What the Connector's answers teach: who can be reached, and what can be mended."""

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from shared.accounts.account import Account
from shared.accounts.store import StoredAccount
from shared.accounts.suppression import is_probe_due, unreachable_reason
from shared.connector.errors import ConnectorError, Remedy
from shared.deliveries.delivery import Destination
from shared.errors import (
    ConversationNotStartedError,
    OnQueue,
    StorageRefusedError,
    StorageUnavailableError,
    SuppressedError,
)
from shared.messages.queue_names import SEND_ACTIVITY, START_CONVERSATION
from shared.messages.queued_message import QueuedMessage, UnsentError
from shared.throttling.lane import Lane
from shared.throttling.lane_slots import DISABLED
from shared.wiring import Services

_logger = logging.getLogger(__name__)

_ADMIN_PROBE_SECONDS = 3600.0


def learn(
    error: ConnectorError, destination: Destination, message: QueuedMessage, services: Services
) -> UnsentError:
    """Mend or mark what a refusal asks for.

    Returns what the refusal means for the message, and the message as it is from here on.
    """
    match error.remedy:
        case Remedy.START_AGAIN:
            return _without_conversation(error, destination, message, services)
        case Remedy.CHANGE_HOST:
            return _with_other_host(error, destination, message, services)
        case Remedy.MARK_NOT_INSTALLED | Remedy.MARK_BLOCKED:
            _mark_out_of_reach(error, destination, services)
        case Remedy.PAUSE:
            services.pacer.pause(
                Lane.of(destination.service_url, destination.tenant_id),
                probe_seconds=_ADMIN_PROBE_SECONDS,
                reason=DISABLED,
            )
    return UnsentError(message, error)


def take_probe(destination: Destination, services: Services) -> None:
    """Have the next call show whether a person can be reached again.

    Raises SuppressedError when another message does so already.
    """
    now = datetime.now(UTC)
    due: Account | None = None

    def probed(stored: StoredAccount | None) -> Account:
        nonlocal due
        current = _account(stored, destination)
        due = current if is_probe_due(current, now) else None
        if due is None:
            return current
        days = services.settings.blocked_probe_days
        return replace(current, probe_at=now + timedelta(days=days))

    changed = services.accounts.change(destination.channel_id, destination.user_id or "", probed)
    if due is None:
        raise SuppressedError(unreachable_reason(changed.account))


def note_within_reach(destination: Destination, services: Services) -> None:
    """Note that a person can be reached again who was out of reach."""

    def within_reach(stored: StoredAccount | None) -> Account:
        account = _account(stored, destination)
        return replace(account, blocked=False, installed=True, probe_at=None)

    try:
        if not _is_forgotten(destination, services):
            user_id = destination.user_id or ""
            services.accounts.change(destination.channel_id, user_id, within_reach)
    except (StorageUnavailableError, StorageRefusedError) as error:
        # The message was sent, and must not be sent again for this; the next probe tells the same.
        _logger.warning("That somebody can be reached again could not be noted: %s", error)


def _without_conversation(
    error: ConnectorError, destination: Destination, message: QueuedMessage, services: Services
) -> UnsentError:
    """Forget a one-to-one conversation, so that it is started again; the person stays."""
    user_id, conversation_id = destination.user_id, destination.conversation_id
    says_something_new = message.queue in (SEND_ACTIVITY, START_CONVERSATION)
    # An activity that was sent into it is in no other conversation.
    if not says_something_new or user_id is None or conversation_id is None:
        return UnsentError(message, error)
    if "conversation" in message.envelope.healed or _is_forgotten(destination, services):
        return UnsentError(message, error)

    def without(stored: StoredAccount | None) -> Account:
        account = _account(stored, destination)
        if account.conversation_id == conversation_id:
            return account.without_conversation()
        return account.having_left(conversation_id)

    services.accounts.change(destination.channel_id, user_id, without)
    gone = ConversationNotStartedError("The Connector does not know this conversation any more")
    gone.was_attempt = True
    gone.correlation_id = error.correlation_id
    # A start that has something to say comes back, and finds no conversation any more.
    gone.on_queue = OnQueue.RETRY
    gone.retry_after_seconds = 0
    return UnsentError(_healed(message, "conversation"), gone)


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
    if user_id is not None and services.accounts.get(destination.channel_id, user_id) is not None:

        def moved(stored: StoredAccount | None) -> Account:
            return replace(_account(stored, destination), service_url=service_url)

        services.accounts.change(destination.channel_id, user_id, moved)
    error.on_queue = OnQueue.RETRY
    error.retry_after_seconds = 0
    return UnsentError(_healed(message, "host"), error)


def _healed(message: QueuedMessage, what: str) -> QueuedMessage:
    return message.noting(healed=[*message.envelope.healed, what], started=False)


def _mark_out_of_reach(error: ConnectorError, destination: Destination, services: Services) -> None:
    """Mark a person as out of reach, until they are heard of or a probe reaches them."""
    user_id = destination.user_id
    if user_id is None or _is_forgotten(destination, services):
        return
    probe_at = datetime.now(UTC) + timedelta(days=services.settings.blocked_probe_days)

    def out_of_reach(stored: StoredAccount | None) -> Account:
        account = _account(stored, destination)
        if account.has_left(destination.conversation_id or ""):
            # What was sent there may still be changed, but nothing is told of where they are now.
            return account
        if error.remedy is Remedy.MARK_BLOCKED:
            return replace(account, blocked=True, probe_at=probe_at)
        return replace(account, installed=False, probe_at=probe_at)

    services.accounts.change(destination.channel_id, user_id, out_of_reach)


def _is_forgotten(destination: Destination, services: Services) -> bool:
    """Tell whether there is no account to note anything in: no person, or one who was forgotten."""
    user_id = destination.user_id
    if user_id is None:
        return True
    was_known = destination.key is not None
    return was_known and services.accounts.get(destination.channel_id, user_id) is None


def _account(stored: StoredAccount | None, destination: Destination) -> Account:
    if stored is not None:
        return stored.account
    return Account(destination.channel_id, destination.user_id or "")
