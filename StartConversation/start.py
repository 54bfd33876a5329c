"""A start: what is asked for, and what the cached account and the settings add to it."""

from dataclasses import dataclass
from typing import Any

from shared.accounts.account import Account, OneToOne
from shared.connector.channel_features import TEAMS
from shared.deliveries.delivery import Destination
from shared.wire_models import ChannelAccount
from shared.wiring import Services
from StartConversation.request import StartRequest


@dataclass(frozen=True)
class Start:
    """A request, completed; ``account`` is what is cached of its first member."""

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
        if self.account is None or not self.is_once:
            return None
        return self.account.conversation

    @property
    def is_once(self) -> bool:
        """Whether the member has one such conversation; groups and threads start anew."""
        return not (self.request.is_group or self.request.start_new)

    def parameters(self) -> dict[str, Any]:
        """Return the ConversationParameters of the Connector's swagger, and nothing else."""
        request = self.request
        account = self.account
        known = ChannelAccount(id=account.user_id, name=account.name) if account else None
        members = [_named(member, known) for member in request.members]
        channel_data = dict(request.channel_data or {})
        if self.channel_id == TEAMS and self.tenant_id:
            # Teams takes the tenant from either place, depending on where the request lands.
            channel_data.setdefault("tenant", {"id": self.tenant_id})
        parameters = {
            "isGroup": request.is_group,
            "bot": self.bot.to_json() if self.bot else None,
            "members": [member.to_json() for member in members] or None,
            "topicName": request.topic_name,
            "tenantId": self.tenant_id,
            "activity": {"type": request.activity.type, **request.activity.to_json()}
            if request.activity
            else None,
            "channelData": channel_data or None,
        }
        return {name: value for name, value in parameters.items() if value is not None}


def completed(request: StartRequest, channel_id: str, services: Services) -> Start:
    """Return the start of a request, with what is known now of the bot and the first member."""
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
    return Start(
        request=request,
        channel_id=channel_id,
        service_url=request.service_url
        or (account.service_url if account and account.service_url else "")
        or settings.service_url(channel_id),
        bot=bot,
        tenant_id=tenant_id,
        account=account,
    )


def _named(account: ChannelAccount, known: ChannelAccount | None) -> ChannelAccount:
    """Return the account with the name that is known of the same one, where it has none."""
    if account.name is not None or known is None or known.name is None or known.id != account.id:
        return account
    return account.model_copy(update={"name": known.name})
