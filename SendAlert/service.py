"""Accepting an alert, telling how far it is, and changing one's mind about it."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from SendAlert.audience import stretches
from SendAlert.fan_out import begin
from SendAlert.progress import QUIET_AFTER, Progress, deliveries_of, progress_of
from SendAlert.request import AlertDeliveryQuery, AlertQuery, AlertRequest, EditRequest
from shared.alerts.alert import Alert, Audience
from shared.alerts.content import Content
from shared.alerts.store import KNOWLEDGE_HOLDS
from shared.connector.channel_features import KNOWN_CHANNELS
from shared.deliveries.delivery import Delivery
from shared.deliveries.rows import member_of
from shared.errors import AlertExistsError, AlertOverError, FieldError, InvalidRequestError
from shared.messages.envelope import QueuedMessage, Step
from shared.sending.alert_follow_up import go_on
from shared.sending.outgoing_activity import require_size
from shared.wiring import Services

_STOPS_WITHIN_SECONDS = 2.0
_POLL_SECONDS = 0.25
# Azure's load balancer gives an HTTP function 230 s.
_MOST_DRY_SECONDS = 60.0
# What begins in less than that may have begun.
_NEARLY = timedelta(seconds=5)


@dataclass(frozen=True)
class Reach:
    """Whom an alert would reach; ``suppressed`` are those who want none, or cannot be reached.

    It is an estimate when there were too many to look at each of them.
    """

    total: int
    suppressed: int
    by_channel: Mapping[str, int]
    by_locale: Mapping[str, int]
    is_estimate: bool


def accept_alert(
    request: AlertRequest, alert_id: str, services: Services, *, traceparent: str | None = None
) -> Alert:
    """Accept an alert, whatever the size of its audience, and have it begin.

    The same request with the same id is accepted once. Raises InvalidRequestError when anything is
    wrong with anything that would be sent, and AlertExistsError when another alert has the id.
    """
    alert = _checked(request, alert_id, services, traceparent)
    recipients = request.named
    alert = replace(
        alert,
        content_key=services.alerts.keep(request.content_json(), request.send_at),
        recipients_key=services.alerts.keep(recipients, request.send_at) if recipients else None,
    )
    if not services.alerts.create(alert):
        known = services.alerts.find(alert_id)
        # Storage may have written ours and lost the answer: then this is it.
        if known.content_key != alert.content_key:
            services.alerts.drop(alert.content_key)
            services.alerts.drop(alert.recipients_key)
        if known.fingerprint != alert.fingerprint:
            raise AlertExistsError("Another alert has this id")
        alert = known
    if alert.next_page == 0 and not alert.is_read:
        begin(alert, services)
    return alert


def accept_queued_alert(message: QueuedMessage, services: Services) -> None:
    """Accept the alert that a queue's message asks for, as ``accept_alert`` does."""
    request = AlertRequest.from_json(message.body)
    if request.dry_run:
        raise InvalidRequestError(FieldError("dryRun", "has nobody to answer to on a queue"))
    accept_alert(request, message.envelope.id, services, traceparent=message.envelope.traceparent)


def reach_of(request: AlertRequest, services: Services) -> Reach:
    """Return whom an alert would reach if it were sent now; nothing is sent or kept."""
    alert = _checked(request, "dry-run", services, None)
    deadline = time.monotonic() + _MOST_DRY_SECONDS
    suppressed, reached = 0, Counter[tuple[str, str]]()
    for stretch in stretches(alert, request.named, services):
        for member in stretch.members:
            if member.refusal(alert.topic) is not None:
                suppressed += 1
            else:
                locale = member.account.locale if member.account else None
                reached[member.channel_id, locale or services.settings.default_locale] += 1
        if time.monotonic() > deadline:
            break
    # Of what was not read the same part is expected.
    part = stretch.share
    by_channel, by_locale = Counter[str](), Counter[str]()
    for (channel_id, locale), count in reached.items():
        by_channel[channel_id] += round(count / part)
        by_locale[locale] += round(count / part)
    return Reach(
        total=round(reached.total() / part),
        suppressed=round(suppressed / part),
        by_channel=by_channel,
        by_locale=by_locale,
        is_estimate=part < 1,
    )


def find_alert(alert_id: str, services: Services) -> Progress:
    """Return how far an alert is; raise UnknownAlertError when there is none."""
    return progress_of(services.alerts.find(alert_id), services)


def list_alerts(query: AlertQuery, services: Services) -> tuple[list[Alert], str | None]:
    """Return a page of the alerts, the newest of it first, and the token of the next page."""
    alerts, token = services.alerts.page(query.page_size, query.continuation_token)
    return sorted(alerts, key=lambda alert: alert.created_at, reverse=True), token


def list_alert_deliveries(
    alert_id: str, query: AlertDeliveryQuery, services: Services
) -> tuple[list[Delivery], str | None]:
    """Return deliveries of an alert, page by page of its audience, and the token of the next page.

    A page holds all that fit of some hundred members, so it may hold none. Go on until there is no
    token.
    """
    alert = services.alerts.find(alert_id)
    number, after = query.place
    page = services.audience_pages.find(alert.id, number)
    if page is None:
        return [], None
    fitting = sorted(
        (
            each
            for each in deliveries_of(page, alert, services)
            if query.status in (None, each.status) and member_of(each.id) > after
        ),
        key=lambda each: member_of(each.id),
    )
    token: str | None = None
    shown = fitting[: query.page_size]
    if len(shown) < len(fitting):
        token = f"{number}.{member_of(shown[-1].id)}"
    else:
        token = f"{number + 1}." if number + 1 < alert.next_page else None
    return services.deliveries.with_recipients(shown), token


def cancel_alert(alert_id: str, services: Services) -> Progress:
    """Have nothing more be sent of an alert; return what went out of it.

    Waits a moment for those who are sending right now. What has ended stays as it is.
    """
    now = datetime.now(UTC)

    def cancelled(current: Alert) -> Alert:
        if current.ended_at is not None or current.stopped_at is not None:
            return current
        return _stopped(replace(current, cancelled_at=now), now)

    alert = services.alerts.change(alert_id, cancelled)
    if alert.ended_at is not None:
        services.alerts.drop(alert.recipients_key)
    else:
        seconds = QUIET_AFTER.total_seconds()
        go_on(alert, Step(kind="close"), services, delay_seconds=seconds)
    return _when_quiet(alert, services)


def recall_alert(alert_id: str, services: Services) -> Progress:
    """Have nothing more be sent of an alert, and what was delivered be deleted."""
    now = datetime.now(UTC)

    def recalled(current: Alert) -> Alert:
        if current.recalled_at is not None:
            return current
        _require_records(current, now, services)
        return _stopped(replace(_changed(current), recalled_at=now), now)

    alert = services.alerts.change(alert_id, recalled)
    if alert.ended_at is not None:
        services.alerts.drop(alert.recipients_key)
    else:
        go_on(alert, Step(kind="change", version=alert.version), services)
    return progress_of(alert, services)


def edit_alert(alert_id: str, request: EditRequest, services: Services) -> Progress:
    """Have an alert say something else, where it was delivered and where it is still to be sent.

    Raises InvalidRequestError as ``accept_alert`` does, and AlertOverError when it was recalled.
    """
    alert = services.alerts.find(alert_id)
    said = request.content_json()
    if "data" not in said:
        said["data"] = dict(services.alerts.content(alert).data)
    _require_sendable(Content.from_json(said), alert.topic, alert.channel_ids, services)
    content_key = services.alerts.keep(said, alert.send_at)
    now = datetime.now(UTC)

    def edited(current: Alert) -> Alert:
        if current.recalled_at is not None:
            raise AlertOverError("The alert was recalled, so there is nothing to edit any more")
        _require_records(current, now, services)
        return replace(_changed(current), content_key=content_key)

    try:
        alert = services.alerts.change(alert_id, edited)
    except AlertOverError:
        services.alerts.drop(content_key)
        raise
    go_on(alert, Step(kind="change", version=alert.version), services)
    return progress_of(alert, services)


def retry_alert(alert_id: str, services: Services) -> Progress:
    """Have what failed of an alert be put back, and nothing else.

    Of one that was recalled, that is the recall where it failed. Raises AlertOverError when it was
    cancelled.
    """
    now = datetime.now(UTC)

    def retried(current: Alert) -> Alert:
        if current.cancelled_at is not None and current.recalled_at is None:
            raise AlertOverError("The alert was cancelled, so nothing more is sent of it")
        _require_records(current, now, services)
        # It ends anew, once all that is put back has ended.
        return replace(current, ended_at=None)

    alert = services.alerts.change(alert_id, retried)
    go_on(alert, Step(kind="retry"), services)
    return progress_of(alert, services)


def _checked(
    request: AlertRequest, alert_id: str, services: Services, traceparent: str | None
) -> Alert:
    """Return the alert that a request asks for, without what it says; raise InvalidRequestError."""
    now = datetime.now(UTC)
    if request.expires_at is not None and request.expires_at <= now:
        raise InvalidRequestError(FieldError("expiresAt", "is over already"))
    content = Content.from_json(request.content_json())
    _require_sendable(content, request.topic, request.channel_ids, services)
    return Alert(
        id=alert_id,
        created_at=now,
        updated_at=now,
        fingerprint=request.fingerprint,
        content_key="",
        channel_ids=request.channel_ids,
        audience=request.audience.to_audience() if request.audience else Audience(),
        recipient_count=len(request.named) if request.recipients is not None else None,
        topic=request.topic,
        topic_name=request.topic_name,
        send_at=request.send_at,
        expires_at=request.expires_at,
        traceparent=traceparent,
    )


def _require_sendable(
    content: Content, topic: str | None, channel_ids: Sequence[str], services: Services
) -> None:
    """Raise InvalidRequestError unless every activity can be sent on every channel it may go to."""
    settings = services.settings
    channels = channel_ids or (*KNOWN_CHANNELS, *settings.largest_activity_kilobytes)
    most_bytes = min(map(settings.largest_activity_bytes, channels))
    for field, activity in content.each_activity(topic=topic, most_bytes=most_bytes).items():
        require_size(activity, most_bytes, field=field)


def _changed(alert: Alert) -> Alert:
    """Return an alert in its next version; how its members have ended is to be counted anew."""
    return replace(
        alert,
        version=alert.version + 1,
        ended_at=None,
        closed_pages=0,
        counts={},
    )


def _stopped(alert: Alert, now: datetime) -> Alert:
    """Return an alert that was stopped; it has ended when it was to begin only long after."""
    is_unbegun = alert.send_at is not None and alert.send_at - now > _NEARLY
    if not is_unbegun or alert.next_page > 0:
        return alert
    return replace(alert, is_read=True, ended_at=now)


def _require_records(alert: Alert, now: datetime, services: Services) -> None:
    """Raise AlertOverError when it is not known any more what became of an alert."""
    kept_for = timedelta(days=services.settings.delivery_retention_days)
    if alert.started_at is not None and alert.started_at + kept_for <= now:
        raise AlertOverError("The records of this alert are too old: they are being removed")


def _when_quiet(alert: Alert, services: Services) -> Progress:
    """Return how far a stopped alert is once nobody sends anything of it any more."""
    deadline = time.monotonic() + _STOPS_WITHIN_SECONDS
    if alert.ended_at is None:
        # So long some may believe that it goes on.
        time.sleep(KNOWLEDGE_HOLDS.total_seconds())
    progress = progress_of(alert, services)
    while progress.under_way and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        progress = progress_of(alert, services)
    return progress
