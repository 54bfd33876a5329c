import http.client
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.flows.running_app import THREADS


@pytest.mark.soak
def test_a_thousand_sends_ask_for_one_token_over_few_connections(app, conversation_id):
    texts = [f"message {number}" for number in range(1000)]
    body = [json.dumps({"text": text}).encode() for text in texts]

    with ThreadPoolExecutor(2 * THREADS) as callers:
        parts = [body[caller :: 2 * THREADS] for caller in range(2 * THREADS)]
        answered = callers.map(lambda part: send_all(app, conversation_id, part), parts)
        statuses = Counter(status for part in answered for status in part)

    assert statuses == {201: 1000}
    assert Counter(call.json["text"] for call in app.calls) == Counter(texts)
    assert len(app.identity.requests) == 1
    assert {call.headers["Authorization"] for call in app.calls} == {"Bearer identity-token-1"}
    assert app.connector.connections <= THREADS


def send_all(app, conversation_id, bodies) -> list[int]:
    """Send over one connection, one after the other."""
    connection: http.client.HTTPConnection = app.host.connect()
    statuses = []
    for body in bodies:
        connection.request("POST", f"/api/conversations/{conversation_id}/activities", body)
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    connection.close()
    return statuses
