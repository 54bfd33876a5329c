"""The app in its local host, on real storage, with the Connector and the identity played."""

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableServiceClient
from azure.storage.queue import QueueServiceClient

from tests.local.host_process import PROJECT, Answer, HostProcess, write_app
from tests.support.connector import StubConnector
from tests.support.identity import StubIdentity
from tests.support.stub_server import ReceivedRequest
from tests.support.waiting import PATIENCE_SECONDS, until

APP_ID = "5a4b3c2d-0000-4000-8000-00000000b070"
TENANT_ID = "5a4b3c2d-0000-4000-8000-000000007e7a"
THREADS = 16

SENDING = "send-activity"
QUEUES = (
    "receive-event",
    "start-conversation",
    SENDING,
    "cache-account",
    "send-alert",
    "update-activity",
    "delete-activity",
)
# Of these a row is written whatever becomes of a call or of a message.
NOTES = ("bodies", "deliveries", "failures", "keys", "lanes")


class AppStorage:
    """The tables and queues of the app, as whoever feeds it or looks after it sees them."""

    def __init__(self, connection_string: str) -> None:
        self.connection_string = connection_string
        self._tables = TableServiceClient.from_connection_string(connection_string)
        self._queues = QueueServiceClient.from_connection_string(connection_string)

    def clear(self) -> None:
        """Delete all tables and queues, so that the app has to make its own."""
        for table in self._tables.list_tables():
            self._tables.delete_table(table.name)
        for queue in self._queues.list_queues():
            self._queues.delete_queue(queue)

    def close(self) -> None:
        self._tables.close()
        self._queues.close()

    def make_queue(self, queue: str) -> None:
        self._queues.create_queue(queue)

    def put_row(self, table: str, row: Mapping[str, Any]) -> None:
        """Put a row into a table, as it is."""
        self._tables.create_table_if_not_exists(table).upsert_entity(dict(row))

    def put(self, queue: str, *messages: object) -> None:
        """Put messages on a queue as Base64: bytes as they are, anything else as JSON."""
        client = self._queues.get_queue_client(queue)
        for message in messages:
            content = message if isinstance(message, bytes) else json.dumps(message).encode()
            client.send_message(base64.b64encode(content).decode())

    def is_drained(self) -> bool:
        """Whether no message is left on any queue, waiting or being worked on; poison aside."""
        # A message may go from sending to starting and back while we look, so we look there twice.
        return not any(self.length(queue) for queue in (SENDING, *QUEUES))

    def take_poison(self, queue: str) -> list[Any]:
        """Take all messages from the poison queue that belongs to a queue."""
        return self.take(f"{queue}-poison")

    def take(self, queue: str) -> list[Any]:
        """Take all messages from a queue."""
        client = self._queues.get_queue_client(queue)
        taken = []
        try:
            for message in client.receive_messages(messages_per_page=32):
                taken.append(json.loads(base64.b64decode(message.content)))
                client.delete_message(message)
        except ResourceNotFoundError:
            return []
        return taken

    def rows(self) -> dict[tuple[str, str, str], str | None]:
        """The versions of all rows, by table and key, but for what is noted of each call."""
        return {
            (table.name, row["PartitionKey"], row["RowKey"]): row.metadata["etag"]
            for table in self._tables.list_tables()
            if table.name not in NOTES
            for row in self._tables.get_table_client(table.name).list_entities()
        }

    def dump(self) -> str:
        """All that stands in all tables and queues, poison aside, for who looks for traces."""
        kept: list[object] = []
        for table in self._tables.list_tables():
            kept += self._tables.get_table_client(table.name).list_entities()
        for queue in self._queues.list_queues():
            if not queue.name.endswith("-poison"):
                waiting = self._queues.get_queue_client(queue.name).peek_messages(32)
                kept += [base64.b64decode(each.content).decode() for each in waiting]
        return "\n".join(map(str, kept))

    def empty(self, queue: str) -> None:
        """Throw all messages of a queue away, those that are hidden too."""
        self._queues.get_queue_client(queue).clear_messages()

    def length(self, queue: str) -> int:
        """How many messages are on a queue, those that are being worked on included."""
        client = self._queues.get_queue_client(queue)
        return client.get_queue_properties().approximate_message_count or 0

    def let_leases_run_out(self) -> None:
        """Have the time of all leases, and of all claims on deliveries, be over."""
        for name in ("leases", "deliveries"):
            table = self._tables.get_table_client(name)
            for row in table.list_entities():
                if "until" in row:
                    row["until"] = datetime.now(UTC)
                    table.update_entity(row)


class RunningApp:
    """The app as its callers see it, and what it asks of others meanwhile."""

    def __init__(
        self,
        host: HostProcess,
        storage: AppStorage,
        connector: StubConnector,
        identity: StubIdentity,
    ) -> None:
        self.host = host
        self.storage = storage
        self.connector = connector
        self.identity = identity
        self._earlier_calls = 0
        self._earlier_token_requests = 0

    def begin(self) -> None:
        """Count calls from here on."""
        self._earlier_calls = len(self.connector.requests)
        self._earlier_token_requests = len(self.identity.requests)

    @property
    def calls(self) -> list[ReceivedRequest]:
        """What the Connector was asked since the test began."""
        return self.connector.requests[self._earlier_calls :]

    @property
    def token_requests(self) -> list[ReceivedRequest]:
        """What the managed identity was asked since the test began."""
        return self.identity.requests[self._earlier_token_requests :]

    def wait_for_calls(self, count: int) -> list[ReceivedRequest]:
        """Wait until the Connector was called so often since the test began."""
        return self.connector.wait_for(self._earlier_calls + count)[self._earlier_calls :]

    def get(self, path: str) -> Answer:
        return self.host.get(path)

    def post(self, path: str, body: object) -> Answer:
        return self._request("POST", path, body)

    def put(self, path: str, body: object) -> Answer:
        return self._request("PUT", path, body)

    def start(self, **body: Any) -> Answer:
        return self.post("/api/conversations", body)

    def send(self, conversation_id: str, **activity: Any) -> Answer:
        """Send to a conversation whose id needs no encoding."""
        return self.post(f"/api/conversations/{conversation_id}/activities", activity)

    def remember(self, channel_id: str, user_id: str, **account: Any) -> None:
        """Cache an account as a bot does that lives elsewhere; unless told, on the Connector."""
        told = {"bot": {"id": f"28:{APP_ID}"}, "serviceUrl": self.connector.url, **account}
        answer = self.put(f"/api/accounts/{channel_id}/{quote(user_id, safe='')}", told)
        assert answer.status == 201, answer.body

    def enqueue(self, queue: str, *messages: object) -> None:
        self.storage.put(queue, *messages)

    def delivery(self, delivery_id: str) -> dict[str, Any]:
        """What became of a message."""
        answer = self.get(f"/api/deliveries/{quote(delivery_id, safe='')}")
        assert answer.status == 200, answer.body
        delivery: dict[str, Any] = answer.json()
        return delivery

    def account(self, channel_id: str, user_id: str) -> dict[str, Any]:
        """What is cached of a person."""
        answer = self.get(f"/api/accounts/{channel_id}/{quote(user_id, safe='')}")
        assert answer.status == 200, answer.body
        account: dict[str, Any] = answer.json()
        return account

    def settle(self) -> None:
        """Wait until all that is on the queues is done, or poison."""
        until(self.storage.is_drained, seconds=3 * PATIENCE_SECONDS)

    def _request(self, method: str, path: str, body: object) -> Answer:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.host.request(method, path, content, {"Content-Type": "application/json"})


def new_user() -> str:
    """The id of a user of Teams whom nobody has heard of."""
    return f"29:{uuid4().hex}"


def new_tenant() -> str:
    """The id of a tenant of its own: what is throttled or paused there holds up nobody else."""
    return str(uuid4())


# Who backs off waits for a random time. Always the shortest: as may be in Azure, if seldom. What
# the app does once an hour is left out: it would be among what a test counts at that minute.
HURRY = """
import os, random
from local.timer import Timer
Timer.start = lambda self: None
if "WAITS_AS_IN_AZURE" not in os.environ:
    random.uniform = lambda least, most: least
"""
AS_IN_AZURE = {"WAITS_AS_IN_AZURE": "true"}


def app_folder(folder: Path, *, waits_as_in_azure: bool = False) -> Path:
    """Write the app's own function_app.py and host.json, in which a queue does not wait as long."""
    source = (PROJECT / "function_app.py").read_text()
    host_json = json.loads((PROJECT / "host.json").read_text())
    queues = host_json["extensions"]["queues"]
    if not waits_as_in_azure:
        queues["maxPollingInterval"] = "00:00:00.2"
    queues["visibilityTimeout"] = "00:00:05"
    return write_app(folder, HURRY + source, host_json)


def settings(
    storage: AppStorage, connector: StubConnector, identity: StubIdentity
) -> Mapping[str, str]:
    """The app settings of a bot with a managed identity, as in Azure."""
    return {
        "AzureWebJobsStorage": storage.connection_string,
        "MicrosoftAppType": "UserAssignedMSI",
        "MicrosoftAppId": APP_ID,
        "MicrosoftAppTenantId": TENANT_ID,
        "TrustedServiceUrls": connector.url,
        "DefaultServiceUrl": f"{connector.url}/teams/",
        "PYTHON_THREADPOOL_THREAD_COUNT": str(THREADS),
        # A call may wait at the stub's gate for as long as a test takes to get everything ready.
        "ConnectorTimeoutSeconds": "60",
        # Replies to those who write would be calls among those that are looked at.
        "AnswersPeople": "false",
        # Faster than any test, so that nothing waits where pacing is not the subject.
        "SendRatePerSecond": "2000",
        **identity.environment,
    }


@contextmanager
def running_app(
    folder: Path,
    storage: AppStorage,
    connector: StubConnector,
    identity: StubIdentity,
    *options: str,
    **changes: str,
) -> Iterator[RunningApp]:
    """Run the app; `changes` are settings other than those of `settings`."""
    values = {**settings(storage, connector, identity), **changes}
    source = app_folder(folder, waits_as_in_azure=AS_IN_AZURE.items() <= values.items())
    with HostProcess(source, *options, **values) as host:
        yield RunningApp(host, storage, connector, identity)


@contextmanager
def running_apps(
    folder: Path,
    storage: AppStorage,
    connector: StubConnector,
    identity: StubIdentity,
    *,
    hosts: int,
    threads: int,
    rate: int,
) -> Iterator[list[RunningApp]]:
    """Run the app on several hosts, which wait as in Azure, at one pace for all of them."""
    changes = {
        "SendRatePerSecond": str(rate),
        "PYTHON_THREADPOOL_THREAD_COUNT": str(threads),
        **AS_IN_AZURE,
    }
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                running_app(folder / f"app-{host}", storage, connector, identity, **changes)
            )
            for host in range(hosts)
        ]
