"""The names of the app's queues, and what stands in a message beside its body.

What we note about a message on its way stands in it under the reserved name ``_flow``, with a
signature that tells it from what others write there. Where a message is too large for the queue, it
holds nothing but the key of what was kept aside, under ``_body``. What failed for good stands in
``<queue>-poison`` as ``{"message", "failure", "_flow"}``.
"""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, NonNegativeInt

from shared import json_text
from shared.deliveries.rows import place_in_alert
from shared.errors import FieldError, InvalidRequestError
from shared.messages.envelope_signature import EnvelopeKey, verified
from shared.wire_models import (
    ChannelAccount,
    Identifier,
    ListOf,
    Locale,
    Name,
    OpenModel,
    ServiceUrl,
    Timestamp,
    parse,
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

    ``version`` is that of the change which goes round the pages, or has gone round them last;
    ``first_page`` is where it began. ``chain`` tells the steps that read the audience, and count
    its ends, from those that were begun before them.
    ``checks`` is how often it was checked whether all have ended. The version before has left steps
    of the kind ``put``.
    """

    model_config = ConfigDict(validate_by_name=True)

    kind: Literal["read", "put", "close", "change", "retry"]
    page: NonNegativeInt = 0
    chain: str = ""
    version: NonNegativeInt = 0
    first_page: NonNegativeInt = 0
    checks: Annotated[NonNegativeInt, Field(alias="looks")] = 0


class AlertChange(OpenModel):
    """Which delivery of an alert is edited or recalled, and to which version of the alert.

    ``answers`` is how many answers of the person's own it is to show at least.
    """

    model_config = ConfigDict(validate_by_name=True)

    delivery_id: Identifier
    version: NonNegativeInt
    answers: NonNegativeInt = 0


class AlertAnswer(OpenModel):
    """An answer to an alert, as it is kept, on a card that showed ``drawn`` answers of theirs."""

    model_config = ConfigDict(validate_by_name=True)

    given: dict[str, Any]
    drawn: NonNegativeInt


class Envelope(OpenModel):
    """What we note about a message on its way.

    ``posting`` changes each time that somebody puts the message on a queue: its sender, or whoever
    retries it at ``retried_at``. Copies that the queue gives out share it.
    ``attempts`` counts Connector calls, ``returns`` how often it went back to the queue that it is
    on. ``then`` is the message that goes to ``send-activity`` when a start is done; ``started``
    tells it apart when it comes back, so that no message goes in circles. ``healed`` is what was
    mended for it, each at most once.
    ``alert`` is the id of the alert that the message is a part of; ``snapshot``, ``step``,
    ``answer`` and ``change`` are what else there is to know of it, depending on the queue.
    ``is_reply`` marks the bot's answer to what a person just wrote, which goes out even to those
    who want no alerts; ``is_probe`` the message that shows whether a person out of reach can be
    reached again; ``ambiguous`` one that may have been sent before. The bot's token was refused
    for it at ``token_refused_at`` for the first time. ``traceparent`` is that of the message's
    sender (W3C Trace Context).
    """

    model_config = ConfigDict(validate_by_name=True)

    id: Identifier
    accepted_at: Timestamp
    posting: str = ""
    retried_at: Timestamp | None = None
    attempts: NonNegativeInt = 0
    returns: NonNegativeInt = 0
    healed: ListOf[Healing] = Field(default_factory=list)
    then: dict[str, Any] | None = None
    started: bool = False
    alert: Identifier | None = None
    snapshot: Annotated[AccountSnapshot | None, Field(alias="reference")] = None
    step: Step | None = None
    answer: AlertAnswer | None = None
    change: AlertChange | None = None
    is_reply: bool = False
    is_probe: bool = False
    ambiguous: bool = False
    token_refused_at: Timestamp | None = None
    traceparent: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in a message."""
        times = {
            "acceptedAt": self.accepted_at,
            "retriedAt": self.retried_at,
            "tokenRefusedAt": self.token_refused_at,
        }
        noted = {name: time.isoformat() for name, time in times.items() if time is not None}
        return {**super().to_json(), **noted}

    @property
    def is_new(self) -> bool:
        """Whether nothing was recorded of the message yet, as far as can be told from here."""
        return not (self.returns or self.started or self.then)

    def without_snapshot(self) -> "Envelope":
        """Return what is noted for the next try, which looks everything up."""
        return self.model_copy(update={"snapshot": None}) if self.snapshot else self

    def in_short(self) -> "Envelope":
        """Return what is noted without what may be large."""
        return self.model_copy(update={"snapshot": None, "then": None})

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
                "token_refused_at": None,
                "snapshot": None,
            }
        )


def whole_message(message: object, envelope: Envelope) -> object:
    """Return a message with what is noted about it; what is no JSON object has no place for it."""
    return {**message, ENVELOPE: envelope.to_json()} if isinstance(message, dict) else message


def without_notes(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message without what is noted about it."""
    return {name: value for name, value in message.items() if name != ENVELOPE}


def read_envelope(
    body: dict[str, Any],
    noted: object,
    queue: str,
    key: EnvelopeKey,
    *,
    message_id: str,
    put_at: datetime | None,
    traceparent: str | None = None,
) -> Envelope:
    """Return what we noted about a message of a queue, or what is to be noted at first.

    ``body`` is the message without its notes, ``noted`` those, where there are any; ``message_id``
    is the id that the queue gave it, ``put_at`` when that was, ``traceparent`` its sender's. Raises
    InvalidRequestError for notes that are not ours, or not about this message.
    """
    if noted is not None:
        return _own_envelope(body, noted if isinstance(noted, dict) else {}, queue, key, put_at)
    json_text.require_depth(body)
    own_id = body.get("id")
    if isinstance(own_id, str) and place_in_alert(own_id) is not None:
        raise InvalidRequestError(FieldError("id", "is as those of an alert's messages"))
    # Its id is the caller's, so it is read as all that callers give.
    return parse(
        Envelope,
        {
            "id": message_id if own_id is None else own_id,
            "acceptedAt": put_at or datetime.now(UTC),
            "posting": message_id,
            "traceparent": traceparent,
        },
    )


def _own_envelope(
    body: dict[str, Any],
    noted: dict[str, Any],
    queue: str,
    key: EnvelopeKey,
    put_at: datetime | None,
) -> Envelope:
    bare, is_ours = verified(key, queue, body, noted)
    if is_ours:
        return parse(Envelope, bare, within=ENVELOPE)
    if not bare or key.is_required(put_at):
        raise InvalidRequestError(FieldError(ENVELOPE, "is ours, as we wrote it; leave it out"))
    # It may be of the version before, or of anybody, so it goes round no stop.
    return parse(
        Envelope, {**bare, "isReply": False, "reference": None, "answer": None}, within=ENVELOPE
    )
