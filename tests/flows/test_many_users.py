"""Many people at once."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from tests.flows.listening_app import ListeningApp
from tests.flows.people import message, post_all
from tests.flows.running_app import THREADS, new_user

pytestmark = pytest.mark.soak

USERS = 2000
PAGE_SIZE = 300


def all_listed(app: ListeningApp, **query: str) -> list[dict[str, Any]]:
    """All accounts that are listed, page by page."""
    asked = "".join(f"&{name}={quote(value)}" for name, value in query.items())
    page = app.get(f"/api/accounts?pageSize={PAGE_SIZE}{asked}").json()
    listed: list[dict[str, Any]] = page["accounts"]
    while token := page.get("continuationToken"):
        path = f"/api/accounts?pageSize={PAGE_SIZE}{asked}&continuationToken={quote(token)}"
        page = app.get(path).json()
        listed += page["accounts"]
    return listed


def test_everybody_who_writes_at_the_same_time_is_cached(app: ListeningApp):
    tenant = {"channelData": {"tenant": {"id": uuid4().hex}}}
    users = [new_user() for _ in range(USERS)]
    activities = [message(app, user, **tenant) for user in users]

    with ThreadPoolExecutor(THREADS) as callers:
        parts = [activities[caller::THREADS] for caller in range(THREADS)]
        answered = callers.map(lambda part: post_all(app, part), parts)
        statuses = Counter(status for part in answered for status in part)
    listed = all_listed(app, tenantId=tenant["channelData"]["tenant"]["id"])

    assert statuses == {200: USERS}
    assert Counter(account["userId"] for account in listed) == dict.fromkeys(users, 1)
    assert all(each["conversation"]["id"] == f"a:{each['userId']}" for each in listed)
    assert app.calls == []
    assert app.openid.key_reads == 1
