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


def run(invocations: list[dict[str, Any]], settings: dict[str, str]) -> dict[str, Any]:
    finished = subprocess.run(
        [sys.executable, "-m", "tests.worker.invoke"],
        input=json.dumps(invocations),
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    outcome: dict[str, Any] = json.loads(finished.stdout)
    return outcome


def test_the_worker_indexes_and_invokes_the_app(azurite: Azurite, connector: StubConnector):
    user_id = uuid4().hex
    settings = {
        "AzureWebJobsStorage": azurite.connection_string,
        "AZURE_FUNCTIONS_ENVIRONMENT": "Development",
        "DefaultServiceUrl": connector.url,
    }
    start = {"members": [{"id": user_id}]}
    send = {
        "recipient": {"channelId": "msteams", "userId": user_id},
        "activity": {"text": "Hello"},
    }

    outcome = run(
        [
            {"function": "CheckHealth", "http": {"method": "GET", "url": "http://x/api/health"}},
            {
                "function": "StartConversation",
                "http": {"method": "POST", "url": "http://x/api/conversations", "body": start},
            },
            {"function": "SendActivityFromQueue", "queue": json.dumps(send)},
        ],
        settings,
    )

    declared = {each.get_function_name() for each in app_functions()}
    assert set(outcome["functions"]) == declared
    health, started, sent = outcome["outcomes"]
    assert health == {"status": 200, "body": {"status": "ok"}}
    assert started["status"] == 201
    assert sent == {}
    assert connector.requests[-1].json["text"] == "Hello"
