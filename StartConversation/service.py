"""Starting a conversation: once for each person, however many ask."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from shared import json_text
from shared.accounts.account import Account, OneToOne
from shared.accounts.conversations import Conversation
from shared.accounts.store import StoredAccount
from shared.connector.channel_features import TEAMS, require_start_supported
from shared.deliveries.delivery import Destination
from shared.errors import (
    ConversationStartingError,
    FieldError,
    InvalidRequestError,
    StorageRefusedError,
    StorageUnavailableError,
)
from shared.messages.queued_message import QueuedMessage, Sent, UnsentError, addressed
from shared.sending.connector_call import Turn, take_turn
from shared.sending.outgoing_activity import outgoing, require_size
from shared.sending.recipient import FoundRecipient
from shared.sending.suppression_check import require_wanted
from shared.storage.leases import Lease
from shared.wiring import Services
from StartConversation.request import StartRequest
from StartConversation.start import Start, completed

_logger = logging.getLogger(__name__)

# The bot's account is cached, and a row of Table storage takes 32 K characters in a property.
_LARGEST_BOT_BYTES = 32 * 1024
_FIRST_POLL_SECONDS = 0.1
_LONGEST_POLL_SECONDS = 1.0


@dataclass(frozen=True)
class StartedConversation:
    """A conversation, and the activity that it was started with or that was sent into it.

    ``from_cache`` tells that nothing was sent: the conversation was there already. ``message`` is
    the queue's message as it is now.
    """

    conversation: Conversation
    activity_id: str | None
    from_cache: bool = False
    message: QueuedMessage | None = None


def start_conversation(
    request: StartRequest,
    services: Services,
    *,
    wait_seconds: float,
    message: QueuedMessage | None = None,
    until: datetime | None = None,
) -> StartedConversation:
    """Return the conversation that is asked for, from the cache or started now.

    Makes one Connector call at most, for a queue's message or for HTTP; it ends before ``until``.
    When somebody else is
    starting the same conversation, waits for them up to ``wait_seconds``, then raises
    ConversationStartingError.
    """
    channel_id = request.channel_id or services.settings.default_channel_id
    _require_possible(request, channel_id, services)
    start = completed(request, channel_id, services)
    with addressed(message, start.destination) as message:
        if start.existing is not None:
            return _continue(start, start.existing, services, message, until)
        # The lease covers the call alone, not the wait for a turn or a slow token before it.
        turn = _turn(start, start.destination, services, message)
        if not start.is_once:
            return _start(start, turn, services, until)
        try:
            with (
                addressed(turn.message, start.destination),
                _leased(start, services, wait_seconds) as (start, leased_until),
            ):
                if start.existing is None:
                    return _start(start, turn, services, until, leased_until)
                turn.give_back()
                return _continue(start, start.existing, services, turn.message, until)
        except Exception:  # of any type: without a call, a probe of the lane is still to be made
            turn.give_back()
            raise


def start_queued_conversation(message: QueuedMessage, services: Services) -> Sent:
    """Start the conversation that a queue's message asks for."""
    request = StartRequest.from_json(message.request)
    started = start_conversation(request, services, wait_seconds=0, message=message)
    return Sent(started.activity_id, started.message)


def _require_possible(request: StartRequest, channel_id: str, services: Services) -> None:
    if request.service_url is not None:
        services.settings.trusted_service_urls.require(request.service_url)
    require_start_supported(
        channel_id, is_group=request.is_group, teams_channel_id=request.teams_channel_id
    )
    if request.activity:
        require_size(request.activity, channel_id, services.settings, field="activity")
    elif request.is_group and channel_id == TEAMS:
        raise InvalidRequestError(
            FieldError("activity", "is required: a thread in Teams starts with a message")
        )
    if request.bot:
        json_text.require_size(request.bot.to_json(), _LARGEST_BOT_BYTES, field="bot")
    require_size(request, channel_id, services.settings)


@contextmanager
def _leased(
    start: Start, services: Services, wait_seconds: float
) -> Iterator[tuple[Start, datetime | None]]:
    """Hold the lease on starting a conversation, or wait for the one who holds it.

    Yields the start as it is then, as somebody else may have started the conversation, and until
    when the lease is held. Raises ConversationStartingError after ``wait_seconds``.
    """
    deadline = time.monotonic() + wait_seconds
    poll_seconds = _FIRST_POLL_SECONDS
    while (lease := _acquire_lease(start, services)) is None:
        start = completed(start.request, start.channel_id, services)
        if start.existing is not None:
            yield start, None
            return
        if time.monotonic() >= deadline:
            raise ConversationStartingError(
                "Somebody else is starting this conversation right now; ask again in a moment"
            )
        time.sleep(poll_seconds)
        poll_seconds = min(poll_seconds * 1.5, _LONGEST_POLL_SECONDS)
    try:
        # Who held the lease before may have finished after we looked.
        yield completed(start.request, start.channel_id, services), lease.until
    finally:
        services.leases.release(lease)


def _acquire_lease(start: Start, services: Services) -> Lease | None:
    return services.leases.acquire(
        "start",
        services.settings.app_id,
        start.channel_id,
        start.account.user_id if start.account else start.request.members[0].id,
        seconds=services.settings.lease_seconds,
    )


def _turn(
    start: Start, destination: Destination, services: Services, message: QueuedMessage | None
) -> Turn:
    """Take the turn of a call; raise SuppressedError where the person does not want it."""
    is_probe = False
    # What waits for the start is sent right after it.
    waits = message is not None and message.envelope.then is not None
    members = start.request.members
    # Some channels open a conversation with the one member of a group as with anybody.
    if (start.request.activity or waits) and len(members) == 1:
        recipient = FoundRecipient(start.channel_id, members[0].id, start.account, None)
        # Only a conversation with the person alone shows whether they can be reached.
        may_probe = message if destination.user_id is not None else None
        is_probe = require_wanted(recipient, None, services, may_probe)
    return take_turn(destination, services, message, is_probe=is_probe)


def _continue(
    start: Start,
    existing: OneToOne,
    services: Services,
    message: QueuedMessage | None,
    until: datetime | None,
) -> StartedConversation:
    """Send the activity of a start, if it has one, into the conversation that there is."""
    conversation = Conversation(
        id=existing.id,
        channel_id=start.channel_id,
        service_url=(start.account and start.account.service_url) or start.service_url,
        conversation_type=existing.conversation_type,
        activity_id=existing.activity_id,
        bot=start.bot,
        tenant_id=start.tenant_id,
        user_id=start.request.members[0].id,
    )
    destination = replace(
        start.destination, service_url=conversation.service_url, conversation_id=conversation.id
    )
    activity = start.request.activity
    with addressed(message, destination) as message:
        if activity is None:
            return StartedConversation(
                conversation, existing.activity_id, from_cache=True, message=message
            )
        with _turn(start, destination, services, message).call(until) as call:
            activity_id = call.connector.send_activity(
                conversation.id, outgoing(activity, conversation)
            )
        return StartedConversation(conversation, activity_id, message=call.message)


def _start(
    start: Start, turn: Turn, services: Services, *until: datetime | None
) -> StartedConversation:
    """Make the call, which ends before each of the times, and cache what it started."""
    with turn.call(*until) as call:
        if call.message is not None and call.message.envelope.alert is not None:
            # What waits for this start would not be sent any more.
            services.alerts.under_way(call.message.envelope.alert)
        created = call.connector.create_conversation(start.parameters())
    conversation = Conversation(
        id=created.id,
        channel_id=start.channel_id,
        service_url=created.service_url or start.service_url,
        is_group=start.request.is_group,
        activity_id=created.activity_id,
        bot=start.bot,
        tenant_id=start.tenant_id,
        user_id=start.destination.user_id,
    )
    account = start.account
    try:
        account = _remember(start, conversation, services)
    except (StorageUnavailableError, StorageRefusedError) as error:
        if call.message is not None:
            # It was started, but there is no trace of it: what comes next may start another one.
            error.is_ambiguous = error.was_attempt = True
            raise UnsentError(call.message, error) from error
        _logger.warning("A conversation was started but could not be cached: %s", error)
    started = StartedConversation(conversation, created.activity_id)
    if call.message is None:
        return started
    destination = replace(
        start.destination,
        conversation_id=conversation.id,
        key=account.key if account else None,
    )
    return replace(started, message=replace(call.message, destination=destination))


def _remember(start: Start, conversation: Conversation, services: Services) -> Account | None:
    """Cache a conversation, and the person it is with, where it is with one.

    Returns their account; None where there is none, as they were erased during the call.
    """
    user_id = conversation.user_id
    if user_id is None:
        services.conversations.put(conversation)
        return start.account

    def with_conversation(stored: StoredAccount | None) -> Account:
        account = stored.account if stored else Account(start.channel_id, user_id)
        account = replace(
            account,
            name=account.name or start.request.members[0].name,
            tenant_id=account.tenant_id or start.tenant_id,
            bot=account.bot or start.bot,
            service_url=conversation.service_url,
            started_at=datetime.now(UTC),
        )
        started = OneToOne(conversation.id, activity_id=conversation.activity_id)
        return account.with_conversation(started)

    accounts = services.accounts
    # Who was known and is not any more has been erased during the call.
    remember = accounts.change_or_make if start.account is None else accounts.change
    stored = remember(start.channel_id, user_id, with_conversation)
    return stored.account if stored else None
