"""Alertmanager's webhook, version 4: one incident for each alert of the group that it sends.

Source: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from ReceiveEvent.event import Event, IgnoredEvent, is_link, severity_of
from ReceiveEvent.reading import items, moment, text, texts
from shared.errors import FieldError, InvalidRequestError


def read(headers: Mapping[str, str], body: Any) -> list[Event | IgnoredEvent]:
    """Return an event for each alert; raise InvalidRequestError if it is no group of alerts."""
    if not isinstance(body, dict) or not isinstance(body.get("alerts", 0), list | None):
        hint = "must be a list; send the webhook's own body, without a payload of your own"
        raise InvalidRequestError(FieldError("alerts", hint))
    events = [_event(alert, text(body, "status")) for alert in items(body, "alerts")]
    left_out = text(body, "truncatedAlerts")
    if left_out not in ("", "0"):
        events.append(IgnoredEvent(None, f"The sender left out {left_out} more alerts"))
    return events


def _event(alert: Any, group_status: str) -> Event | IgnoredEvent:
    """Return what one alert of a group says; the group fires while any of its alerts does."""
    labels, annotations = texts(alert, "labels"), texts(alert, "annotations")
    key = text(alert, "fingerprint") or _hash(labels)
    ended = "resolved" if moment(alert, "endsAt") else group_status
    status = text(alert, "status") or ended
    if not key:
        return IgnoredEvent(None, "An alert has neither a fingerprint nor labels")
    if status not in ("firing", "resolved"):
        return IgnoredEvent(key, f"The status {status!r} is neither firing nor resolved")
    starts_at, name = moment(alert, "startsAt"), labels.get("alertname", "Alert")
    ends_at = moment(alert, "endsAt") if status == "resolved" else None
    generator = text(alert, "generatorURL")
    return Event(
        key=key,
        state="firing" if status == "firing" else "resolved",
        topic=next((labels[each] for each in ("topic", "team", "service") if each in labels), name),
        title=annotations.get("summary", name),
        occurrence=starts_at.isoformat() if starts_at else None,
        time=starts_at if status == "firing" else ends_at,
        severity=severity_of(labels.get("severity", "")),
        text=annotations.get("description", annotations.get("message", "")),
        details={each: labels[each] for each in labels if _is_shown(each)},
        link=generator if is_link(generator) else annotations.get("runbook_url"),
        starts_at=starts_at,
        ends_at=ends_at,
    )


def _is_shown(label: str) -> bool:
    """Labels that begin with two underscores are Prometheus' and Grafana's own."""
    return label != "severity" and not label.startswith("__")


def _hash(labels: Mapping[str, str]) -> str:
    """Return what tells these labels from others, as before version 0.19 no fingerprint does."""
    told = "\0".join(f"{name}\0{labels[name]}" for name in sorted(labels))
    return sha256(told.encode("utf-8", "surrogatepass")).hexdigest() if labels else ""
