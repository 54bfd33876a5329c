"""A message that was taken from a queue, and what becomes of it while it is handled."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypedDict, Unpack

from shared.deliveries.delivery import Destination
from shared.deliveries.store import Claim
from shared.messages.envelope import Envelope, Healing
from shared.messages.queue_names import (
    CACHE_ACCOUNT,
    RECEIVE_EVENT,
    SEND_ACTIVITY,
    START_CONVERSATION,
)
from shared.wire_models import read_time


class Noted(TypedDict, total=False):
    """What is noted anew in an envelope while its message is handled; see there."""

    attempts: int
    returns: int
    healed: list[Healing]
    started: bool
    is_probe: bool
    token_refused_at: datetime


@dataclass(frozen=True)
class QueuedMessage:
    """A message that was taken from a queue: its body, and what we noted about it.

    What becomes known while it is handled stands in copies of it: where it goes, the claim on its
    call, how long that took, and what is left to do ``afterwards``, once it is settled.
    """

    queue: str
    body: dict[str, Any]
    envelope: Envelope
    destination: Destination | None = None
    claim: Claim | None = None
    call_milliseconds: int | None = None
    afterwards: Callable[[], None] | None = None

    @property
    def kind(self) -> str:
        """Which messages share their ids: those of a queue; a start is the first part of a send."""
        return SEND_ACTIVITY if self.queue == START_CONVERSATION else self.queue

    @property
    def request(self) -> dict[str, Any]:
        """What the message asks for: its body without the id, which names the delivery."""
        return {name: value for name, value in self.body.items() if name != "id"}

    @property
    def expires_at(self) -> datetime | None:
        """When the message is of no use any more, where it says so."""
        # A start expires with what waits for it; where nothing is sent, nobody knows the field.
        waits = self.queue in (START_CONVERSATION, CACHE_ACCOUNT, RECEIVE_EVENT)
        sent = self.envelope.then or {} if waits else self.body
        try:
            return read_time(sent.get("expiresAt") or "")
        except (TypeError, ValueError):
            return None

    def noting(self, **noted: Unpack[Noted]) -> "QueuedMessage":
        """Return the message with other fields in its envelope."""
        return replace(self, envelope=self.envelope.model_copy(update=dict(noted)))


@dataclass(frozen=True)
class Sent:
    """A message's call was made, or was not needed.

    ``activity_id`` is that of what was sent, ``alert_version`` that of the alert which it says;
    ``message`` is the message as it is now; None over HTTP. ``is_targeted``: one member of the
    conversation sees it, and nobody else.
    """

    activity_id: str | None
    message: QueuedMessage | None
    alert_version: int | None = None
    is_targeted: bool = False


@dataclass(frozen=True)
class StartFirst:
    """A message waits for this start, which makes a call of its own."""

    start: dict[str, Any]
    message: QueuedMessage


Handled = Sent | StartFirst | None
"""What a handler made of a message; None where there is nothing to record."""


class UnsentError(Exception):
    """What kept a message from being sent, and the message as it is now."""

    def __init__(self, message: QueuedMessage, error: Exception) -> None:
        super().__init__(str(error))
        self.message = message
        self.error = error


@contextmanager
def addressed(
    message: QueuedMessage | None, destination: Destination | None = None
) -> Iterator[QueuedMessage | None]:
    """Give a queue's message its destination, so that what goes wrong is recorded as theirs.

    Raises each error as an UnsentError. Over HTTP there is no message, and errors stay as they are.
    """
    if message is None:
        yield None
        return
    message = replace(message, destination=destination)
    try:
        yield message
    except UnsentError:
        raise
    except Exception as error:
        raise UnsentError(message, error) from error
