"""Azure Monitor's Service Health and Resource Health, whose state is in the alert's context.

The condition of such an alert is always Fired. Source:
https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-payload-samples
"""

from collections.abc import Callable, Mapping
from typing import Any

from ReceiveEvent.event import Event, IgnoredEvent, severity_of
from ReceiveEvent.formats.azure_context import resource_group
from ReceiveEvent.reading import first_text, moment, text, without_tags

# A root cause analysis comes after the end.
_ENDS_OF_SERVICE_HEALTH = {"resolved", "complete", "canceled", "rca"}
_HEALTH_STATES = {"available", "degraded", "unavailable"}


def _service_health(essentials: Any, context: Any) -> Event | IgnoredEvent:
    tracking_id = text(context, "properties", "trackingId")
    if not tracking_id:
        return IgnoredEvent(None, "The service health event has no trackingId")
    stage = first_text(context, "properties.stage|status")
    resolved = stage.lower() in _ENDS_OF_SERVICE_HEALTH
    return Event(
        key=f"{tracking_id} {text(essentials, 'alertTargetIDs', 0).lower()}",
        state="resolved" if resolved else "firing",
        topic="service-health",
        title=text(context, "properties", "title") or tracking_id,
        occurrence=tracking_id,
        time=moment(context, "eventTimestamp") or moment(essentials, "firedDateTime"),
        severity=severity_of(text(context, "properties", "incidentType")),
        text=without_tags(text(context, "properties", "communication")),
        details={
            "service": text(context, "properties", "service"),
            "region": text(context, "properties", "region"),
            "kind": text(context, "properties", "incidentType"),
            "status": stage,
            "tracking id": tracking_id,
        },
        starts_at=moment(context, "properties", "impactStartTime"),
        ends_at=moment(context, "properties", "impactMitigationTime") if resolved else None,
    )


def _resource_health(essentials: Any, context: Any) -> Event | IgnoredEvent:
    resource_id = text(essentials, "alertTargetIDs", 0).lower()
    status = text(context, "properties", "currentHealthStatus")
    if not resource_id or status.lower() not in _HEALTH_STATES:
        return IgnoredEvent(resource_id, f"No resource, or no known health: {status!r}")
    resource = text(essentials, "configurationItems", 0) or resource_id.rpartition("/")[2]
    return Event(
        key=resource_id,
        state="resolved" if status.lower() == "available" else "firing",
        topic=resource,
        title=text(context, "properties", "title") or f"{resource}: {status}",
        time=moment(context, "eventTimestamp") or moment(essentials, "firedDateTime"),
        severity=severity_of(status),
        text=text(context, "properties", "details") or text(essentials, "description"),
        details={
            "resource": resource,
            "resource group": resource_group(resource_id),
            "status": status,
            "cause": text(context, "properties", "cause"),
        },
    )


HEALTH: Mapping[str, Callable[[Any, Any], Event | IgnoredEvent]] = {
    "servicehealth": _service_health,
    "resourcehealth": _resource_health,
}
"""By the monitoring service, which is spelt with and without a space."""
