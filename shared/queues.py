"""The app's queues: what stands in a message beside its body, and how it gets there.

What we note about a message on its way stands in it under the reserved name ``_flow``; where a
message is too large for the queue, it holds nothing but the key of what was kept aside, under
``_body``. What failed for good stands in ``<queue>-poison`` as ``{"message", "failure", "_flow"}``.
"""

import base64
import math
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import ConfigDict, Field, NonNegativeInt

from shared import json_text
from shared.claim_checks import ClaimChecks
from shared.deliveries import Claim, Destination
from shared.errors import AppError, InvalidRequestError
from shared.models import (
    ChannelAccount,
    Identifier,
    Locale,
    Name,
    OpenModel,
    ServiceUrl,
    Timestamp,
    parse,
)
from shared.storage import Queue, Storage, text_of

if TYPE_CHECKING:
    from azure.storage.queue import QueueMessage

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

FLOW: Final = "_flow"
BODY: Final = "_body"
# Queue storage's limit, which holds for the base64.
_LARGEST_MESSAGE_BYTES = 64 * 1024
# Queue storage hides a message for 7 days at most.
_LONGEST_DELAY_SECONDS = 6 * 24 * 60 * 60

Healing = Literal["conversation", "host"]


class Reference(OpenModel):
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
    """How far an alert is: what is next to be done about it, and at which of its pages.

    ``after`` is where that page of the audience begins, ``version`` what a change is about. The
    pages are gone through once more (``is_last``) for those who were being sent to meanwhile.
    That begins at the page ``open_from``, the first of which not all had ended. ``looks`` is how
    often it was looked whether all have.
    """

    model_config = ConfigDict(validate_by_name=True)

    kind: Literal["read", "close", "change", "retry"]
    page: NonNegativeInt = 0
    after: str = ""
    version: NonNegativeInt = 0
    is_last: bool = False
    looks: NonNegativeInt = 0
    open_from: NonNegativeInt | None = None


class AlertChange(OpenModel):
    """Which delivery of an alert is edited or recalled, and to which version of the alert."""

    model_config = ConfigDict(validate_by_name=True)

    delivery_id: Identifier
    version: NonNegativeInt


class Flow(OpenModel):
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
    whoever sent the message (W3C Trace Context).
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
    reference: Reference | None = None
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

    def after_call(self) -> "Flow":
        """Return what is noted once one more call was made."""
        return self.model_copy(update={"attempts": self.attempts + 1})

    def without_reference(self) -> "Flow":
        """Return what is noted for the next try, which looks everything up."""
        return self.model_copy(update={"reference": None}) if self.reference else self

    def after_healing(self, healed: Healing) -> "Flow":
        """Return what is noted once something was mended."""
        return self.model_copy(update={"healed": [*self.healed, healed], "started": False})

    def anew(self) -> "Flow":
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


@dataclass
class QueuedMessage:
    """A message that was taken from a queue: its body, and what we noted about it.

    What is found out while it is handled is set here: where it goes, the claim on its call, and
    which version of its alert it said.
    """

    queue: str
    body: dict[str, Any]
    flow: Flow
    destination: Destination | None = None
    claim: Claim | None = None
    alert_version: int | None = None
    call_milliseconds: int | None = None

    @property
    def request(self) -> dict[str, Any]:
        """What the message asks for: its body without the id, which names the delivery."""
        return {name: value for name, value in self.body.items() if name != "id"}


@dataclass(frozen=True)
class Sent:
    """A message's call was made, or was not needed; ``activity_id`` is that of what was sent."""

    activity_id: str | None = None


@dataclass(frozen=True)
class StartFirst:
    """A message waits for this start, which makes a call of its own."""

    start: dict[str, Any]


Handled = Sent | StartFirst | None
"""What a handler made of a message; None where there was nobody to send anything to."""


class Queues:
    """Puts messages on the app's queues; what is too large for one is kept aside."""

    def __init__(self, storage: Storage, claim_checks: ClaimChecks) -> None:
        """Take the storage, and where large texts are kept."""
        self._storage = storage
        self.claim_checks = claim_checks

    def send(
        self, queue: str, body: dict[str, Any], flow: Flow, *, delay_seconds: float = 0
    ) -> None:
        """Put a message on a queue, to be taken after the delay."""
        self._put(queue, _to_text(whole_message(body, flow)), delay_seconds=delay_seconds)

    def start_first(self, start: dict[str, Any], message: QueuedMessage) -> None:
        """Put a start on its queue, with the message that waits for it."""
        noted = message.flow.without_reference().model_copy(update={"then": message.body})
        self.send(START_CONVERSATION, start, noted)

    def follow_up(self, flow: Flow) -> None:
        """Put what waited for a start back on its queue, if anything did."""
        if flow.then is not None:
            noted = flow.model_copy(update={"then": None, "returns": 0, "started": True})
            self.send(SEND_ACTIVITY, flow.then, noted)

    def poison(
        self, queue: str, message: object, flow: Flow, error: AppError, failed_at: datetime
    ) -> None:
        """Put a message that failed for good on the poison queue, with the reason beside it.

        ``message`` is its body, or its text where it was no JSON object.
        """
        failure = {
            "code": error.code,
            "detail": error.detail,
            "failedAt": failed_at.isoformat(timespec="milliseconds"),
            "attempts": flow.attempts,
        }
        text = json_text.to_text({"message": message, "failure": failure, FLOW: flow.to_json()})
        if not _fits(text):
            # The reason stays readable in the queue.
            key = self.claim_checks.keep(_to_text(whole_message(message, flow)))
            text = json_text.to_text({"message": {BODY: key}, "failure": failure})
        Queue(self._storage, f"{queue}-poison").send(text)

    def put_back(self, queue: str, message: object, *, delay_seconds: float = 0) -> Flow | None:
        """Put what failed back on its queue, to be tried anew; return what is noted about it now.

        What has no notes of ours goes as it is. It fails again, with the reason.
        """
        flow = _noted(message)
        if flow is None or not isinstance(message, dict):
            self._put(queue, _to_text(message), delay_seconds=delay_seconds)
            return None
        anew = flow.anew()
        body = {name: each for name, each in message.items() if name != FLOW}
        self.send(queue, body, anew, delay_seconds=delay_seconds)
        return anew

    def count_failed(self, queue: str) -> int:
        """Return how many messages are on a queue's poison queue, or a few more."""
        return Queue(self._storage, f"{queue}-poison").count()

    def redrive(self, queue: str) -> bool:
        """Put one message of a queue's poison queue back on the queue; False when there is none."""
        poison = Queue(self._storage, f"{queue}-poison")
        taken = poison.take()
        if taken is None:
            return False
        text = text_of(taken)
        entry = _object_in(text) or {}
        is_ours = {"message", "failure"} <= entry.keys()
        message: object = entry["message"] if is_ours else entry or text
        key = message.get(BODY) if isinstance(message, dict) else None
        whole = self.claim_checks.fetch(key) if isinstance(key, str) else None
        if whole is not None:
            message = _object_in(whole) or whole
        if isinstance(message, dict) and is_ours and FLOW in entry:
            message = {**message, FLOW: entry[FLOW]}
        elif isinstance(message, dict) and not is_ours:
            message = _given_up_by_host(message, taken)
        self.put_back(queue, message)
        poison.delete(taken)
        if isinstance(key, str):
            self.claim_checks.drop(key)
        return True

    def _put(self, queue: str, text: str, *, delay_seconds: float = 0) -> None:
        if not _fits(text):
            text = json_text.to_text({BODY: self.claim_checks.keep(text)})
        delay = min(math.ceil(delay_seconds), _LONGEST_DELAY_SECONDS)
        Queue(self._storage, queue).send(text, delay_seconds=delay)


def whole_message(message: object, flow: Flow) -> object:
    """Return a message with what is noted about it; what is no JSON object has no place for it."""
    return {**message, FLOW: flow.to_json()} if isinstance(message, dict) else message


def _noted(message: object) -> Flow | None:
    noted = message.get(FLOW) if isinstance(message, dict) else None
    if not isinstance(noted, dict):
        return None
    try:
        return parse(Flow, noted, within=FLOW)
    except InvalidRequestError:
        return None


def _given_up_by_host(message: dict[str, Any], taken: "QueueMessage") -> dict[str, Any]:
    """Return a message that the Functions host gave up: nobody knows how often it was sent."""
    flow = _noted(message)
    if flow is None and FLOW in message:
        return message
    if flow is None:
        own_id = message.get("id")
        flow = Flow(
            id=own_id if isinstance(own_id, str) and own_id else taken.id,
            accepted_at=taken.inserted_on or datetime.now(UTC),
        )
    return {**message, FLOW: flow.model_copy(update={"ambiguous": True}).to_json()}


def _to_text(message: object) -> str:
    return message if isinstance(message, str) else json_text.to_text(message)


def _object_in(text: str) -> dict[str, Any] | None:
    try:
        return json_text.parse_own_object(text)
    except InvalidRequestError:
        return None


def _fits(text: str) -> bool:
    return len(base64.b64encode(text.encode())) <= _LARGEST_MESSAGE_BYTES
