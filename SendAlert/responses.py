"""Answers about alerts."""

from datetime import UTC, datetime
from typing import Any

from SendAlert.progress import CURRENT, RECALLED, Progress
from SendAlert.service import Reach
from shared import json_text
from shared.accounts.account import Account
from shared.alerts.alert import Alert
from shared.alerts.question import Answer
from shared.deliveries.delivery import Status
from shared.triggers.http import link_to


def accepted_body(alert: Alert) -> dict[str, Any]:
    """Return the answer to an accepted alert: its id, its status, and where to follow it."""
    status = alert.status(datetime.now(UTC)).value
    return {"id": alert.id, "status": status, "links": links_of(alert)}


def progress_body(progress: Progress) -> dict[str, Any]:
    """Return an alert, and how far it is."""
    alert, rate, end = progress.alert, progress.rate_per_second, progress.estimated_end
    body = {
        **alert_body(alert),
        "counts": {each.value: progress.counts.get(each, 0) for each in Status},
        CURRENT: progress.counts.get(CURRENT, 0) if alert.version > 1 else None,
        RECALLED: progress.counts.get(RECALLED, 0) if alert.recalled_at else None,
        "answers": dict(progress.answers) if progress.answers is not None else None,
        "total": progress.total,
        "isEstimate": not alert.is_read and alert.stopped_at is None,
        "progress": round(progress.share, 3),
        "ratePerSecond": round(rate, 1) if rate is not None else None,
        "estimatedEnd": end.isoformat() if end else None,
        "links": links_of(alert),
    }
    return json_text.without_none(body)


def alert_body(alert: Alert) -> dict[str, Any]:
    """Return an alert without its counts."""
    audience = {
        "interests": list(alert.audience.interests) or None,
        "channelId": alert.audience.channel_id,
        "locale": alert.audience.locale,
        "tenantId": alert.audience.tenant_id,
    }
    times = {
        "createdAt": alert.created_at,
        "updatedAt": alert.updated_at,
        "sendAt": alert.send_at,
        "expiresAt": alert.expires_at,
        "startedAt": alert.started_at,
        "endedAt": alert.ended_at,
    }
    body = {
        "id": alert.id,
        "status": alert.status(datetime.now(UTC)).value,
        "version": alert.version,
        "topic": alert.topic,
        "topicName": alert.topic_name,
        "audience": json_text.without_none(audience) if alert.recipient_count is None else None,
        "recipients": alert.recipient_count,
        **{name: time.isoformat() if time else None for name, time in times.items()},
    }
    return json_text.without_none(body)


def answer_body(answer: Answer, person: Account | None) -> dict[str, Any]:
    """Return what somebody has answered; of who was erased, nothing tells who that was."""
    who = {
        "channelId": person.channel_id if person else None,
        "userId": person.user_id if person else None,
        "name": person.name if person else None,
    }
    return json_text.without_none({**who, "option": answer.option, "at": answer.at.isoformat()})


def reach_body(reach: Reach) -> dict[str, Any]:
    """Return how many people an alert would reach."""
    return {
        "total": reach.total,
        "suppressed": reach.suppressed,
        "isEstimate": reach.is_estimate,
        "byChannel": dict(sorted(reach.by_channel.items())),
        "byLocale": dict(sorted(reach.by_locale.items())),
    }


def links_of(alert: Alert) -> dict[str, str]:
    """Return the URLs to follow an alert and to act on it."""
    parts = ("deliveries", "answers", "cancel", "retry", "activity")
    return {
        "self": link_to("alerts", "id", alert.id),
        **{part: link_to("alerts", "id", alert.id, f"/{part}") for part in parts},
    }
