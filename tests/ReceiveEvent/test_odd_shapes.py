"""What senders write beside their documentation, one test a sender."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from ReceiveEvent.event import Event, IgnoredEvent
from ReceiveEvent.formats import FORMATS
from shared.errors import InvalidRequestError
from tests.ReceiveEvent.recorded import body_of, headers_of, read, read_one


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
    slow, ended = body_of(name), "2020-10-05T16:33:49Z"
    slow["workflow_run"].update(run_started_at="2020-10-05T15:33:48Z", updated_at=ended)
    assert ours.time
    for conclusion in ("failure", "success"):
        slow["workflow_run"]["conclusion"] = conclusion
        run = read_one(name, slow)
        assert run.time == ours.time - timedelta(seconds=1)
        assert (run.starts_at or run.ends_at) == datetime.fromisoformat(ended)

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
    again = body_of(name)
    again["resource"]["finishTime"] = "2024-12-01T14:00:00Z"
    event, first = read_one(name, again), read_one(name, body_of(name))
    assert event.time == first.time != event.starts_at
    assert event.occurrence != first.occurrence
    for where in ("project", "collection", "account"):
        elsewhere = body_of(name)
        elsewhere["resourceContainers"] = {where: {"id": "elsewhere"}}
        assert read_one(name, elsewhere).key == "elsewhere 4658 refs/heads/main"
    body["resource"]["result"] = "canceled"
    body["resource"].pop("_links")
    assert isinstance(read(name, body)[0], IgnoredEvent)
    assert isinstance(read(name, {"eventType": "build.complete"})[0], IgnoredEvent)
    assert isinstance(read(name, {"eventType": "workitem.created"})[0], IgnoredEvent)

    body["message"] = body["detailedMessage"] = body["resourceContainers"] = None
    xaml = {"id": 2, "buildNumber": "app_1.2", "status": "failed", "definition": {"name": "app"}}
    old = read_one(name, {**body, "resource": xaml})
    assert (old.key, old.topic, old.title) == ("app", "app", "Build app_1.2 of app failed")
    assert old.link is None


def test_cloudevents():
    name = "cloudevents/binary.json"
    event = read_one(name, None, ce_id="1", ce_subject="%E2%82%AC 5", ce_severitytext="WARN")
    assert (event.title, event.severity) == ("com.example.someevent: € 5", "warning")
    quoted = read_one(
        name, None, ce_specversion='"1.0"', ce_id='"a\\"b"', ce_subject='"%22%41\\\\"'
    )
    assert (quoted.occurrence, quoted.title) == ('a"b', 'com.example.someevent: "A\\')
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
