"""Our answer to who asks over HTTP what became of a message that was sent."""

import json

from benchmarks.contenders.as_in_azure import http_function, log_as_in_azure, queue_function
from benchmarks.contenders.worker import Send, SendAll, in_threads
from benchmarks.messages import CHANNEL_ID, activity, user_id

_DELIVERY_ID = "read-again-and-again"


def _status_read() -> Send:
    recipient = {"channelId": CHANNEL_ID, "userId": user_id(0)}
    body = {"recipient": recipient, "activity": activity("status", 0)}
    queue_function("SendActivityFromQueue")(json.dumps(body), _DELIVERY_ID)
    invoke = http_function("GetDelivery")

    def read(_batch: str, _user: int) -> None:
        invoke("GET", f"deliveries/{_DELIVERY_ID}", route_params={"id": _DELIVERY_ID})

    return read


def contender() -> SendAll:
    """Return what sends, once all that it needs is loaded."""
    log_as_in_azure()
    return in_threads(_status_read())
