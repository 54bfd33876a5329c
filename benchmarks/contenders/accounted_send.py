"""Our whole invocation for a message of the queue: paced, claimed, sent, recorded."""

import json

from benchmarks.contenders.as_in_azure import log_as_in_azure, queue_function
from benchmarks.contenders.worker import Send, SendAll, in_threads
from benchmarks.messages import CHANNEL_ID, activity, user_id


def _accounted_send() -> Send:
    invoke = queue_function("SendActivityFromQueue")

    def send(batch: str, user: int) -> None:
        body = {
            "recipient": {"channelId": CHANNEL_ID, "userId": user_id(user)},
            "activity": activity(batch, user),
        }
        invoke(json.dumps(body), f"{batch}-{user}")

    return send


def contender() -> SendAll:
    """Return what sends, once all that it needs is loaded."""
    log_as_in_azure()
    return in_threads(_accounted_send())
