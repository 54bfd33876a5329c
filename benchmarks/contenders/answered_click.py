"""Our answer to a click on a card: an invoke at the messaging endpoint, its token checked."""

import json
import os

from benchmarks.contenders.as_in_azure import http_function, log_as_in_azure
from benchmarks.contenders.worker import Send, SendAll, in_threads
from benchmarks.messages import AUTHORIZATION, SERVICE_URL, click


def _answered_click() -> Send:
    invoke = http_function("ReceiveActivity")
    service_url = os.environ[SERVICE_URL]
    headers = {"Authorization": os.environ[AUTHORIZATION]}

    def answer(batch: str, user: int) -> None:
        body = json.dumps(click(batch, user, service_url)).encode()
        invoke("POST", "messages", headers=headers, body=body)

    return answer


def contender() -> SendAll:
    """Return what sends, once all that it needs is loaded."""
    log_as_in_azure()
    return in_threads(_answered_click())
