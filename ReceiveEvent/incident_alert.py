"""The alert that tells of an incident: brought to what the incident's row says.

A crash anywhere leaves the event on its queue, and the row untold. So all that is done here may be
done again, also by somebody who still has an older row at hand: an alert is made once under its id,
and never goes back to an earlier revision of the row.
"""

import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ReceiveEvent.card import content_of
from ReceiveEvent.card_words import WORDS
from ReceiveEvent.request import EventQuery
from shared.alerts.alert import Alert, Audience
from shared.alerts.incidents import Incident
from shared.alerts.question import AnswerMode, Option, Question
from shared.errors import AlertOverError, RequestTooLargeError, UnknownAlertError
from shared.sending.alert_lifecycle import create_alert, edit_alert, has_unsent
from shared.storage.tables import key_of
from shared.wiring import Services

_logger = logging.getLogger(__name__)

TAKE = Question(
    (Option("take", {locale: words.take for locale, words in WORDS.items()}),), AnswerMode.FIRST
)
"""What is asked of an incident: who takes it."""

_REVISION = "revision "


def tell(incident: Incident, services: Services, *, traceparent: str | None = None) -> None:
    """Bring the alert of an incident to what its row says, until both agree."""
    told: Incident | None = incident
    while told is not None and not told.is_told:
        alert = _bring(told, services, traceparent)
        becomes: dict[str, Any] = {"told": told.revision}
        if is_for_its_own(told, alert):
            own = {"alert_id": told.own_alert_id, "told": None}
            becomes = {**own, "revision": told.revision + 1}
        told = _noted(told, becomes, services)


def is_for_its_own(incident: Incident, alert: Alert | None) -> bool:
    """Tell whether an occurrence needs an alert of its own, as the former one's reached not all.

    ``alert`` is the one that the row names; None where it is gone, or too old to be edited.
    """
    if incident.state == "resolved" or incident.alert_id == incident.own_alert_id:
        return False
    if incident.told is not None and incident.told >= incident.first_revision:
        return False
    if alert is None:
        return True
    return alert.stopped_at is not None and _revision(alert) < incident.first_revision


def _noted(seen: Incident, becomes: dict[str, Any], services: Services) -> Incident | None:
    """Note what was done for the revision that was seen; return the incident as it is then."""

    def noted(current: Incident | None) -> Incident | None:
        if current is None or current.revision != seen.revision:
            return current
        return replace(current, **becomes)

    return services.incidents.change(seen.sender, seen.query, seen.key, noted)


def _bring(incident: Incident, services: Services, traceparent: str | None) -> Alert | None:
    """Make or edit the alert, and return it; None where it can be edited no more."""
    now = datetime.now(UTC)
    try:
        return _say(incident, content_of(incident, now), now, services, traceparent)
    except RequestTooLargeError:
        # The setting LargestActivityKilobytes allows less than channels do.
        short = content_of(incident, now, in_short=True)
        return _say(incident, short, now, services, traceparent)


def _say(
    incident: Incident,
    content: dict[str, Any],
    now: datetime,
    services: Services,
    traceparent: str | None,
) -> Alert | None:
    """Have the alert say this, as in _bring; raise RequestTooLargeError where it is too much."""
    is_over = incident.state == "resolved"
    alert_id = incident.alert_id or ""

    def asked(current: Alert) -> Question | None:
        # Who has taken it stays there for all to see.
        return current.question if current.first_answer else _question(incident)

    def is_ahead(current: Alert) -> bool:
        return _revision(current) > incident.revision or is_for_its_own(incident, current)

    try:
        if incident.told is not None:
            alert = services.alerts.find(alert_id)
        else:
            alert = create_alert(_new_alert(incident, now, traceparent), content, (), services)
            if alert.version == 1 and _revision(alert) == incident.revision:
                return alert
        return edit_alert(
            alert_id,
            content,
            services,
            edit_id=f"{_REVISION}{incident.revision}",
            stops=is_over and has_unsent(alert, services),
            unless=is_ahead,
            asks=asked,
        )
    except UnknownAlertError:
        _logger.info("An alert is gone of which an event tells more")
        return None
    except AlertOverError:
        _logger.info("An alert was recalled, or is too old, of which an event tells more")
        over = services.alerts.find(alert_id)
        return over if over.recalled_at is not None else None


def _new_alert(incident: Incident, now: datetime, traceparent: str | None) -> Alert:
    """Return the alert; of what is over already nobody hears, however late it is made."""
    query = EventQuery.from_who_is_told(incident.query)
    interests = tuple(query.interest) or (incident.topic,)
    alert_id = incident.alert_id or ""
    return Alert(
        id=alert_id,
        created_at=now,
        updated_at=now,
        fingerprint=key_of(alert_id),
        content_key="",
        channel_ids=(query.channel_id,) if query.channel_id else (),
        audience=Audience(interests, query.channel_id, tenant_id=query.tenant_id),
        topic=incident.topic or None,
        traceparent=traceparent,
        edit_id=f"{_REVISION}{incident.revision}",
        cancelled_at=now if incident.state == "resolved" else None,
        question=_question(incident),
    )


def _question(incident: Incident) -> Question | None:
    """Return what people are asked as long as nobody has answered; what is over is not taken."""
    return TAKE if incident.takes_answers and incident.state == "firing" else None


def _revision(alert: Alert) -> int:
    """Return which revision of the incident an alert tells; 0 where an operator has edited it."""
    edit_id = alert.edit_id or ""
    return int(edit_id.removeprefix(_REVISION)) if edit_id.startswith(_REVISION) else 0
