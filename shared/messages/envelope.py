"""The names of the app's queues, and what stands in a message beside its body.

What we note about a message on its way stands in it under the reserved name ``_flow``; where a
message is too large for the queue, it holds nothing but the key of what was kept aside, under
``_body``. What failed for good stands in ``<queue>-poison`` as ``{"message", "failure", "_flow"}``.
"""

import uuid
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, NonNegativeInt

from shared.wire_models import (
    ChannelAccount,
    Identifier,
    Locale,
    Name,
    OpenModel,
    ServiceUrl,
    Timestamp,
)

START_CONVERSATION: Final = "start-conversation"
SEND_ACTIVITY: Final = "send-activity"
CACHE_ACCOUNT: Final = "cache-account"
SEND_ALERT: Final = "send-alert"
UPDATE_ACTIVITY: Final = "update-activity"
DELETE_ACTIVITY: Final = "delete-activity"
QUEUES: Final = (
    START_CONVERSATION,
    SEND_ACTIVITY,
    CACHE_ACCOUNT,
    SEND_ALERT,
    UPDATE_ACTIVITY,
    DELETE_ACTIVITY,
)

ENVELOPE: Final = "_flow"
BODY: Final = "_body"

Healing = Literal["conversation", "host"]


class AccountSnapshot(OpenModel):
    """Where a person was reached, and how they read, when an alert came upon their account.

    It spares the look-up of the account, and is good for the first try alone: whatever was wrong
    then may have been wrong with it. ``key`` is the person's own, in base64.
    """

    model_config = ConfigDict(validate_by_name=True)

    conversation_id: Identifier
    service_url: ServiceUrl | None = None
    bot: ChannelAccount | None = None
    tenant_id: Identifier | None = None
    name: Name | None = None
    locale: Locale | None = None
    key_id: Identifier
    key: str


class Step(OpenModel):
    """What is next to be done about an alert, and for which page of its audience.

    ``after`` is where that page begins, ``version`` the version of the alert that a change brings.
    A change may visit pages a second time (``is_last``), for members who were being sent to at the
    first time: from ``first_open_page`` on, the first page of which not all members had ended.
    ``checks`` is how often it was checked whether all have ended.
    """

    model_config = ConfigDict(validate_by_name=True)

    kind: Literal["read", "close", "change", "retry"]
    page: NonNegativeInt = 0
    after: str = ""
    version: NonNegativeInt = 0
    is_last: bool = False
    checks: Annotated[NonNegativeInt, Field(alias="looks")] = 0
    first_open_page: Annotated[NonNegativeInt | None, Field(alias="openFrom")] = None


class AlertChange(OpenModel):
    """Which delivery of an alert is edited or recalled, and to which version of the alert."""

    model_config = ConfigDict(validate_by_name=True)

    delivery_id: Identifier
    version: NonNegativeInt


class Envelope(OpenModel):
    """What we note about a message on its way.

    ``posting`` names the act of putting it on a queue, by its sender or, after it had failed, by
    somebody else at ``retried_at``: all copies that the queue gives out have the same.
    ``attempts`` counts Connector calls, ``returns`` how often it went back to a queue. ``then`` is
    the message that goes to ``send-activity`` when a start is done; ``started`` tells it apart when
    it comes back, so that no message goes in circles. ``healed`` is what was mended for it, each at
    most once.
    ``alert`` is the id of the alert that the message is a part of; ``reference``, ``step`` and
    ``change`` are what else there is to know of it, depending on the queue.
    ``is_reply`` marks the bot's answer to what a person just wrote, which goes out even to those
    who want no alerts; ``is_probe`` what was let through to see whether who is out of reach still
    is; ``ambiguous`` what may have been sent before, as nobody can know. ``traceparent`` is that of
    the message's sender (W3C Trace Context).
    """

    model_config = ConfigDict(validate_by_name=True)

    id: Identifier
    accepted_at: Timestamp
    posting: str = ""
    retried_at: Timestamp | None = None
    attempts: NonNegativeInt = 0
    returns: NonNegativeInt = 0
    healed: list[Healing] = Field(default_factory=list)
    then: dict[str, Any] | None = None
    started: bool = False
    alert: Identifier | None = None
    reference: AccountSnapshot | None = None
    step: Step | None = None
    change: AlertChange | None = None
    is_reply: bool = False
    is_probe: bool = False
    ambiguous: bool = False
    traceparent: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in a message."""
        noted = {**super().to_json(), "acceptedAt": self.accepted_at.isoformat()}
        if self.retried_at is not None:
            noted["retriedAt"] = self.retried_at.isoformat()
        return noted

    @property
    def is_new(self) -> bool:
        """Whether nothing was recorded of the message yet, as far as can be told from here."""
        return not (self.returns or self.started or self.then)

    def without_reference(self) -> "Envelope":
        """Return what is noted for the next try, which looks everything up."""
        return self.model_copy(update={"reference": None}) if self.reference else self

    def anew(self) -> "Envelope":
        """Return what is noted about a message that failed and is put back."""
        return self.model_copy(
            update={
                "posting": uuid.uuid4().hex,
                "retried_at": datetime.now(UTC),
                "attempts": 0,
                "returns": 0,
                "healed": [],
                "started": False,
                "is_probe": False,
                "reference": None,
            }
        )


def whole_message(message: object, envelope: Envelope) -> object:
    """Return a message with what is noted about it; what is no JSON object has no place for it."""
    return {**message, ENVELOPE: envelope.to_json()} if isinstance(message, dict) else message
