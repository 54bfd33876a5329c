import http.client
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests.flows.running_app import THREADS
from tests.support.connector import is_send, is_start


def test_messages_for_a_new_user_all_at_once_start_one_conversation(app, connector, user):
    texts = [f"message {number}" for number in range(100)]
    # A channel that takes any number of messages for one conversation at once.
    recipient = {"channelId": "slack", "userId": user}
    connector.block(when=is_start)

    app.enqueue(
        "send-activity",
        *({"recipient": recipient, "activity": {"text": text}} for text in texts),
    )
    connector.wait_for_waiting(1)
    connector.release()
    app.wait_for_calls(101)
    app.settle()

    assert sum(is_start(call) for call in app.calls) == 1
    assert Counter(call.json["text"] for call in app.calls if is_send(call)) == Counter(texts)
    assert app.storage.take_poison("send-activity") == []
    assert app.storage.take_poison("start-conversation") == []


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
