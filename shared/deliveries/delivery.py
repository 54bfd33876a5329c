"""The record of a message on its way to somebody."""

from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.json_text import without_none
from shared.storage.personal_keys import PersonalKey
from shared.storage.row_properties import to_properties

_NOT_ANSWERED = (
    *("kind", "destination", "posting", "attempts_before"),
    *("until", "failed_on", "answers"),
)


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
        """Whether it stays so, even when the message is put on a queue again."""
        return self in (Status.SENT, Status.CANCELLED)

    @property
    def is_final(self) -> bool:
        """Whether it stays so unless the message is put on a queue again."""
        return self not in (Status.ACCEPTED, Status.SENDING, Status.RETRYING)


@dataclass(frozen=True)
class Destination:
    """Where a call goes. ``conversation_id`` is None for a start, ``user_id`` for a group.

    ``key`` encrypts what is recorded of the person; None when nothing is cached of them yet.
    """

    channel_id: str
    service_url: str
    tenant_id: str | None = None
    conversation_id: str | None = None
    user_id: str | None = None
    key: PersonalKey | None = None


@dataclass(frozen=True)
class DeliveryState:
    """How far a delivery is, and what the person sees of the alert that it belongs to.

    ``alert_version`` is the version that they see, with ``answers``, as many as they had given by
    then; where it was ``recalled``, they see nothing.
    """

    id: str
    status: Status
    _: KW_ONLY
    activity_id: str | None = None
    alert_version: int | None = None
    recalled: bool = False
    answers: int | None = None


@dataclass(frozen=True)
class Delivery(DeliveryState):
    """A message on its way, and what became of it so far.

    ``kind`` tells it from what another queue has by the same id; None where that is not known.
    ``posting`` is new each time that the message is put on a queue: at first, and after it failed.
    ``attempts`` counts the calls that were made for it, ``attempts_before`` those before this
    posting. The claim on the next call lasts ``until`` a time. What ``is_targeted`` is seen by one
    member of its group.
    """

    created_at: datetime
    updated_at: datetime
    kind: str | None = None
    posting: str = ""
    destination: Destination | None = None
    attempts: int = 0
    attempts_before: int | None = None
    code: str | None = None
    detail: str | None = None
    correlation_id: str | None = None
    recreated: bool = False
    ambiguous: bool = False
    until: datetime | None = None
    failed_on: str | None = None
    alert_id: str | None = None
    is_targeted: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in an answer."""
        to = self.destination
        body = self.to_properties(but=_NOT_ANSWERED) | {
            "createdAt": self.created_at.isoformat(),
            "updatedAt": self.updated_at.isoformat(),
        }
        if to is not None:
            body |= {"channelId": to.channel_id, "conversationId": to.conversation_id}
            if to.user_id is not None:
                body["recipient"] = {"channelId": to.channel_id, "userId": to.user_id}
        return without_none(body)

    def to_properties(self, *, but: tuple[str, ...]) -> dict[str, Any]:
        """Return its fields by their names in rows and answers, without flags that are not set."""
        properties = to_properties(self, but=but) | {"status": self.status.value}
        return {name: value for name, value in properties.items() if value is not False}
