"""A request only reads what came, and puts it on the queue, however much that is."""

import json
import re
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ReceiveEvent.triggers import receive_event_http
from shared.messages.envelope import BODY
from shared.messages.queue_names import RECEIVE_EVENT
from tests.support.builders import answer_of, http_request

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
    "a group of 2,000": ("alertmanager", [{"alerts": [*map(alert, range(2_000))]}], {}, 40),
    "a batch of 5,000": ("cloudevents", [[*map(cloudevent, range(5_000))]], BATCH, 100),
    "500 at once": ("alertmanager", [{"alerts": [alert(n)]} for n in range(500)], {}, 500),
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
    began = time.monotonic()
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(post, bodies))
    sys.stdout.write(f"{many} took {time.monotonic() - began:.1f} s\n")

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
