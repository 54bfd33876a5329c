"""A request only reads what came, and puts it on the queue, however much that is."""

import hmac
import json
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ReceiveEvent.triggers import receive_event_from_queue, receive_event_http
from shared import wiring
from shared.messages.envelope import BODY
from shared.messages.queue_names import RECEIVE_EVENT, SEND_ALERT
from tests.support.builders import answer_of, http_request, invocation, queue_message

BATCH = {"Content-Type": "application/cloudevents-batch+json"}


def alert(number: int, **said: Any) -> dict[str, Any]:
    """An alert of Alertmanager, as long as they are."""
    names = {"alertname": "HighMemoryLoad", "instance": f"web-{number}:9100", "team": "billing"}
    annotations = {"summary": f"Memory above 90% on web-{number}", "description": "x" * 300}
    starts = {"startsAt": "2026-03-01T12:00:00Z", "fingerprint": f"{number}"}
    return {"status": "firing", "labels": names, "annotations": annotations, **starts, **said}


def cloudevent(number: int) -> dict[str, Any]:
    return {"specversion": "1.0", "id": f"{number}", "source": "/s", "type": "t"}


MANY: dict[str, tuple[str, list[Any], dict[str, str], int]] = {
    # The sender, its bodies, their headers, and how many messages hold what they say.
    "a group of 500": ("alertmanager", [{"alerts": [*map(alert, range(500))]}], {}, 10),
    "a batch of 1,001": ("cloudevents", [[*map(cloudevent, range(1_001))]], BATCH, 21),
    "50 at once": ("alertmanager", [{"alerts": [alert(n)]} for n in range(50)], {}, 50),
}


@pytest.mark.parametrize("many", MANY)
def test_all_is_on_the_queue_fifty_a_message_and_storage_is_asked_for_nothing_else(
    deployed, queue_reader, storage_calls, many
):
    sender, bodies, headers, messages = MANY[many]
    queue = queue_reader(RECEIVE_EVENT)

    def post(body: object) -> tuple[int, Any]:
        asked = http_request("POST", body, route={"sender": sender}, headers=headers)
        return answer_of(receive_event_http(asked))

    # This makes the tables and the queue.
    assert post(bodies[0] if len(bodies) == 1 else bodies[-1])[0] == 202
    queue.clear()
    storage_calls()
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(post, bodies))

    asked = Counter(re.split(r"[?(]", call)[0] for call in storage_calls())
    put = queue.take()
    kept = [message[BODY] for message in put if BODY in message]
    said = [message for message in put if BODY not in message]
    said += [json.loads(deployed.queues.large_values.fetch(key) or "") for key in kept]
    told = Counter(event["key"] for message in said for event in message["events"])
    assert {status for status, _ in answers} == {202}
    assert told == Counter(each["key"] for _, answer in answers for each in answer["events"])
    assert set(told.values()) == {1}
    assert len(put) == asked.pop(f"POST /{RECEIVE_EVENT}/messages") == messages
    # What is too long for a message is kept aside, in two parts at most.
    assert asked.pop("PUT /bodies", 0) <= 2 * len(kept)
    assert asked == {}


# One event

FIRING = {"key": "k", "status": "firing", "title": "Disk full", "topic": "disks"}


def ask(sender: str, body: object, query: str = "", **headers: str) -> tuple[int, Any]:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    request = http_request("POST", body, route={"sender": sender}, headers=names, query=query)
    return answer_of(receive_event_http(request))


@pytest.mark.parametrize(
    ("sender", "body", "query", "refusal"),
    [
        ("unheard-of", {}, "", (404, "UnknownSender")),
        ("generic", b"{", "", (400, "InvalidRequest")),
        ("generic", {"key": "k"}, "", (400, "InvalidRequest")),
        ("generic", FIRING, "minSeverity=loud", (400, "InvalidRequest")),
        ("generic", FIRING, "mistyped=1", (400, "InvalidRequest")),
        ("generic", b" " * (4 * 1024 * 1024 + 1), "", (413, "InvalidRequest")),
    ],
    ids=["sender", "no JSON", "body", "query", "name in the query", "size"],
)
def test_what_is_wrong_is_told_and_nothing_queued(
    deployed, queue_reader, sender, body, query, refusal
):
    queue = queue_reader(RECEIVE_EVENT)
    queue.clear()

    status, problem = ask(sender, body, query)

    assert (status, problem["code"]) == refusal
    assert queue.count() == 0


def test_who_asks_whether_it_may_send_is_told_so_where_its_kind_asks(deployed):
    headers = {"WebHook-Request-Origin": "eventgrid.azure.net"}
    answers = [
        receive_event_http(http_request("OPTIONS", route={"sender": each}, headers=headers))
        for each in ("event-grid", "generic")
    ]

    assert [each.status_code for each in answers] == [200, 405]
    assert answers[0].headers["WebHook-Allowed-Origin"] == "eventgrid.azure.net"


def test_only_who_signs_is_served(deployed, queue_reader, monkeypatch):
    monkeypatch.setenv("WebhookSecrets", "generic=old,generic=new,azure-monitor=")
    monkeypatch.setattr(wiring, "_services", None)
    queue = queue_reader(RECEIVE_EVENT)
    queue.clear()
    body = json.dumps(FIRING).encode()
    signature = f"sha256={hmac.digest(b'new', body, 'sha256').hex()}"

    refused = [
        ask("generic", body)[0],
        ask("generic", body + b" ", X_Hub_Signature_256=signature)[0],
        # Whoever does not sign is not even told that this is no JSON.
        ask("generic", b"{", X_Hub_Signature_256="odd")[0],
        ask("github", body, X_Hub_Signature_256=signature)[0],
    ]

    assert refused == [401, 401, 401, 404]
    assert queue.count() == 0
    assert ask("generic", body, X_Hub_Signature_256=signature)[0] == 202


def test_a_dry_run_says_what_would_be_done_and_does_nothing(deployed, queue_reader):
    events, alerts = queue_reader(RECEIVE_EVENT), queue_reader(SEND_ALERT)
    events.clear()
    alerts.clear()
    more, over = {**FIRING, "text": "More"}, {**FIRING, "status": "resolved"}

    def would_be_done(*bodies: dict[str, str]) -> list[str]:
        answers = [ask("generic", each, "dryRun=true") for each in bodies]
        assert {status for status, _ in answers} == {200}
        return [event["action"] for _, answer in answers for event in answer["events"]]

    assert would_be_done(FIRING, over, FIRING) == ["alerted", "ignored", "alerted"]
    assert events.count() == alerts.count() == 0
    ask("generic", FIRING)
    for message in events.take():
        receive_event_from_queue(queue_message(message), invocation())
    assert alerts.count() == 1
    assert would_be_done(FIRING, more, over) == ["repeated", "edited", "edited"]
    assert alerts.count() == 1
