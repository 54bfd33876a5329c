"""No contender, but run like one: makes our account of each user, by the function for that."""

import json
import os

from benchmarks.contenders.as_in_azure import queue_function
from benchmarks.contenders.worker import Send, SendAll, in_threads
from benchmarks.messages import (
    BOT_ID,
    CHANNEL_ID,
    SERVICE_URL,
    TENANT_ID,
    conversation_id,
    user_id,
    user_name,
)


def _make_account() -> Send:
    invoke = queue_function("CacheAccountFromQueue")
    service_url = os.environ[SERVICE_URL]

    def make(batch: str, user: int) -> None:
        account = {
            "channelId": CHANNEL_ID,
            "userId": user_id(user),
            "name": user_name(user),
            "tenantId": TENANT_ID,
            "bot": {"id": BOT_ID, "name": "News"},
            "serviceUrl": service_url,
            "locale": "en-US",
            "conversation": {"id": conversation_id(user), "conversationType": "personal"},
        }
        invoke(json.dumps(account), f"account-{batch}-{user}")

    return make


def contender() -> SendAll:
    """Return what makes the accounts."""
    return in_threads(_make_account())
