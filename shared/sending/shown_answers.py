"""What a person's copy of an alert shows of the answers to it."""

from shared.accounts.account import Account
from shared.alerts.alert import Alert
from shared.alerts.answers import Given
from shared.alerts.buttons import Shown
from shared.sending.recipient import FoundRecipient
from shared.wiring import Services


def shown_to(
    recipient: FoundRecipient,
    alert: Alert,
    delivery_id: str,
    services: Services,
    given: Given | None = None,
) -> Shown:
    """Return what the copy of a delivery shows to its recipient.

    ``given`` is what they have answered themselves; None where that is nothing yet.
    """
    first = alert.first_answer
    if first is None:
        own = given.answer.option if given and given.answer else None
        return Shown(delivery_id, drawn=given.count if given else 0, answer=own)
    is_own = first.delivery_id == delivery_id
    person = recipient.account if is_own else services.answers.person(first)
    name = person.name if person is not None and _is_among(person, recipient) else None
    return Shown(delivery_id, answer=first.option, name=name)


def _is_among(person: Account, recipient: FoundRecipient) -> bool:
    """Tell whether somebody is of a recipient's tenant; of their channel, where there are none."""
    account = recipient.account
    tenant_id = account.tenant_id if account is not None else None
    if person.tenant_id != tenant_id:
        return False
    return tenant_id is not None or person.channel_id == recipient.channel_id
