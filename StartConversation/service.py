"""Starting a conversation: once for each person, however many ask."""

import logging
import time
from dataclasses import dataclass, replace
from typing import Any

from shared import json_text
from shared.accounts.account import Account, OneToOne
from shared.accounts.conversations import Conversation
from shared.accounts.store import StoredAccount
from shared.connector.channel_features import TEAMS, require_start_supported
from shared.connector.errors import ConnectorError, unsupported
from shared.deliveries.delivery import Destination
from shared.errors import (
    ConversationNotSupportedError,
    ConversationStartingError,
    FieldError,
    GroupConversationNotSupportedError,
    InvalidRequestError,
    StorageRefusedError,
    StorageUnavailableError,
)
from shared.messages.envelope import QueuedMessage, Sent
from shared.sending.connector_call import Turn, take_turn
from shared.sending.outgoing_activity import outgoing, require_size
from shared.sending.welcome import require_welcome
from shared.wire_models import ChannelAccount
from shared.wiring import Services
from StartConversation.request import StartRequest

_logger = logging.getLogger(__name__)

# The bot's account is cached, and a row of Table storage takes 32 K characters in a property.
_LARGEST_BOT_BYTES = 32 * 1024
_FIRST_POLL_SECONDS = 0.1
_LONGEST_POLL_SECONDS = 1.0


@dataclass(frozen=True)
class StartedConversation:
    """A conversation, and the activity that it was started with or that was sent into it.

    ``from_cache`` tells that nothing was sent: the conversation was there already.
    """

    conversation: Conversation
    activity_id: str | None
    from_cache: bool = False


@dataclass(frozen=True)
class _Start:
    """A request with what the cached account and the settings add to it."""

    request: StartRequest
    channel_id: str
    service_url: str
    bot: ChannelAccount | None
    tenant_id: str | None
    account: Account | None

    @property
    def destination(self) -> Destination:
        """Where the call of the start goes."""
        is_group = self.request.is_group
        return Destination(
            channel_id=self.channel_id,
            service_url=self.service_url,
            tenant_id=self.tenant_id,
            user_id=None if is_group else self.request.members[0].id,
            key=self.account.key if self.account and not is_group else None,
        )

    @property
    def existing(self) -> OneToOne | None:
        """The one-to-one conversation that the bot already has with this member."""
        return self.account.conversation if self.account else None


def start_conversation(
    request: StartRequest,
    services: Services,
    *,
    wait_seconds: float,
    message: QueuedMessage | None = None,
) -> StartedConversation:
    """Return the conversation that is asked for, from the cache or started now.

    Makes one Connector call at most, for a queue's message or for HTTP. When somebody else is
    starting the same conversation, waits for them up to ``wait_seconds``, then raises
    ConversationStartingError.
    """
    channel_id = request.channel_id or services.settings.default_channel_id
    _require_possible(request, channel_id, services)
    if request.is_group or request.start_new:
        start = _completed(request, channel_id, services)
        return _start(start, services, _turn(start.destination, start, services, message), message)
    return _start_once(request, channel_id, services, wait_seconds, message)


def start_queued_conversation(message: QueuedMessage, services: Services) -> Sent:
    """Start the conversation that a queue's message asks for."""
    request = StartRequest.from_json(message.request)
    started = start_conversation(request, services, wait_seconds=0, message=message)
    return Sent(started.activity_id)


def _require_possible(request: StartRequest, channel_id: str, services: Services) -> None:
    if request.service_url is not None:
        services.settings.trusted_service_urls.require(request.service_url)
    require_start_supported(
        channel_id, is_group=request.is_group, teams_channel_id=request.teams_channel_id
    )
    most_bytes = services.settings.largest_activity_bytes(channel_id)
    if request.activity:
        require_size(request.activity, most_bytes, field="activity")
    elif request.is_group and channel_id == TEAMS:
        raise InvalidRequestError(
            FieldError("activity", "is required: a thread in Teams starts with a message")
        )
    if request.bot:
        json_text.require_size(request.bot.to_json(), _LARGEST_BOT_BYTES, field="bot")
    json_text.require_size(request.to_json(), most_bytes)


def _completed(request: StartRequest, channel_id: str, services: Services) -> _Start:
    settings = services.settings
    stored = services.accounts.get(channel_id, request.members[0].id) if request.members else None
    account = stored.account if stored else None
    default_bot_id = settings.bot_id(channel_id)
    bot = account.bot if account and account.bot else None
    if bot is None and default_bot_id:
        bot = ChannelAccount(id=default_bot_id)
    if request.bot is not None:
        bot = _named(request.bot, bot)
    tenant_id = request.tenant_id or (account.tenant_id if account else None)
    if tenant_id is None and channel_id == TEAMS:
        tenant_id = settings.tenant_id or None
    return _Start(
        request=request,
        channel_id=channel_id,
        service_url=request.service_url
        or (account.service_url if account and account.service_url else "")
        or settings.service_url(channel_id),
        bot=bot,
        tenant_id=tenant_id,
        account=account,
    )


def _start_once(
    request: StartRequest,
    channel_id: str,
    services: Services,
    wait_seconds: float,
    message: QueuedMessage | None,
) -> StartedConversation:
    deadline = time.monotonic() + wait_seconds
    poll_seconds = _FIRST_POLL_SECONDS
    turn: Turn | None = None
    while True:
        start = _completed(request, channel_id, services)
        if start.existing:
            return _continue(start, start.existing, services, message)
        # The lease shall cover the call alone, not the wait for a turn or a slow token before it.
        turn = turn or _turn(start.destination, start, services, message)
        lease = services.leases.acquire(
            "start",
            services.settings.app_id,
            channel_id,
            start.account.user_id if start.account else request.members[0].id,
            seconds=services.settings.lease_seconds,
        )
        if lease is not None:
            break
        if time.monotonic() >= deadline:
            raise ConversationStartingError(
                "Somebody else is starting this conversation right now; ask again in a moment"
            )
        time.sleep(poll_seconds)
        poll_seconds = min(poll_seconds * 1.5, _LONGEST_POLL_SECONDS)
    try:
        # Who held the lease before may have finished after we looked.
        start = _completed(request, channel_id, services)
        if start.existing:
            return _continue(start, start.existing, services, message)
        return _start(start, services, turn, message)
    finally:
        services.leases.release(lease)


def _turn(
    destination: Destination,
    start: _Start,
    services: Services,
    message: QueuedMessage | None,
) -> Turn:
    """Take the turn of a call, if the person wants to hear what is to be said with it."""
    request = start.request
    if message is not None:
        message.destination = destination
    if request.activity and not request.is_group:
        require_welcome(
            start.channel_id, request.members[0].id, start.account, services, message=message
        )
    return take_turn(destination, services, message)


def _continue(
    start: _Start, existing: OneToOne, services: Services, message: QueuedMessage | None
) -> StartedConversation:
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
    if activity is None:
        if message is not None:
            message.destination = destination
        return StartedConversation(conversation, existing.activity_id, from_cache=True)
    turn = _turn(destination, start, services, message)
    activity_id = turn.call(
        lambda: services.connector.send_activity(
            conversation.service_url, conversation.id, outgoing(activity, conversation)
        )
    )
    return StartedConversation(conversation, activity_id)


def _start(
    start: _Start, services: Services, turn: Turn, message: QueuedMessage | None
) -> StartedConversation:
    request = start.request
    try:
        created = turn.call(
            lambda: services.connector.create_conversation(start.service_url, _parameters(start))
        )
    except ConnectorError as error:
        refusal = (
            GroupConversationNotSupportedError
            if request.is_group
            else ConversationNotSupportedError
        )
        raise unsupported(error, start.channel_id, refusal) from error
    conversation = Conversation(
        id=created.id,
        channel_id=start.channel_id,
        service_url=created.service_url or start.service_url,
        is_group=request.is_group,
        activity_id=created.activity_id,
        bot=start.bot,
        tenant_id=start.tenant_id,
        user_id=None if request.is_group else request.members[0].id,
    )
    try:
        account = _remember(start, conversation, services)
    except (StorageUnavailableError, StorageRefusedError) as error:
        if message is not None:
            # It was started, but there is no trace of it: what comes next may start another one.
            error.is_ambiguous = True
            raise
        _logger.warning("A conversation was started but could not be cached: %s", error)
        account = start.account
    if message is not None:
        message.destination = replace(
            start.destination,
            conversation_id=conversation.id,
            key=account.key if account else None,
        )
    return StartedConversation(conversation, created.activity_id)


def _remember(start: _Start, conversation: Conversation, services: Services) -> Account | None:
    """Cache a conversation, and with whom it is, if it is with one person."""
    # Whoever learns of a conversation from the account must find the conversation.
    services.conversations.put(conversation)
    user_id = conversation.user_id
    if user_id is None:
        return start.account

    def with_conversation(stored: StoredAccount | None) -> Account:
        account = stored.account if stored else Account(start.channel_id, user_id)
        account = replace(
            account,
            name=account.name or start.request.members[0].name,
            tenant_id=account.tenant_id or start.tenant_id,
            bot=account.bot or start.bot,
            service_url=conversation.service_url,
        )
        started = OneToOne(conversation.id, activity_id=conversation.activity_id)
        return account.with_conversation(started)

    return services.accounts.change(start.channel_id, user_id, with_conversation).account


def _parameters(start: _Start) -> dict[str, Any]:
    """Return the ConversationParameters of the Connector's swagger, and nothing else."""
    request = start.request
    cached_user = (
        ChannelAccount(id=start.account.user_id, name=start.account.name) if start.account else None
    )
    members = [_named(member, cached_user) for member in request.members]
    channel_data = dict(request.channel_data or {})
    if start.channel_id == TEAMS and start.tenant_id:
        # Teams takes the tenant from either place, depending on where the request lands.
        channel_data.setdefault("tenant", {"id": start.tenant_id})
    parameters = {
        "isGroup": request.is_group,
        "bot": start.bot.to_json() if start.bot else None,
        "members": [member.to_json() for member in members] or None,
        "topicName": request.topic_name,
        "tenantId": start.tenant_id,
        "activity": {"type": request.activity.type, **request.activity.to_json()}
        if request.activity
        else None,
        "channelData": channel_data or None,
    }
    return {name: value for name, value in parameters.items() if value is not None}


def _named(account: ChannelAccount, known: ChannelAccount | None) -> ChannelAccount:
    """Return the account with the name that is known of the same one, where it has none."""
    if account.name is not None or known is None or known.name is None or known.id != account.id:
        return account
    return account.model_copy(update={"name": known.name})
