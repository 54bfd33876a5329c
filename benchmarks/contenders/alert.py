"""Our alert to everybody who has an account, from the message that asks for it to its end.

What it puts on queues is handed to our invocations for that: first what is to be sent, then the
next step of the alert. In Azure the Functions host does that; here it costs next to nothing.
"""

import json
import os
from typing import Any

import requests

from benchmarks.contenders.as_in_azure import log_as_in_azure, queue_function
from benchmarks.contenders.worker import Send, SendAll, in_threads
from benchmarks.messages import QUEUED, activity_for_all, alert_id

_Messages = list[tuple[str, str]]


def alert_to_everybody(**asked: Any) -> SendAll:
    """Return what sends, once all that it needs is loaded; ``asked`` is what the alert asks."""
    log_as_in_azure()
    send = queue_function("SendActivityFromQueue")
    step = queue_function("SendAlertFromQueue")

    def one_of(messages: _Messages) -> Send:
        return lambda _batch, number: send(*messages[number])

    def send_all(batch: str, _count: int) -> None:
        alert = {"id": alert_id(batch), "audience": {}, "activity": activity_for_all(batch)}
        step(json.dumps(alert | asked), batch)
        while queued := _queued():
            sends = queued.get("send-activity", [])
            in_threads(one_of(sends))(batch, len(sends))
            for text, message_id in queued.get("send-alert", []):
                step(text, message_id)

    return send_all


def contender() -> SendAll:
    """Return what sends, once all that it needs is loaded."""
    return alert_to_everybody()


def _queued() -> dict[str, _Messages]:
    """Return the texts and ids of the messages on each queue, which are there no longer then."""
    queued: dict[str, _Messages] = requests.get(os.environ[QUEUED], timeout=10).json()
    return queued
