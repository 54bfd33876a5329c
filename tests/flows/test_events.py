"""What other systems' webhooks say, from their requests to what people have in their chats."""

import hmac
import json
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from shared.settings import SENDERS
from tests.flows.alerts import act, path_of, progress, wait_for_end
from tests.flows.events import (
    follow,
    generic,
    incident_of,
    incidents,
    last_said,
    post,
    post_body,
    told,
)
from tests.flows.running_app import new_user, running_app
from tests.ReceiveEvent.recorded import PAYLOADS, RECORDED
from tests.support.connector import conversation_of

SECRET = "invented-secret-of-a-webhook"
ALERTMANAGER = "alertmanager/firing.json"
EVENTS = "receive-event"


@pytest.fixture
def topic() -> str:
    """A topic that nobody follows yet; so what is said of it is an incident of its own."""
    return f"topic-{uuid4().hex}"


@pytest.fixture
def reader(app, topic, user):
    """Somebody who follows the topic; returns their conversation."""
    return follow(app, topic, user)


def test_an_incident_is_told_once_and_its_end_turns_the_same_copy_over(app, topic, reader):
    first = post(app, ALERTMANAGER, topic)
    app.settle()
    told_first = told(app)
    for name in ("alertmanager/repeat.json", ALERTMANAGER):
        assert post(app, name, topic).status == 202
    app.settle()
    told_repeated, firing = told(app), incident_of(app, topic)
    ended = post(app, "alertmanager/firing-one-resolved.json", topic)
    app.settle()

    key = "116077f230907a62"
    assert (first.status, first.json()) == (202, {"events": [{"key": key, "state": "firing"}]})
    assert told_first == told_repeated == {("new", reader): 1}
    assert (firing["state"], firing["key"], firing["sender"]) == ("firing", key, "alertmanager")
    assert firing["startsAt"] == "2026-11-27T05:23:04+00:00"
    states = [each["state"] for each in ended.json()["events"]]
    assert states == ["resolved", "firing"]
    # The second alert of the group is an incident of its own.
    assert told(app) == {("new", reader): 2, ("PUT", reader): 1}
    assert [each["key"] for each in incidents(app, state="resolved") if each["topic"] == topic] == [
        key
    ]
    assert progress(app, firing["alertId"])["topic"] == topic


def test_each_recorded_payload_is_taken_and_what_fires_is_told_once(app, topic, reader):
    answers = {name: post(app, name, topic) for name in RECORDED}
    app.settle()

    handshakes = {"event-grid/schema-validation.json", "github/ping.json"}
    assert {name for name, answer in answers.items() if answer.status == 200} == handshakes
    assert {name for name, each in answers.items() if each.status == 202} == set(
        RECORDED
    ) - handshakes
    # Resolved payloads come after firing ones by their names, but for two of github.
    assert app.storage.take_poison(EVENTS) == []
    events = [each for answer in answers.values() for each in answer.json().get("events", [])]
    fired = {each["key"] for each in events if each.get("state") == "firing"}
    assert 0 < told(app)["new", reader] <= len(fired)


def test_the_same_delivery_many_times_at_once_is_one_alert(app, topic, reader):
    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda _: post(app, ALERTMANAGER, topic), range(20)))
    app.settle()

    assert {answer.status for answer in answers} == {202}
    assert told(app) == {("new", reader): 1}
    assert incident_of(app, topic)["state"] == "firing"


def test_two_urls_are_two_audiences_and_each_has_its_alert(app, topic):
    topics = [topic, f"{topic}-too"]
    readers = [follow(app, each, new_user()) for each in topics]

    for each in topics:
        post(app, ALERTMANAGER, each)
    app.settle()

    assert told(app) == {("new", reader): 1 for reader in readers}


def test_one_odd_event_costs_no_other(app, topic, reader):
    body = json.loads((PAYLOADS / ALERTMANAGER).read_bytes())
    body["alerts"] = [None, {"labels": 5}, *body["alerts"], {"fingerprint": "f", "status": "odd"}]

    answer = post_body(app, "alertmanager", body, topic)
    app.settle()

    assert answer.status == 202
    ignored = [each for each in answer.json()["events"] if "ignored" in each]
    assert len(ignored) == 3
    assert "odd" in ignored[2]["ignored"]
    assert told(app) == {("new", reader): 1}


def test_what_flaps_is_told_once(app, topic, reader):
    for number in range(10):
        for half, status in enumerate(("firing", "resolved")):
            said = generic(status, time=f"2026-03-01T12:00:{6 * number + 3 * half:02}Z")
            post_body(app, "generic", said, topic)
            if number == half == 0:
                app.settle()
    app.settle()

    assert told(app)["new", reader] == 1
    assert incident_of(app, topic)["state"] == "resolved"
    assert "resolved" in last_said(app, reader).lower()


@pytest.mark.parametrize("stop", ["cancel", "recall"])
def test_what_an_operator_has_ended_is_an_error_to_nobody_and_told_no_second_time(
    app, topic, reader, stop
):
    post(app, ALERTMANAGER, topic)
    app.settle()
    alert_id = incident_of(app, topic)["alertId"]
    wait_for_end(app, alert_id)
    if stop == "cancel":
        act(app, "POST", path_of(alert_id, "cancel"))
    else:
        act(app, "DELETE", path_of(alert_id))
    app.settle()

    answers = [post(app, each, topic) for each in (ALERTMANAGER, "alertmanager/resolved.json")]
    app.settle()

    assert {answer.status for answer in answers} == {202}
    assert told(app)["new", reader] == 1
    assert app.storage.take_poison(EVENTS) == []
    assert progress(app, alert_id)["status"] == ("done" if stop == "cancel" else "recalled")


def test_a_dry_run_says_what_would_be_done_and_does_nothing(app, topic, reader):
    def would(status, **said):
        [event] = post_body(app, "generic", generic(status, **said), topic, dryRun="true").json()[
            "events"
        ]
        return event["action"]

    before = would("firing"), would("resolved"), would("firing")
    app.settle()
    nothing = told(app)
    post_body(app, "generic", generic("firing"), topic)
    app.settle()

    assert before == ("alerted", "ignored", "alerted")
    assert nothing == {}
    assert (would("firing"), would("firing", text="More"), would("resolved")) == (
        "repeated",
        "edited",
        "edited",
    )
    assert told(app) == {("new", reader): 1}


def test_what_others_put_on_the_queue(app, topic, reader):
    event = {
        "id": "C234",
        "source": "/it",
        "specversion": "1.0",
        "type": topic,
        "sender": "other",
        "subject": "cloud",
        "expiresAt": "2000-01-01T00:00:00Z",
        "data": {"channelId": 7},
    }
    grid = {
        "id": "831e",
        "topic": "/it",
        "eventType": topic,
        "subject": "grid",
        "eventTime": "2026-03-01T12:00:00Z",
        "data": {},
        "dataVersion": "1",
    }
    message = {
        "sender": "generic",
        "query": {"interest": topic},
        "body": generic("firing", title="told"),
    }
    wrong = {"sender": "unheard-of", "body": {}}
    app.enqueue(
        EVENTS, event, [{**event, "id": "C235"}], grid, [{**grid, "id": "832"}], message, wrong
    )
    app.settle()

    assert told(app) == {("new", reader): 5}
    [poison] = app.storage.take_poison(EVENTS)
    assert poison["failure"]["code"] == "UnknownSender"
    assert poison["message"] == wrong


HOSTILE = (
    "Deploy ${{ matrix.os }} failed",
    "${name}",
    "[Sign in](https://evil.example)",
    "<at>x</at>",
    "x" * 300_000,
)


def test_what_a_sender_says_is_shown_as_it_is_written(app, topic, reader):
    texting = f"a:{new_user()}"
    app.remember(
        "slack",
        texting.removeprefix("a:"),
        conversation={"id": texting},
        preferences={"interests": [topic]},
    )
    for key, title in enumerate(HOSTILE):
        said = generic("firing", key=key, title=title, text=title, details={title: title})
        post_body(app, "generic", said, topic)
    app.settle()

    said = {(conversation_of(call), call.json.get("summary")): call.json for call in app.calls}
    texts = [each["text"] for (where, _), each in said.items() if where == texting]
    for title in HOSTILE:
        shown = title if len(title) <= 200 else f"{title[:199]}…"
        card = said[reader, f"Open: {shown}"]["attachments"][0]["content"]
        container, text, details = card["body"][:3]
        assert container["items"][1]["inlines"][0]["text"] == shown
        assert text["inlines"][0]["text"][:199] == shown[:199]
        assert [run["text"] for run in details["inlines"]] == [f"{shown}: ", shown]
        [plain] = [each for each in texts if each.startswith(f"Open: {shown}\n")]
        assert f"\n{shown}: {shown}\n" in plain
    assert {each["textFormat"] for (where, _), each in said.items() if where == texting} == {
        "plain"
    }


@pytest.mark.parametrize("shape", ["[]", '{"a":}'])
def test_what_is_nested_deeply_is_handled_or_refused(app, topic, shape):
    deep = shape[:-1] * 1000 + "1" + shape[-1] * 1000
    within = {
        "generic": json.dumps(generic("firing", text=0, details=0)),
        "alertmanager": (PAYLOADS / ALERTMANAGER).read_text(),
        "cloudevents": (PAYLOADS / "cloudevents/structured.json").read_text(),
    }
    bodies = [(sender, deep) for sender in SENDERS]
    for sender, body in within.items():
        for name in json.loads(body):
            holder = {**json.loads(body), name: "HERE"}
            bodies.append((sender, json.dumps(holder).replace('"HERE"', deep)))

    answers = [post_body(app, sender, body.encode(), topic) for sender, body in bodies]
    app.settle()

    assert {answer.status for answer in answers} <= {202, 400, 413}
    assert app.storage.take_poison(EVENTS) == []


def test_what_is_wrong_about_a_request(app, topic):
    def status_of(sender, body, **query):
        return post_body(app, sender, body, topic, ALERTMANAGER, **query).status

    assert status_of("unheard-of", {}) == 404
    assert status_of("generic", b"{") == 400
    assert status_of("generic", {"key": "k"}) == 400
    assert status_of("generic", generic("firing"), minSeverity="loud") == 400
    assert status_of("generic", generic("firing"), mistyped="1") == 400
    assert status_of("generic", b" " * (4 * 1024 * 1024 + 1)) == 413
    assert app.host.request("OPTIONS", "/api/events/generic").status == 405
    origin = {"WebHook-Request-Origin": "eventgrid.azure.net"}
    allowed = app.host.request("OPTIONS", "/api/events/event-grid", headers=origin)
    assert (allowed.status, allowed.headers["WebHook-Allowed-Origin"]) == (
        200,
        "eventgrid.azure.net",
    )
    put = app.host.request(
        "PUT",
        f"/api/events/grafana?interest={topic}",
        (PAYLOADS / "grafana/firing.json").read_bytes(),
    )
    assert put.status == 202


def test_only_who_signs_is_served(tmp_path, storage, connector, identity, topic):
    body = json.dumps(generic("firing")).encode()
    signature = f"sha256={hmac.digest(SECRET.encode(), body, 'sha256').hex()}"
    secrets = f"generic=old,generic={SECRET},grafana={SECRET},azure-monitor="
    with running_app(tmp_path / "app", storage, connector, identity, WebhookSecrets=secrets) as app:
        app.storage.empty(EVENTS)

        def status_of(sender, body, **headers):
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            return app.host.request(
                "POST", f"/api/events/{sender}?interest={topic}", body, names
            ).status

        def replayed_after(seconds):
            sent_at = str(int(time.time()) - seconds)
            signed = hmac.digest(SECRET.encode(), f"{sent_at}:".encode() + fired, "sha256").hex()
            return status_of(
                "grafana",
                fired,
                X_Grafana_Alerting_Signature=signed,
                X_Grafana_Alerting_Timestamp=sent_at,
            )

        fired = (PAYLOADS / "grafana/firing.json").read_bytes()
        refused = [
            status_of("generic", body),
            status_of("generic", body, X_Hub_Signature_256="sha256=00"),
            status_of("generic", body + b" ", X_Hub_Signature_256=signature),
            status_of("generic", b"{", X_Hub_Signature_256="odd"),
            status_of("github", body, X_Hub_Signature_256=signature),
            replayed_after(301),
        ]
        nothing = [each for each in incidents(app) if each["topic"] == topic]
        taken = status_of("generic", body, X_Hub_Signature_256=signature)
        app.settle()
        in_time = replayed_after(0)
        unsigned = status_of("azure-monitor", (PAYLOADS / "azure-monitor/firing.json").read_bytes())
        app.settle()

    assert refused == [401, 401, 401, 401, 404, 401]
    assert nothing == []
    assert (taken, in_time, unsigned) == (202, 202, 202)
