"""What can be asked for: the Connector's Conversation object, and three fields of ours."""

import logging
from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from shared.wire_models import (
    Activity,
    ChannelAccount,
    ChannelId,
    EntraId,
    ListOf,
    Name,
    ServiceUrl,
    WireModel,
    parse,
)

_logger = logging.getLogger(__name__)


class StartRequest(WireModel):
    """A request to start a conversation; the body over HTTP and on the queue."""

    model_config = ConfigDict(extra="ignore")

    is_group: bool = False
    bot: ChannelAccount | None = None
    members: ListOf[ChannelAccount] = Field(default_factory=list, validate_default=True)
    topic_name: Name | None = None
    tenant_id: EntraId | None = None
    channel_data: dict[str, Any] | None = None
    activity: Activity | None = None
    channel_id: ChannelId | None = None
    service_url: ServiceUrl | None = None
    start_new: bool = False

    @field_validator("members")
    @classmethod
    def _one_member_unless_group(
        cls, members: list[ChannelAccount], info: ValidationInfo
    ) -> list[ChannelAccount]:
        if info.data.get("is_group") is False and len(members) != 1:
            raise ValueError("must be the one member that the bot talks with (isGroup is false)")
        return members

    @field_validator("activity")
    @classmethod
    def _for_all(cls, activity: Activity | None) -> Activity | None:
        if activity is not None and activity.is_targeted:
            raise ValueError("cannot be for one member alone: start without it, then send it")
        return activity

    @property
    def teams_channel_id(self) -> str | None:
        """The Teams channel that a new thread goes to, None where none is named."""
        channel = (self.channel_data or {}).get("channel")
        channel_id = channel.get("id") if isinstance(channel, Mapping) else None
        return channel_id if isinstance(channel_id, str) and channel_id else None

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> "StartRequest":
        """Return the request in ``body``; raise InvalidRequestError naming what is wrong.

        Fields that nobody knows are dropped, as the object is the Connector's and may grow.
        """
        known = {field.alias for field in cls.model_fields.values()}
        unknown = sorted(name for name in body if name not in known)
        if unknown:
            _logger.info("%d unknown fields of a conversation were dropped", len(unknown))
        return parse(cls, body)
