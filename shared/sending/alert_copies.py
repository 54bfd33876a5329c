"""The copies of an alert that were sent, each held while it is edited or recalled."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from shared.alerts.alert import Alert
from shared.alerts.answers import Given
from shared.alerts.question import AnswerMode
from shared.errors import (
    AlreadyDoneError,
    AppError,
    DeliveryUnderWayError,
    ForgottenRecipientError,
)
from shared.messages.envelope import AlertChange
from shared.messages.queued_message import Sent, UnsentError
from shared.sending.alert_activity import alert_activity
from shared.sending.outdated_copies import is_outdated
from shared.sending.recipient import FoundRecipient, recipient_of
from shared.wire_models import Activity
from shared.wiring import Services


@dataclass
class AlertCopy:
    """The copy of an alert that a person has: where it is, its id there, and the current alert.

    ``delivery_id`` is that of the send; ``given`` is what the person has answered, where each one
    answers. It is held ``until`` a time; ``sent`` is what the change of it ended with.
    """

    recipient: FoundRecipient
    delivery_id: str
    activity_id: str
    alert: Alert
    given: Given
    until: datetime
    sent: Sent | None = None

    def activity(self, services: Services) -> Activity:
        """Return the activity that takes the copy's place."""
        return alert_activity(self.alert, self.recipient, self.delivery_id, services, self.given)


@contextmanager
def held_copy(
    alert_id: str, change: AlertChange, services: Services, *, recalls: bool
) -> Iterator[AlertCopy]:
    """Hold a copy of an alert while it is edited or recalled, and record the change at the end.

    Each change brings the alert as it is now, so later ones may have nothing to do: these raise
    AlreadyDoneError. Raises DeliveryUnderWayError while somebody else changes the copy, and
    ForgottenRecipientError when the person was forgotten.
    """
    lease = services.leases.acquire(
        "change",
        services.settings.app_id,
        change.delivery_id,
        seconds=services.settings.lease_seconds,
    )
    if lease is None:
        raise DeliveryUnderWayError("Somebody else is changing this right now")
    try:
        copy = _outdated_copy(alert_id, change, services, lease.until)
        if recalls != (copy.alert.recalled_at is not None):
            raise AlreadyDoneError("The alert was recalled, and so is this by a message of its own")
        yield copy
        _note_change(change.delivery_id, copy, services, recalls=recalls)
    finally:
        services.leases.release(lease)


def _note_change(delivery_id: str, copy: AlertCopy, services: Services, *, recalls: bool) -> None:
    sent = copy.sent
    if sent is None or sent.message is None or sent.activity_id is None:
        raise RuntimeError("the change of a copy must say what it ended with")
    try:
        services.deliveries.note_change(
            delivery_id,
            copy.alert.version,
            sent.activity_id,
            recalled=recalls,
            answers=copy.given.count,
        )
    except AppError as error:
        # The call was made, and is settled under its claim.
        raise UnsentError(sent.message, error) from error


def _outdated_copy(
    alert_id: str, change: AlertChange, services: Services, until: datetime
) -> AlertCopy:
    alert = services.alerts.current(alert_id, version=change.version)
    delivery = services.deliveries.find(change.delivery_id)
    if not delivery.status.is_final:
        raise DeliveryUnderWayError("This copy is being sent right now")
    if not is_outdated(delivery, alert, answers=change.answers) or delivery.activity_id is None:
        raise AlreadyDoneError("The person sees the alert as it is now, or no copy of it")
    to = delivery.destination
    stored = services.accounts.get(to.channel_id, to.user_id) if to and to.user_id else None
    if to is None or to.conversation_id is None or stored is None:
        raise ForgottenRecipientError("The recipient was forgotten after this was sent")
    # The copy is in the conversation that it was sent into, even if the person has another one now.
    recipient = recipient_of(stored.account, services, conversation_id=to.conversation_id)
    asks_each = alert.question is not None and alert.question.mode is AnswerMode.EACH
    given = services.answers.find(delivery.id) if asks_each else Given()
    return AlertCopy(recipient, delivery.id, delivery.activity_id, alert, given, until)
