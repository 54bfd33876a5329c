"""What a person's copy of an alert shows of the answers to it."""

from shared.accounts.account import Account
from shared.alerts.alert import Alert
from shared.alerts.buttons import Shown
from shared.alerts.question import Answer
from shared.sending.recipient import FoundRecipient
from shared.wiring import Services


def shown_to(
    recipient: FoundRecipient, alert: Alert, delivery_id: str, services: Services
) -> Shown:
    """Return what the copy of a delivery shows to its recipient."""
    first = alert.first_answer
    if first is None:
        return Shown(delivery_id)
    person = who_answered(first, services)
    is_known = person is not None and _is_among(person, recipient)
    return Shown(
        delivery_id, answer=first.option, name=person.name if person and is_known else None
    )


def who_answered(answer: Answer, services: Services) -> Account | None:
    """Return who gave an answer; None once they are not known any more."""
    delivery = services.deliveries.get(answer.delivery_id)
    to = delivery.destination if delivery is not None else None
    if to is None or to.user_id is None:
        return None
    stored = services.accounts.get(to.channel_id, to.user_id)
    return stored.account if stored is not None else None


def _is_among(person: Account, recipient: FoundRecipient) -> bool:
    """Tell whether somebody is of a recipient's tenant; of their channel, where there are none."""
    account = recipient.account
    tenant_id = account.tenant_id if account is not None else None
    if person.tenant_id != tenant_id:
        return False
    return tenant_id is not None or person.channel_id == recipient.channel_id
