"""The app in the real worker library of Azure Functions, which exists for Python 3.13 and newer."""

import json
import os
import subprocess
import sys
from typing import Any
from uuid import uuid4

from local.azurite import Azurite
from tests.support.app import app_functions
from tests.support.connector import StubConnector
from tests.support.waiting import PATIENCE_SECONDS


def run(invocations: list[dict[str, Any]], settings: dict[str, str]) -> dict[str, Any]:
    finished = subprocess.run(
        [sys.executable, "-m", "tests.worker.invoke"],
        input=json.dumps(invocations),
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    outcome: dict[str, Any] = json.loads(finished.stdout)
    return outcome


def queued(function: str, message_id: str, body: dict[str, Any]) -> dict[str, Any]:
    told = {"id": message_id, "body": json.dumps(body), "insertedAt": "2026-11-22T10:00:00+00:00"}
    return {"function": function, "queue": told}


def get(function: str, path: str, **params: str) -> dict[str, Any]:
    call = {"method": "GET", "url": f"http://x/api/{path}", "params": params}
    return {"function": function, "http": call}


def test_the_worker_indexes_and_invokes_the_app(azurite: Azurite, connector: StubConnector):
    settings = {
        "AzureWebJobsStorage": azurite.connection_string,
        "AZURE_FUNCTIONS_ENVIRONMENT": "Development",
        "DefaultServiceUrl": connector.url,
    }
    user_id, order_id, nameless_id = uuid4().hex, uuid4().hex, uuid4().hex
    start = {"members": [{"id": user_id}]}
    sending = "SendActivityFromQueue"
    recipient = {"channelId": "msteams", "userId": user_id}
    send = {"id": order_id, "recipient": recipient, "activity": {"text": "Hello"}}
    wrong = {**send, "activity": {"text": 5}}
    nameless = {**send, "id": ""}
    # The host would take these for the queue's own, if the body were a text.
    of_itself = {
        "dequeueCount": "many",
        "insertionTime": "yesterday",
        "expirationTime": "tomorrow",
        "nextVisibleTime": "soon",
        "popReceipt": "paid",
    }

    outcome = run(
        [
            get("CheckHealth", "health"),
            {
                "function": "StartConversation",
                "http": {"method": "POST", "url": "http://x/api/conversations", "body": start},
            },
            queued("StartConversationFromQueue", uuid4().hex, {**start, **of_itself}),
            queued(sending, uuid4().hex, wrong),
            queued(sending, uuid4().hex, send),
            get("GetDelivery", "deliveries", id=order_id),
            queued(sending, nameless_id, nameless),
            get("GetDelivery", "deliveries", id=nameless_id),
        ],
        settings,
    )

    declared = {each.get_function_name() for each in app_functions()}
    assert set(outcome["functions"]) == declared
    health, started, *from_queues, put_right, _, refused = outcome["outcomes"]
    assert health == {"status": 200, "body": {"status": "ok"}}
    assert started["status"] == 201
    assert from_queues == [{}, {}, {}]
    assert put_right["body"]["status"] == "sent"
    assert connector.requests[-1].json["text"] == "Hello"
    assert refused["body"]["code"] == "InvalidRequest"
