"""What senders write beside their documentation, one test a sender."""

import json
from typing import Any

import pytest

from ReceiveEvent.event import Event, IgnoredEvent
from ReceiveEvent.formats import FORMATS
from shared.errors import InvalidRequestError
from tests.ReceiveEvent.recorded import RECORDED, body_of, headers_of, read, read_one


def test_what_is_not_this_senders_body_at_all_is_refused_with_a_hint():
    cases: dict[str, list[tuple[Any, str]]] = {
        "alertmanager/firing.json": [
            ({}, "alerts"),
            ({"alerts": "none"}, "alerts"),
            ([], "alerts"),
        ],
        "azure-devops/firing.json": [({"resource": {}}, "eventType")],
        "azure-monitor/firing.json": [
            ({"schemaId": "AzureMonitorMetricAlert", "data": {}}, "switch the common alert schema"),
            ({"schemaId": "Microsoft.Insights/activityLogs", "data": {}}, "schemaId"),
            ({"schemaId": "AIP Budget Notification", "data": {}}, "schemaId"),
            ({"properties": {"essentials": {"severity": "Sev3"}}}, "schemaId"),
            ({"SearchQuery": "Heartbeat"}, "schemaId"),
        ],
        "cloudevents/structured.json": [
            ({"id": "1", "source": "/a", "type": "b"}, "specversion"),
            ({"id": "1", "topic": "/a", "eventType": "b"}, "event-grid"),
        ],
        "event-grid/schema-blob-created.json": [({"id": "1"}, "eventType")],
        "generic/firing.json": [
            ({"key": None, "status": "on", "title": [], "topic": "a"}, "key"),
            ({"key": "a", "status": "on", "title": "b", "topic": "c"}, "firing or resolved"),
        ],
        "github/firing.json": [([], "X-GitHub-Event")],
        "grafana/firing.json": [
            ({"evalMatches": [], "state": "alerting"}, "legacy"),
            ({}, "alerts"),
        ],
    }
    assert {name.partition("/")[0] for name in cases} == FORMATS.keys()
    for name, refused in cases.items():
        for body, hint in [*refused, (None, "is|must"), ("text", "is|must"), (7, "is|must")]:
            with pytest.raises(InvalidRequestError, match=hint):
                read(name, body)


def test_one_odd_event_of_a_batch_is_ignored_with_a_reason_and_costs_no_other():
    odd: list[Any] = [None, "text", {}, []]
    for name in ("alertmanager/firing.json", "grafana/firing.json"):
        body = body_of(name)
        alerts = body["alerts"]
        body["alerts"] = [*odd, *alerts]
        assert read(name, body)[len(odd) :] == read(name, body_of(name))
    for name in ("cloudevents/batched.json", "event-grid/schema-blob-created.json"):
        assert read(name, [*odd, *body_of(name)])[len(odd) :] == read(name, body_of(name))
        ignored = read(name, [*odd, *body_of(name)])[: len(odd)]
        assert all(isinstance(each, IgnoredEvent) and each.reason for each in ignored), ignored


def test_alertmanager():
    name = "alertmanager/firing.json"
    whole = read_one(name, body_of(name))

    body = body_of(name)
    (alert,) = body["alerts"]
    del alert["fingerprint"], alert["generatorURL"], alert["status"], body["truncatedAlerts"]
    alert["labels"]["__meta__"] = "never shown"
    alert["annotations"]["runbook_url"] = "to be written"
    old = read_one(name, body)
    assert (old.state, old.link, old.details) == ("firing", None, whole.details)
    alert["endsAt"] = "2026-11-27T05:24:02Z"
    ended = read_one(name, {**body, "status": "firing"})
    assert (ended.state, ended.key, ended.occurrence) == ("resolved", old.key, whole.occurrence)
    alert["labels"]["instance"] = "web-2:9100"
    assert read_one(name, body).key != old.key
    alert["labels"]["instance"] = "half a pair: \ud83d"
    assert read_one(name, body).details["instance"] == "half a pair: \N{REPLACEMENT CHARACTER}"

    assert read(name, {"alerts": None, "truncatedAlerts": 3}) == [
        IgnoredEvent(None, "The sender left out 3 more alerts")
    ]


def test_grafana():
    name = "grafana/firing.json"
    body = body_of(name)
    before = read(name, body_of(name))
    for alert in body["alerts"]:
        alert["dashboardURL"] = alert["panelURL"] = "https://play.grafana.org/d/1?to=1634028999"
        alert["values"] = None
    assert read(name, body) == before

    alert = body["alerts"][0]
    body["alerts"] = [alert]
    alert["labels"] = {"alertname": "DatasourceNoData", "rulename": "High memory usage"}
    alert["generatorURL"] = "?orgId=1"
    silent = read_one(name, body)
    assert silent.title == "No data: High memory usage"
    assert silent.topic == "High memory usage"
    assert silent.link is None
    alert["labels"]["alertname"] = "DatasourceError"
    alert["annotations"]["Error"] = "failed to execute query A: connection refused"
    broken = read_one(name, body)
    assert (broken.title, broken.text) == (
        "Error: High memory usage",
        "failed to execute query A: connection refused",
    )


def test_azure_monitor():
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


def test_azure_activity_log():
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


def test_azure_log_searches_fire_at_every_evaluation_or_resolve_and_are_one_incident():
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

    first_version = body_of(name)
    first_version["data"]["alertContext"] = {
        "LinkToFilteredSearchResultsUI": "https://portal.azure.com/#search",
        "Threshold": 10000,
        "Dimensions": [{"name": "Computer", "value": "test-computer"}],
    }
    event = read_one(name, first_version)
    assert (event.key, event.link) == (first.key, "https://portal.azure.com/#search")


def test_azure_health():
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


def test_github():
    name = "github/firing.json"
    ours = read_one(name, body_of(name))
    fork = body_of(name)
    fork["workflow_run"]["head_repository"]["full_name"] = "someone/octo-repo"
    assert read_one(name, fork).key != ours.key
    unnamed = body_of(name)
    unnamed["workflow_run"].update(head_branch=None, name=None)
    unnamed["workflow"] = None
    assert read_one(name, unnamed).title.startswith(".github/workflows/test.yml: ")
    unfinished = {**body_of(name), "action": "in_progress"}
    assert isinstance(read(name, unfinished)[0], IgnoredEvent)
    again = body_of(name)
    again["workflow_run"]["run_attempt"] = 2
    assert read_one(name, again).occurrence != ours.occurrence

    states: dict[tuple[str, str, str], str] = {
        ("firing.json", "conclusion", "failure timed_out startup_failure"): "firing",
        ("firing.json", "conclusion", "success"): "resolved",
        (
            "firing.json",
            "conclusion",
            "cancelled skipped neutral stale action_required",
        ): "ignored",
        ("deployment-status.json", "state", "failure error"): "firing",
        ("deployment-status.json", "state", "success"): "resolved",
        ("deployment-status.json", "state", "pending queued in_progress inactive"): "ignored",
        ("issue-opened.json", "action", "opened reopened"): "firing",
        ("issue-opened.json", "action", "closed deleted transferred"): "resolved",
        ("issue-opened.json", "action", "edited labeled assigned"): "ignored",
        ("pull-request-closed.json", "action", "opened reopened"): "firing",
        ("pull-request-closed.json", "action", "closed"): "resolved",
        ("pull-request-closed.json", "action", "synchronize edited"): "ignored",
        ("release-published.json", "action", "published"): "firing",
        ("release-published.json", "action", "created released prereleased"): "ignored",
        (
            "dependabot-alert-created.json",
            "action",
            "created reopened reintroduced auto_reopened",
        ): "firing",
        ("dependabot-alert-created.json", "action", "fixed dismissed auto_dismissed"): "resolved",
        ("dependabot-alert-created.json", "action", "assignees_changed"): "ignored",
    }
    for (file, path, words), state in states.items():
        for word in words.split():
            body = body_of(f"github/{file}")
            thing = {"conclusion": "workflow_run", "state": "deployment_status"}.get(path)
            (body[thing] if thing else body)[path] = word
            (event,) = read(f"github/{file}", body)
            found = event.state if isinstance(event, Event) else "ignored"
            assert found == state, (file, word)

    moved = body_of("github/issue-opened.json")
    moved["changes"] = {"old_repository": {"full_name": "secret/place"}}
    assert "secret" not in str(read("github/issue-opened.json", moved))
    organisation = {"hook": {"type": "Organization"}, "organization": {"login": "octo-org"}}
    assert FORMATS["github"].handshake(headers_of("github/ping.json"), organisation) is not None
    assert isinstance(read(name, organisation)[0], IgnoredEvent)
    # A check's body holds a deployment too, and its header says that it is none.
    check = read("github/deployment-status.json", body_of(name), x_github_event="check_run")
    assert isinstance(check[0], IgnoredEvent)


def test_azure_devops():
    name = "azure-devops/firing.json"
    for result, severity in (("failed", "error"), ("partiallySucceeded", "warning")):
        body = body_of(name)
        body["resource"]["result"] = result
        assert (read_one(name, body).state, read_one(name, body).severity) == ("firing", severity)
    body["resource"]["result"] = "canceled"
    body["resource"].pop("_links")
    assert isinstance(read(name, body)[0], IgnoredEvent)
    assert isinstance(read(name, {"eventType": "build.complete"})[0], IgnoredEvent)
    assert isinstance(read(name, {"eventType": "workitem.created"})[0], IgnoredEvent)

    body["message"] = body["detailedMessage"] = None
    xaml = {"id": 2, "buildNumber": "app_1.2", "status": "failed", "definition": {"name": "app"}}
    old = read_one(name, {**body, "resource": xaml})
    assert (old.key, old.topic, old.title) == ("app", "app", "Build app_1.2 of app failed")
    assert old.link is None


def test_cloudevents():
    name = "cloudevents/binary.json"
    event = read_one(name, None, ce_id="1", ce_subject="%E2%82%AC 5", ce_severitytext="WARN")
    assert (event.title, event.severity) == ("com.example.someevent: € 5", "warning")
    assert read_one(name, "words of any kind", ce_severitynumber="21").severity == "critical"

    name = "cloudevents/structured.json"
    assert read("cloudevents/batched.json", []) == []
    nothing = {**body_of(name), "id": None, "time": 5, "data": [1]}
    assert isinstance(read(name, nothing)[0], IgnoredEvent)
    assert isinstance(read(name, {**body_of(name), "specversion": "0.3"})[0], IgnoredEvent)
    # What a storage queue holds comes without headers.
    assert FORMATS["cloudevents"].read({}, body_of(name)) == read(name, body_of(name))


def test_event_grid():
    name = "event-grid/schema-validation.json"
    (validation,) = body_of(name)
    code = {"validationResponse": validation["data"]["validationCode"]}
    as_text = {**validation, "data": json.dumps(validation["data"])}
    handshake = FORMATS["event-grid"].handshake
    assert [handshake({}, each) for each in ([validation], validation, as_text)] == [code] * 3
    assert handshake({}, {**validation, "data": "{"}) is None
    for farewell in ("SubscriptionDeletion", "Unsubscribe"):
        assert handshake({"aeg-event-type": farewell}, [{}]) == {"events": []}

    name = "event-grid/schema-blob-created.json"
    (vault,) = body_of(name)
    hidden = {"claims": "{}", "authorization": {"scope": "/"}, "httpRequest": "secret"}
    vault["data"] = {"ObjectName ": "certificate", " Version": "1", "EXP": "1614638", **hidden}
    details = read_one(name, [vault]).details
    assert details == {
        "source": vault["topic"],
        "ObjectName": "certificate",
        "Version": "1",
        "EXP": "1614638",
    }
    assert read_one(name, vault) == read_one(name, [vault])


def test_generic():
    event = read_one(
        "generic/firing.json",
        {
            "key": 42,
            "status": "firing",
            "title": "Late",
            "topic": "trains",
            "severity": "very",
            "text": None,
            "details": {"line": 7, "stops": [1], "": "x"},
            "time": "yesterday",
            "startsAt": "2026-11-27T02:41:00+01:00",
            "link": "javascript:alert(1)",
            "unknown": {"deep": 1},
        },
    )
    assert (event.key, event.severity, event.text, event.link) == ("42", None, "", None)
    assert (event.details, event.time) == ({"line": "7"}, None)
    assert event.occurrence == "2026-11-27T01:41:00+00:00"


def test_every_sender_has_a_recorded_payload():
    assert {name.partition("/")[0] for name in RECORDED} == FORMATS.keys()
