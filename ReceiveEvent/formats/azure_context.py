"""What an alert of Azure Monitor says beside its rule: which resource, and what was measured.

Source: https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-payload-samples
"""

import re
from typing import Any

from ReceiveEvent.reading import first_text, items, text, texts, texts_at

_RESOURCE_GROUP = re.compile(r"/resourcegroups/([^/]+)", re.IGNORECASE)
_MEASURE = "metricName|webTestName|metricMeasureColumn|timeAggregation operator threshold"
_TOLD_APART = ("operationName", "AlertData.ThresholdType", "AlertData.NotificationThresholdAmount")
# Of Azure Backup, Advisor, Defender and Azure Policy, which tell of many things by one rule.
_BACKUP_ITEM = "protectedItemId|sourceId"
_SUBJECTS = f"{_BACKUP_ITEM} properties.recommendationType properties.threatID properties.policies"
_SHOWN_ALREADY = {"alertname", "description"}


def resource_group(resource_id: str) -> str:
    """Return the resource group of a resource, or nothing where it is in none."""
    found = _RESOURCE_GROUP.search(resource_id)
    return found[1] if found else ""


def dimensions(context: Any) -> dict[str, str]:
    """Return what tells the alerts of one rule apart."""
    found = {path.rpartition(".")[2]: first_text(context, path) for path in _TOLD_APART}
    for criterion in [context, *items(context, "condition", "allOf")]:
        for each in items(criterion, "dimensions") or items(criterion, "Dimensions"):
            found[text(each, "name")] = text(each, "value")
    return {name: value for name, value in found.items() if value}


def subjects(context: Any) -> list[str]:
    """Return the ids of what an alert is about, where its rule, resource and dimensions do not."""
    return [each.lower() for each in texts_at(context, _SUBJECTS)]


def backup_item(context: Any) -> str:
    """Return the name of what Azure Backup protects, which is the last part of its id."""
    name = first_text(context, _BACKUP_ITEM).rpartition("/")[2].rpartition(";")[2]
    return ", ".join(filter(None, dict.fromkeys((text(context, "linkedResourceName"), name))))


def measured(context: Any) -> dict[str, str]:
    """Return the conditions that are met, and by which values."""
    criteria = items(context, "condition", "allOf")
    values = [text(each, "metricValue") for each in criteria]
    return {
        "condition": " and ".join(" ".join(texts_at(each, _MEASURE)) for each in criteria),
        "value": " and ".join(filter(None, values)) or text(context, "expressionValue"),
    }


def said(context: Any) -> dict[str, str]:
    """Return labels of Prometheus, and properties of a rule or of what the activity log holds.

    What is JSON in a text is for programs.
    """
    found = {**texts(context, "labels"), **texts(context, "properties")}
    hidden = {name for name, value in found.items() if value[0] in "[{"} | _SHOWN_ALREADY
    return {name: value for name, value in found.items() if name not in hidden}
