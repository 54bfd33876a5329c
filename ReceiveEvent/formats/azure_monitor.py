"""Azure Monitor's action groups, in the common alert schema.

Source: https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-common-schema
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ReceiveEvent.event import Event, IgnoredEvent, severity_of
from ReceiveEvent.formats.azure_context import (
    backup_item,
    dimensions,
    measured,
    resource_group,
    said,
    subjects,
)
from ReceiveEvent.formats.azure_health import HEALTH
from ReceiveEvent.reading import find, first_text, items, moment, text, texts, texts_at
from shared.errors import FieldError, InvalidRequestError

_SCHEMA = "azureMonitorCommonAlertSchema"
_PORTAL = "https://portal.azure.com/#view/Microsoft_Azure_Monitoring_Alerts/AlertDetails.ReactView"
_SEARCH = "condition.allOf.0.linkToFilteredSearchResultsUI|LinkToFilteredSearchResultsUI"
_TEXTS = "DetectionSummary|annotations.description|annotations.summary|properties.description"


def read(headers: Mapping[str, str], body: Any) -> list[Event | IgnoredEvent]:
    """Return the event; raise InvalidRequestError for any schema but the common one."""
    if text(body, "schemaId") != _SCHEMA:
        hint = f"must be {_SCHEMA}: switch the common alert schema on in the action group"
        raise InvalidRequestError(FieldError("schemaId", hint))
    essentials, context = find(body, "data", "essentials"), find(body, "data", "alertContext")
    service = text(essentials, "monitoringService").replace(" ", "").lower()
    if service in HEALTH:
        return [HEALTH[service](essentials, context)]
    # Metric rules fire once and resolve, by the alert's id. Log searches may or may not, and do not
    # say which: as what fires at every evaluation, they are known by rule, targets and dimensions.
    stateful = text(essentials, "signalType") == "Metric" or service == "smartdetector"
    return [_alert(essentials, context, texts(body, "data", "customProperties"), stateful)]


def _alert(
    essentials: Any, context: Any, custom: Mapping[str, str], stateful: bool
) -> Event | IgnoredEvent:
    alert_id, condition = text(essentials, "alertId"), text(essentials, "monitorCondition")
    rule = text(essentials, "alertRule") or text(context, "AlertData", "BudgetName") or alert_id
    if not rule or condition not in ("Fired", "Resolved", ""):
        return IgnoredEvent(alert_id, f"No rule or id, or an unknown condition {condition!r}")
    rule_id = text(essentials, "alertRuleID") or text(essentials, "alertRuleId")
    resolved = condition == "Resolved"  # A budget has none.
    targets = [text(each) for each in items(essentials, "alertTargetIDs")]
    told_apart = dimensions(context)
    apart = sorted([*map(str.lower, targets), *map("=".join, told_apart.items())])
    portal = f"{_PORTAL}/alertId~/{quote(alert_id, safe='', errors='replace')}"
    is_instance = "/microsoft.alertsmanagement/alerts/" in alert_id.lower()
    return Event(
        key=(stateful and alert_id) or " ".join([rule_id or rule, *apart, *subjects(context)]),
        state="resolved" if resolved else "firing",
        topic=rule,
        # What happened to a resource has a status: Started, Succeeded, Failed.
        title=": ".join([rule, *texts_at(context, "status")]),
        occurrence=alert_id if stateful else None,
        time=moment(essentials, "resolvedDateTime" if resolved else "firedDateTime"),
        severity=severity_of(text(essentials, "severity")),
        text=first_text(context, _TEXTS) or text(essentials, "description"),
        details={
            "resource": ", ".join(map(text, items(essentials, "configurationItems"))),
            "backup item": backup_item(context),
            **measured(context),
            "resource group": resource_group("".join(targets[:1])),
            **told_apart,
            **custom,
            **said(context),
        },
        link=first_text(context, _SEARCH) or (portal if is_instance else None),
        starts_at=moment(essentials, "firedDateTime"),
        tells_end=stateful or resolved,
    )
