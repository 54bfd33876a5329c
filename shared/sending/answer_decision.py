"""Answers to alerts: what a click is worth, and what follows from it.

A message on the queue ``send-alert`` stands behind each answer before it is decided. It is seen
there after a while, and whichever comes first decides, the click or the message: by the conditional
write of one row. The message does what follows, also where it finds its own click decided: so no
crash loses an answer.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import wait
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from shared.accounts.account import Account
from shared.alerts.alert import Alert
from shared.alerts.answers import Given
from shared.alerts.button_data import Click
from shared.alerts.question import Answer, AnswerMode
from shared.deliveries.delivery import Delivery, Status
from shared.deliveries.rows import place_in_alert
from shared.errors import AlertOverError, UnknownAlertError
from shared.messages.envelope import AlertAnswer
from shared.sending.alert_lifecycle import enqueue_change, next_version, require_records
from shared.sending.alert_steps import enqueue_answer
from shared.sending.outdated_copies import change_answered_copy
from shared.storage.personal_keys import PersonalKey
from shared.wiring import Services

_logger = logging.getLogger(__name__)

_CLICK_DECIDES_FOR_SECONDS = 5.0
_NOT_SENT = (Status.SUPPRESSED, Status.EXPIRED, Status.CANCELLED)


@dataclass(frozen=True)
class Clicker:
    """Who has clicked, by the ids that the channel gives them, and in which conversation."""

    channel_id: str
    user_ids: Sequence[str]
    conversation_id: str
    tenant_id: str | None


class Refusal(StrEnum):
    """Why a click is no answer."""

    UNKNOWN = "it is no button of this person's, or of none that was offered"
    OVER = "the alert is over, or not recorded any more"


@dataclass(frozen=True)
class Clicked:
    """A person, and the copy of an alert that they clicked on, with what was answered so far."""

    account: Account
    delivery: Delivery
    alert: Alert
    given: Given


def take_click(click: Click, clicker: Clicker, services: Services) -> Clicked | Refusal:
    """Take what somebody has clicked for their answer, if it can be one.

    Returns how it is then, also where somebody else was first, and where the card was an older one.
    Storage is waited for three times: to read, to put the message, and to decide.
    """
    found = _find(click, clicker, services)
    if isinstance(found, Refusal):
        return found
    clicked, key_id = found
    alert, answer = clicked.alert, Answer(click.option, _now(), clicked.delivery.id, key_id)
    try:
        _require_open(alert, answer, services)
        # What the card is drawn from is read meanwhile, and remembered. Drawing waits for it.
        services.threads.submit(services.alerts.content, alert)
        if alert.first_answer is not None:
            services.threads.submit(services.answers.person, alert.first_answer)
        if alert.first_answer is not None or clicked.given.count != click.drawn:
            return clicked
        queued = AlertAnswer(given=answer.to_json(), drawn=click.drawn)
        enqueue_answer(alert, queued, services, delay_seconds=_CLICK_DECIDES_FOR_SECONDS)
        alert, given = _decide(answer, click.drawn, alert, clicked.given, services)
    except (AlertOverError, UnknownAlertError):
        return Refusal.OVER
    return replace(clicked, alert=alert, given=given)


def follow_answer(alert_id: str, queued: AlertAnswer, services: Services) -> None:
    """Decide an answer, if that is not done yet, and do what follows where it counts."""
    answer = Answer.from_json(queued.given)
    try:
        alert = services.alerts.find(alert_id)
        given = services.answers.find(answer.delivery_id)
        if not _counts(answer, alert, given):
            _require_open(alert, answer, services)
            alert, given = _decide(answer, queued.drawn, alert, given, services)
    except (AlertOverError, UnknownAlertError):
        _logger.info("An answer came too late for its alert")
        return
    if not _counts(answer, alert, given):
        return
    if answer == alert.first_answer:
        enqueue_change(alert, services)
    else:
        change_answered_copy(answer.delivery_id, given.count, alert, services)
    if services.outcomes is not None:
        person = services.answers.person(answer)
        services.outcomes.answered(alert_id, answer.delivery_id, answer.option, answer.at, person)


def _find(click: Click, clicker: Clicker, services: Services) -> tuple[Clicked, str] | Refusal:
    """Return what is known of a click; of a copy that the person has of an alert that asks this."""
    if click.delivery_id.endswith(":"):
        # A short button leaves out what is known of who clicks.
        accounts = services.accounts.known_as(clicker.channel_id, *clicker.user_ids)
        key_id = next((each.key.id for each in accounts if each.key), "")
        click = replace(click, delivery_id=click.delivery_id + key_id)
    place = place_in_alert(click.delivery_id)
    if place is None:
        return Refusal.UNKNOWN
    threads = services.threads
    reading = threads.submit(services.alerts.find, place[0])
    known = threads.submit(services.accounts.known_as, clicker.channel_id, *clicker.user_ids)
    answered = threads.submit(services.answers.find, click.delivery_id)
    # It is read for the first message of a process.
    key = threads.submit(lambda: services.queues.envelope_key)
    delivery = services.deliveries.get(
        click.delivery_id, find_key=lambda key_id: _own_key(key_id, known.result(), services)
    )
    # Else what is put next would read it too.
    wait([key])
    try:
        alert = reading.result()
    except UnknownAlertError:
        return Refusal.OVER
    if delivery is None:
        return Refusal.OVER
    to, question = delivery.destination, alert.question
    if to is None or to.key is None or delivery.status in _NOT_SENT:
        return Refusal.UNKNOWN
    if question is None or question.option(click.option) is None:
        return Refusal.UNKNOWN
    # An account that is being joined with another of the same person shares its keys.
    account = next(each for each in known.result() if to.key.id in each.key_ids)
    if to.conversation_id != clicker.conversation_id or not _is_of(account, clicker.tenant_id):
        return Refusal.UNKNOWN
    return Clicked(account, delivery, alert, answered.result()), to.key.id


def _own_key(key_id: str, accounts: list[Account], services: Services) -> PersonalKey | None:
    """Return the key of a delivery, if it is one of these accounts' own."""
    for account in accounts:
        if account.key is not None and account.key.id == key_id:
            return account.key
        if key_id in account.former_key_ids:
            return services.keys.find(key_id)
    return None


def _is_of(account: Account, tenant_id: str | None) -> bool:
    """Tell whether a person is of a tenant; on some channels there are none."""
    return None in (account.tenant_id, tenant_id) or account.tenant_id == tenant_id


def _require_open(alert: Alert, answer: Answer, services: Services) -> None:
    """Raise AlertOverError where an alert takes no answers any more."""
    if alert.question is None or alert.stopped_at is not None or alert.is_expired(answer.at):
        raise AlertOverError("The alert is over, so nothing is answered any more")
    require_records(alert, answer.at, services)


def _decide(
    answer: Answer, drawn: int, alert: Alert, given: Given, services: Services
) -> tuple[Alert, Given]:
    """Record an answer, unless another one counts; return how it is then."""
    if alert.question is not None and alert.question.mode is AnswerMode.EACH:
        return alert, services.answers.record(answer, after=drawn, given=given)

    def answered(current: Alert) -> Alert:
        if current.first_answer is not None:
            return current
        _require_open(current, answer, services)
        return replace(next_version(current), first_answer=answer)

    return services.alerts.change(alert.id, answered, known=alert), given


def _counts(answer: Answer, alert: Alert, given: Given) -> bool:
    return answer == alert.first_answer or given.includes(answer)


def _now() -> datetime:
    return datetime.now(UTC)
