"""The record of a message on its way to somebody."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.storage.personal_keys import PersonalKey


class Status(StrEnum):
    """How far a delivery is."""

    ACCEPTED = "accepted"
    SENDING = "sending"
    RETRYING = "retrying"
    SENT = "sent"
    PERMANENT_FAILURE = "permanent-failure"
    TEMPORARY_FAILURE = "temporary-failure"
    TECHNICAL_FAILURE = "technical-failure"
    SUPPRESSED = "suppressed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"

    @property
    def is_failure(self) -> bool:
        """Whether it failed, and may be put back."""
        return self in (
            Status.PERMANENT_FAILURE,
            Status.TEMPORARY_FAILURE,
            Status.TECHNICAL_FAILURE,
        )

    @property
    def is_for_good(self) -> bool:
        """Whether it is over even for a message that is put on a queue again."""
        return self in (Status.SENT, Status.CANCELLED)

    @property
    def is_final(self) -> bool:
        """Whether nothing more becomes of it by itself."""
        return self not in (Status.ACCEPTED, Status.SENDING, Status.RETRYING)


@dataclass(frozen=True)
class Destination:
    """Where a call goes. ``conversation_id`` is None for a start, ``user_id`` for a group.

    ``key`` seals what is recorded of the person; None when nothing is cached of them yet.
    """

    channel_id: str
    service_url: str
    tenant_id: str | None = None
    conversation_id: str | None = None
    user_id: str | None = None
    key: PersonalKey | None = None


@dataclass(frozen=True)
class Delivery:
    """A message on its way, and what became of it so far.

    ``posting`` names the act by which the message was put on a queue, at first or after it had
    failed. ``attempts`` counts the calls that were made for it. ``owner`` has the claim on making
    the call, ``until`` then. ``alert_version`` is that of what the person sees of an alert, which
    was ``recalled`` where they see nothing any more.
    """

    id: str
    status: Status
    created_at: datetime
    updated_at: datetime
    posting: str = ""
    destination: Destination | None = None
    attempts: int = 0
    code: str | None = None
    detail: str | None = None
    correlation_id: str | None = None
    activity_id: str | None = None
    recreated: bool = False
    ambiguous: bool = False
    owner: str | None = None
    until: datetime | None = None
    failed_on: str | None = None
    alert_id: str | None = None
    alert_version: int | None = None
    recalled: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in an answer."""
        destination = self.destination
        recipient = None
        if destination is not None and destination.user_id is not None:
            recipient = {"channelId": destination.channel_id, "userId": destination.user_id}
        body = {
            "id": self.id,
            "alertId": self.alert_id,
            "status": self.status.value,
            "channelId": destination.channel_id if destination else None,
            "recipient": recipient,
            "conversationId": destination.conversation_id if destination else None,
            "attempts": self.attempts,
            "code": self.code,
            "detail": self.detail,
            "correlationId": self.correlation_id,
            "activityId": self.activity_id,
            "recreated": self.recreated or None,
            "ambiguous": self.ambiguous or None,
            "alertVersion": self.alert_version,
            "recalled": self.recalled or None,
            "createdAt": self.created_at.isoformat(),
            "updatedAt": self.updated_at.isoformat(),
        }
        return {name: value for name, value in body.items() if value is not None}
