"""Our change of an account that is cached, over HTTP: read, and written with other interests."""

import json

from benchmarks.contenders.as_in_azure import http_function, log_as_in_azure
from benchmarks.contenders.worker import Send, SendAll, in_threads
from benchmarks.messages import CHANNEL_ID, user_id


def _cached_account() -> Send:
    invoke = http_function("CacheAccount")

    def cache(batch: str, user: int) -> None:
        route = {"channelId": CHANNEL_ID, "userId": user_id(user)}
        body = json.dumps({"preferences": {"interests": [batch]}}).encode()
        invoke("PUT", f"accounts/{CHANNEL_ID}/{user}", route_params=route, body=body)

    return cache


def contender() -> SendAll:
    """Return what sends, once all that it needs is loaded."""
    log_as_in_azure()
    return in_threads(_cached_account())
