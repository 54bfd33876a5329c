"""What an alert says to a person: in their language, for their channel, with the answers to it."""

from shared.accounts.account import Account
from shared.alerts.alert import Alert
from shared.alerts.answers import Given
from shared.alerts.buttons import Shown, with_buttons
from shared.connector.channel_features import channel
from shared.sending.recipient import FoundRecipient
from shared.wire_models import ADAPTIVE_CARD, Activity, parse
from shared.wiring import Services


def alert_activity(
    alert: Alert,
    recipient: FoundRecipient,
    delivery_id: str,
    services: Services,
    given: Given | None = None,
) -> Activity:
    """Return what the copy of a delivery says to its recipient.

    ``given`` is what they have answered themselves; None where that is nothing yet.
    """
    account, default_locale = recipient.account, services.settings.default_locale
    locale = account.locale if account else None
    activity = services.alerts.content(alert).activity(
        topic=alert.topic,
        name=account.name if account else None,
        locale=locale,
        default_locale=default_locale,
    )
    if not channel(recipient.channel_id).shows_cards:
        activity = as_text(activity)
    if alert.question is None:
        return activity
    shown = _shown_to(recipient, alert, delivery_id, services, given)
    locales = [locale, default_locale] if locale else [default_locale]
    return with_buttons(activity, alert.question, shown, recipient.channel_id, locales)


def as_text(activity: Activity) -> Activity:
    """Return the fallback text of the card that an activity is; any other stays as it is."""
    if activity.text is None and activity.attachments and len(activity.attachments) == 1:
        [attachment] = activity.attachments
        card = attachment.get("content")
        if attachment.get("contentType") == ADAPTIVE_CARD and isinstance(card, dict):
            text = card.get("fallbackText")
            if isinstance(text, str) and text:
                kept = {**activity.to_json(), "text": text, "textFormat": "plain"}
                del kept["attachments"]
                return parse(Activity, kept)
    return activity


def _shown_to(
    recipient: FoundRecipient,
    alert: Alert,
    delivery_id: str,
    services: Services,
    given: Given | None,
) -> Shown:
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
