"""Alerts, as those who send and follow them see them; and many people, quickly made known."""

import json
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from shared.accounts.account import Account, OneToOne
from shared.accounts.rows import to_properties
from shared.settings import StorageAccount
from shared.storage.clients import Storage
from shared.storage.encryption import new_key
from shared.storage.personal_keys import PersonalKey
from shared.storage.tables import Table, key_of
from shared.wire_models import ChannelAccount
from tests.flows.running_app import APP_ID, AppStorage, RunningApp
from tests.local.host_process import Answer
from tests.support.stub_server import ReceivedRequest
from tests.support.waiting import until

_THREADS = 16
ENDED_SECONDS = 900


def send_alert(app: RunningApp, **alert: Any) -> str:
    """Send an alert, to everybody unless told, and return its id."""
    to: dict[str, Any] = {} if "recipients" in alert else {"audience": {}}
    answer = app.post("/api/alerts", {"id": f"alert-{uuid4().hex}", **to, **alert})
    assert answer.status == 202, answer.body
    alert_id: str = answer.json()["id"]
    return alert_id


def path_of(alert_id: str, *parts: str) -> str:
    return "/".join(("/api/alerts", quote(alert_id, safe=""), *parts))


def progress(app: RunningApp, alert_id: str) -> dict[str, Any]:
    """How far an alert is."""
    answer = app.get(path_of(alert_id))
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json()
    return found


def wait_for_end(app: RunningApp, alert_id: str) -> dict[str, Any]:
    """Wait until an alert has ended, and return how."""
    until(lambda: "endedAt" in progress(app, alert_id), seconds=ENDED_SECONDS)
    return progress(app, alert_id)


def counts(progress: dict[str, Any]) -> dict[str, int]:
    """The counts that are not zero."""
    return {status: count for status, count in progress["counts"].items() if count}


def deliveries(app: RunningApp, alert_id: str, **query: str) -> list[dict[str, Any]]:
    """All deliveries of an alert, page by page."""
    found: list[dict[str, Any]] = []
    token: str | None = ""
    while token is not None:
        asked = {**query, **({"continuationToken": token} if token else {})}
        parameters = "&".join(f"{name}={quote(value)}" for name, value in asked.items())
        answer = app.get(f"{path_of(alert_id, 'deliveries')}?{parameters}")
        assert answer.status == 200, answer.body
        found += answer.json()["deliveries"]
        token = answer.json().get("continuationToken")
    return found


def act(app: RunningApp, method: str, path: str, body: object = None) -> Answer:
    content = b"" if body is None else json.dumps(body).encode()
    return app.host.request(method, path, content, {"Content-Type": "application/json"})


def told(calls: Iterable[ReceivedRequest]) -> Counter[tuple[str, str]]:
    """What was sent to which conversation, and how often."""
    return Counter(
        (call.json["conversation"]["id"], call.json["text"])
        for call in calls
        if call.method == "POST"
    )


def make_known(
    storage: AppStorage,
    accounts: Iterable[Account],
    *,
    app_id: str = APP_ID,
    with_keys: bool = False,
) -> None:
    """Have people be in the cache, without the app: many at a time.

    Without the rows of their keys, what is recorded of them cannot be read again.
    """
    tables = Storage(StorageAccount.from_connection_string(storage.connection_string), _THREADS)
    table, keys = Table(tables, "accounts"), Table(tables, "keys")

    def put(account: Account) -> None:
        partition_key = key_of(app_id, account.channel_id, account.user_id)
        row = {"PartitionKey": partition_key, "RowKey": "account", "appId": app_id}
        table.put({**row, **to_properties(account)})
        key = account.key
        if with_keys and key is not None:
            keys.put({"PartitionKey": key.id, "RowKey": "key", "value": key.value})

    with ThreadPoolExecutor(_THREADS) as threads:
        list(threads.map(put, accounts))


def person(channel_id: str, service_url: str, **known: Any) -> Account:
    """Somebody who has a conversation with the bot, ``chat-with-`` their id."""
    user_id = known.pop("user_id", f"29:{uuid4().hex}")
    return Account(
        channel_id=channel_id,
        user_id=user_id,
        service_url=service_url,
        bot=ChannelAccount(id=f"28:{APP_ID}"),
        conversation=OneToOne(f"chat-with-{user_id}"),
        key=PersonalKey(uuid4().hex, new_key()),
        **known,
    )
