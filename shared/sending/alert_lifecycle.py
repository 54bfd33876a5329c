"""Accepting, editing and stopping an alert."""

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.alerts.alert import Alert
from shared.alerts.buttons import largest_with_buttons, require_room_for_buttons
from shared.alerts.content import Content
from shared.alerts.question import Question
from shared.connector.channel_features import KNOWN_CHANNELS, channel
from shared.deliveries.rows import member_of
from shared.errors import (
    AlertExistsError,
    AlertOverError,
    FieldError,
    InvalidRequestError,
    RequestTooLargeError,
)
from shared.messages.envelope import Step
from shared.sending.alert_steps import enqueue_close, enqueue_step, whole_seconds_until
from shared.sending.outdated_copies import KNOWN_AFTER_SECONDS
from shared.sending.outgoing_activity import require_size
from shared.settings import Settings
from shared.wire_models import Activity
from shared.wiring import Services

QUIET_AFTER = timedelta(seconds=5)
"""This long after an alert was stopped, nobody sends anything of it any more."""

# An alert that is due sooner than this may have begun.
_NEARLY_DUE = timedelta(seconds=5)


def create_alert(
    alert: Alert,
    content: Mapping[str, Any],
    recipients: Sequence[tuple[str, str]],
    services: Services,
) -> Alert:
    """Keep a new alert, whatever the size of its audience, and begin it.

    ``content`` is the JSON of what it says; ``recipients`` are the channel and user ids of the
    people that it names, if any. The same alert with the same id is created once; while none of its
    audience was read, it is begun anew each time.

    Raises InvalidRequestError when any activity of it cannot be sent, and AlertExistsError when
    another alert has the id.
    """
    require_sendable(alert, content, services)
    alerts, chain = services.alerts, uuid.uuid4().hex

    def begun_anew(current: Alert) -> Alert:
        return (
            current if current.next_page > 0 or current.is_read else replace(current, chain=chain)
        )

    alert = replace(
        alert,
        chain=chain,
        until=alerts.kept_until(alert.send_at),
        content_key=alerts.keep(content, alert.send_at),
        recipients_key=alerts.keep(recipients, alert.send_at) if recipients else None,
    )
    if not alerts.create(alert):
        existing = alerts.find(alert.id)
        # Storage may have written ours and lost the answer: then this is ours.
        if existing.content_key != alert.content_key:
            alerts.drop(alert.content_key)
            alerts.drop(alert.recipients_key)
        if existing.fingerprint != alert.fingerprint:
            raise AlertExistsError("Another alert has this id")
        # Whoever created it may have died before its first step was on the queue.
        alert = alerts.change(alert.id, begun_anew)
    if alert.chain == chain:
        delay_seconds = whole_seconds_until(alert.send_at) if alert.send_at else 0
        first = Step(kind="read", chain=chain)
        enqueue_step(alert, first, services, delay_seconds=delay_seconds)
    return alert


def _never(_alert: Alert) -> bool:
    return False


def _as_before(alert: Alert) -> Question | None:
    return alert.question


def edit_alert(
    alert_id: str,
    content: dict[str, Any],
    services: Services,
    *,
    edit_id: str | None = None,
    stops: bool = False,
    unless: Callable[[Alert], bool] = _never,
    asks: Callable[[Alert], Question | None] = _as_before,
) -> Alert:
    """Make a new version of an alert, for the copies that were sent and for those still to come.

    ``content`` is the JSON of what it says now; without ``data`` the alert's own stays. An edit of
    the same ``edit_id`` as the last one makes no other version. With ``stops`` there are none to
    come: nothing more is sent of it. ``unless`` tells of the alert as it is whether it stays so,
    ``asks`` what it asks from then on. Raises InvalidRequestError as ``create_alert`` does, and
    AlertOverError when it was recalled.
    """
    alert = services.alerts.find(alert_id)
    if "data" not in content:
        content = {**content, "data": dict(services.alerts.content(alert).data)}
    require_sendable(replace(alert, question=asks(alert)), content, services)
    content_key = services.alerts.keep(content, alert.send_at)
    now = datetime.now(UTC)

    def edited(current: Alert) -> Alert:
        if unless(current):
            return current
        if current.recalled_at is not None:
            raise AlertOverError("The alert was recalled, so there is nothing to edit any more")
        if edit_id is not None and current.edit_id == edit_id:
            return current
        require_records(current, now, services)
        stopped_at = current.cancelled_at or now if stops else current.cancelled_at
        return replace(
            next_version(current),
            content_key=content_key,
            edit_id=edit_id,
            cancelled_at=stopped_at,
            question=asks(current),
        )

    try:
        alert = services.alerts.change(alert_id, edited)
    except AlertOverError:
        services.alerts.drop(content_key)
        raise
    if alert.content_key != content_key:
        services.alerts.drop(content_key)
    enqueue_change(alert, services)
    return alert


def enqueue_change(alert: Alert, services: Services) -> None:
    """Have the copies that were sent brought to the alert as it is, as soon as all know of it."""
    step = Step(kind="change", version=alert.version)
    enqueue_step(alert, step, services, delay_seconds=KNOWN_AFTER_SECONDS)


def cancel_alert(alert_id: str, services: Services) -> Alert:
    """Stop an alert: nothing more is sent of it. An alert that has ended stays as it is.

    Who is sending right now may not know of it yet, for QUIET_AFTER at most.
    """
    now = datetime.now(UTC)

    def cancelled(current: Alert) -> Alert:
        if current.ended_at is not None or current.stopped_at is not None:
            return current
        return _stopped(replace(current, cancelled_at=now), now)

    alert = services.alerts.change(alert_id, cancelled)
    if alert.ended_at is not None:
        after_end(alert, services)
    else:
        seconds = QUIET_AFTER.total_seconds()
        enqueue_close(alert, services, delay_seconds=seconds)
    return alert


def recall_alert(alert_id: str, services: Services) -> Alert:
    """Stop an alert, and delete the copies that were sent."""
    now = datetime.now(UTC)

    def recalled(current: Alert) -> Alert:
        if current.recalled_at is not None:
            return current
        require_records(current, now, services)
        return _stopped(replace(next_version(current), recalled_at=now), now)

    alert = services.alerts.change(alert_id, recalled)
    if alert.ended_at is not None:
        after_end(alert, services)
    else:
        enqueue_change(alert, services)
    return alert


def after_end(alert: Alert, services: Services) -> None:
    """Do what is left to do for an alert that is recorded as ended; again does no harm."""
    services.alerts.drop(alert.recipients_key)
    if services.outcomes is not None and alert.ended_at is not None:
        services.outcomes.ended(alert.id, alert.version, alert.final_counts, alert.ended_at)


def has_unsent(alert: Alert, services: Services) -> bool:
    """Tell whether somebody in an alert's audience is still to get it."""
    if alert.ended_at is not None:
        return False
    if not alert.is_read:
        return True
    for each in services.audience_pages.counted_since(alert.id, alert.closed_pages):
        if each.counts is not None:
            continue
        page = services.audience_pages.find(alert.id, each.number)
        recorded = services.deliveries.page(alert.id, each.number)
        ended = {member_of(delivery.id) for delivery in recorded if delivery.status.is_final}
        if page is not None and not ended.issuperset(page.members):
            return True
    return False


def require_sendable(alert: Alert, content: Mapping[str, Any], services: Services) -> None:
    """Raise InvalidRequestError unless each activity fits every channel that it may go to."""
    settings = services.settings
    channels = alert.channel_ids or (*KNOWN_CHANNELS, *settings.largest_activity_kilobytes)
    # One channel for each limit there is, in bytes of the whole and in KB of a picture, and for
    # each kind of buttons.
    limits = {
        (
            settings.largest_activity_bytes(each),
            channel(each).largest_picture_kilobytes,
            channel(each).buttons,
        ): each
        for each in channels
    }
    most_bytes = max(whole + 3 * 1024 * picture for whole, picture, _ in limits)
    activities = Content.from_json(content).each_activity(topic=alert.topic, most_bytes=most_bytes)
    for field, activity in activities.items():
        if activity.is_targeted:
            problem = "is for groups; an alert goes to each person alone"
            raise InvalidRequestError(FieldError(f"{field}.recipient.isTargeted", problem))
        if alert.question is not None:
            require_room_for_buttons(activity, field=field)
        for channel_id in limits.values():
            require_size(activity, channel_id, settings, field=field)
            if alert.question is not None:
                drawn = largest_with_buttons(activity, alert.question, alert.id, channel_id)
                _require_size_of_each(drawn, channel_id, settings, field=field)


def _require_size_of_each(
    drawn: Iterable[Activity], channel_id: str, settings: Settings, *, field: str
) -> None:
    """Raise RequestTooLargeError naming an activity's field if one is too large with buttons."""
    try:
        for each in drawn:
            require_size(each, channel_id, settings)
    except RequestTooLargeError:
        raise RequestTooLargeError(
            FieldError(field, "is too large with the buttons for its answers")
        ) from None


def require_records(alert: Alert, now: datetime, services: Services) -> None:
    """Raise AlertOverError when the records of an alert's deliveries are being removed."""
    kept_for = timedelta(days=services.settings.delivery_retention_days)
    if alert.started_at is not None and alert.started_at + kept_for <= now:
        raise AlertOverError("The records of this alert are too old: they are being removed")


def next_version(alert: Alert) -> Alert:
    """Return the alert in its next version, in which how its members have ended is counted anew."""
    return replace(alert, version=alert.version + 1, ended_at=None, closed_pages=0, counts={})


def _stopped(alert: Alert, now: datetime) -> Alert:
    """Return a stopped alert; it has ended at once if it was to begin only long after."""
    is_unbegun = alert.send_at is not None and alert.send_at - now > _NEARLY_DUE
    if not is_unbegun or alert.next_page > 0:
        return alert
    return replace(alert, is_read=True, ended_at=now)
