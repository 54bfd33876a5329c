"""What Azure Monitor writes beside its documentation, by kind of alert."""

import json
from typing import Any

from ReceiveEvent.event import Event, IgnoredEvent
from tests.ReceiveEvent.recorded import body_of, read, read_one


def test_metrics_and_others_with_the_common_schema():
    name = "azure-monitor/firing.json"
    metric = read_one(name, body_of(name))
    body = body_of("azure-monitor/resolved.json")
    essentials = body["data"]["essentials"]
    del essentials["alertTargetIDs"], essentials["configurationItems"], body["data"]["alertContext"]
    resolved = read_one(name, body)
    assert (resolved.key, resolved.occurrence) == (metric.key, metric.occurrence)

    prometheus = body_of(name)
    prometheus["data"]["customProperties"] = None
    prometheus["data"]["essentials"].update(
        alertRule="nodes/KubeNodeNotReady", monitoringService="Prometheus", alertTargetIDs=None
    )
    prometheus["data"]["alertContext"] = {
        "expressionValue": "12.7m",
        "labels": {"alertname": "KubeNodeNotReady", "node": "aks-1"},
        "annotations": {"description": "The node is not ready."},
    }
    event = read_one(name, prometheus)
    assert (event.topic, event.text) == ("nodes/KubeNodeNotReady", "The node is not ready.")
    assert event.details == {"resource": "wcus-r2-gen2", "value": "12.7m", "node": "aks-1"}

    detector = body_of(name)
    detector["data"]["essentials"].update(signalType="Log", monitoringService="SmartDetector")
    detector["data"]["alertContext"] = {"DetectionSummary": "Slower than usual"}
    event = read_one(name, detector)
    assert (event.key, event.tells_end, event.text) == (metric.key, True, "Slower than usual")

    web_test = body_of(name)
    web_test["data"]["alertContext"]["condition"]["allOf"][0].update(
        metricName=None, webTestName="shop", metricValue=None, threshold=2
    )
    assert read_one(name, web_test).details["condition"] == "shop GreaterThan 2"

    two = body_of(name)
    two["data"]["alertContext"]["condition"]["allOf"] += [
        {"metricName": "Memory", "operator": "LessThan", "threshold": "1", "metricValue": 0.5}
    ]
    details = read_one(name, two).details
    assert details["condition"] == "Percentage CPU GreaterThan 25 and Memory LessThan 1"
    assert details["value"] == "31.1105 and 0.5"

    budget: dict[str, Any] = dict.fromkeys(body_of(name)["data"]["essentials"])
    budget["alertId"] = "/subscriptions/1/providers/Microsoft.CostManagement/alerts/2"
    budget["monitoringService"] = "CostAlerts"
    spent = {"BudgetName": "Test", "BudgetCreator": "a@example.com", "ThresholdType": "Actual"}
    event = read_one(
        name,
        {
            "schemaId": "azureMonitorCommonAlertSchema",
            "data": {"essentials": budget, "alertContext": {"AlertData": spent}},
        },
    )
    assert (event.state, event.tells_end, event.topic, event.link) == (
        "firing",
        False,
        "Test",
        None,
    )
    assert event.details == {"ThresholdType": "Actual"}

    essentials = {"alertRule": "a", "monitorCondition": "Acknowledged"}
    unknown = {"schemaId": "azureMonitorCommonAlertSchema", "data": {"essentials": essentials}}
    assert isinstance(read(name, unknown)[0], IgnoredEvent)


def test_the_activity_log():
    body = body_of("azure-monitor/firing.json")
    essentials = body["data"]["essentials"]
    essentials.update(signalType="Activity Log", description="Somebody restarted a machine")
    restart = {"operationName": "restart", "caller": "a@example.com", "claims": '{"aud": "x"}'}
    autoscale = {"description": "From 9 to 10.", "newInstancesCount": "10", "profile": '{"a": 1}'}
    states = {}
    for kind, context in {
        "Administrative": {**restart, "status": "Failed", "properties": None},
        "Autoscale": {"operationName": "up", "status": "Succeeded", "properties": autoscale},
        "Security": {"status": "Active", "properties": {"category": "Virus", "steps": "[1]"}},
    }.items():
        essentials["monitoringService"] = f"Activity Log - {kind}"
        body["data"]["alertContext"] = context
        event = read_one("azure-monitor/firing.json", body)
        details = {"resource": "wcus-r2-gen2", "resource group": "pipelinealertrg"}
        assert event.details.items() >= details.items()
        states[event.title] = (event.text, *list(event.details.items())[2:])

    assert states == {
        "WCUS-R2-Gen2: Failed": ("Somebody restarted a machine", ("operationName", "restart")),
        "WCUS-R2-Gen2: Succeeded": (
            "From 9 to 10.",
            ("operationName", "up"),
            ("newInstancesCount", "10"),
        ),
        "WCUS-R2-Gen2: Active": ("Somebody restarted a machine", ("category", "Virus")),
    }


def test_one_rule_tells_of_many_things_and_each_is_an_incident():
    contexts = [
        {"protectedItemId": "/vaults/v/protectedItems/{}", "linkedResourceName": "vm-1"},
        {"protectedItemId": None, "sourceId": "/machines/vm-1/backupProtectedItem/{}"},
        {"properties": {"recommendationType": "{}", "recommendationName": "Add cores"}},
        {"properties": {"threatID": "{}", "filePath": "C:\\test"}},
        {"properties": {"policies": '[{"policyDefinitionName": "{}"}]'}},
    ]
    details = []
    for context in contexts:
        body = body_of("azure-monitor/firing.json")
        body["data"]["essentials"].update(signalType="Log", monitoringService="any of these")
        events = []
        for name in ("VM;vm-1", "SQL;db", "sql;DB"):
            body["data"]["alertContext"] = json.loads(json.dumps(context).replace("{}", name))
            events.append(read_one("azure-monitor/firing.json", body))
        assert events[0].key != events[1].key == events[2].key
        details.append(list(events[1].details.items())[1:])

    group = ("resource group", "pipelinealertrg")
    assert details == [
        [("backup item", "vm-1, db"), group],
        [("backup item", "db"), group],
        [group, ("recommendationType", "SQL;db"), ("recommendationName", "Add cores")],
        [group, ("threatID", "SQL;db"), ("filePath", "C:\\test")],
        [group],
    ]


def test_log_searches_fire_at_every_evaluation_or_resolve_and_are_one_incident():
    name = "azure-monitor/firing-log-v2.json"
    first = read_one(name, body_of(name))
    again, other, resolved = body_of(name), body_of(name), body_of(name)
    again["data"]["essentials"].update(alertId="/another", firedDateTime="2025-04-15T18:13:03Z")
    criterion = again["data"]["alertContext"]["condition"]["allOf"][0]
    criterion["linkToFilteredSearchResultsUI"] += "5"
    repeat = read_one(name, again)
    assert (repeat.key, repeat.words, repeat.tells_end) == (first.key, first.words, False)
    criterion = other["data"]["alertContext"]["condition"]["allOf"][0]
    criterion["dimensions"][0]["value"] = "another-computer"
    assert read_one(name, other).key != first.key
    resolved["data"]["essentials"]["monitorCondition"] = "Resolved"
    assert read_one(name, resolved).key == first.key
    # Rules of one name, in two groups.
    for name_of_id in ("alertRuleID", "alertRuleId"):
        other = body_of(name)
        other["data"]["essentials"][name_of_id] = "/subscriptions/1/rules/errors"
        assert read_one(name, other).key != first.key

    first_version = body_of(name)
    first_version["data"]["alertContext"] = {
        "LinkToFilteredSearchResultsUI": "https://portal.azure.com/#search",
        "Threshold": 10000,
        "Dimensions": [{"name": "Computer", "value": "test-computer"}],
    }
    event = read_one(name, first_version)
    assert (event.key, event.link) == (first.key, "https://portal.azure.com/#search")


def test_the_health_of_resources_and_services():
    name = "azure-monitor/resource-health-firing.json"
    states = {}
    for status in ("Available", "Degraded", "Unavailable", "Unknown"):
        body = body_of(name)
        body["data"]["essentials"]["monitoringService"] = "ResourceHealth"
        body["data"]["essentials"]["alertId"] = f"/{status}"
        body["data"]["alertContext"]["properties"]["currentHealthStatus"] = status
        (states[status],) = read(name, body)
    assert isinstance(states["Unknown"], IgnoredEvent)
    told = [each for each in states.values() if isinstance(each, Event)]
    assert [each.state for each in told] == ["resolved", "firing", "firing"]
    assert {(each.key, each.occurrence) for each in told} == {(told[0].key, None)}
    assert told[1].words != told[2].words == read_one(name, body_of(name)).words

    name = "azure-monitor/service-health-resolved.json"
    stages = {}
    for stage in ("Active", "Planned", "Resolved", "Complete", "Canceled", "RCA", None):
        body = body_of(name)
        properties = body["data"]["alertContext"]["properties"]
        properties.update(
            stage=stage, impactedServices="[]", communication="&lt;b&gt;Now&lt;/b&gt;"
        )
        event = read_one(name, body)
        assert (event.occurrence, event.text) == ("TEST-TTT", "Now")
        stages[stage] = event.state
    assert [stage for stage, state in stages.items() if state == "firing"] == ["Active", "Planned"]
