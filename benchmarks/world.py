"""What the contenders work with: the stubs, and the settings that lead to them."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.messages import (
    APP_ID,
    AUTHORIZATION,
    QUEUED,
    SERVICE_URL,
    STORAGE,
    TENANT_ID,
    THREADS,
    delivered,
)
from benchmarks.stub_tables import StubTables
from local.azurite import ACCOUNT, ACCOUNT_KEY
from tests.support.connector import StubConnector, conversation_of
from tests.support.identity import StubIdentity
from tests.support.openid import StubOpenId, good_claims
from tests.support.queues import TAKE_ALL, StubQueues
from tests.support.stub_server import Answer, ReceivedRequest

# Of the machine's environment. Proxies and settings of an app are not for contenders.
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")
_STORED_IN = re.compile(r"/\w+/([\w-]+)(\(PartitionKey)?")


class NotDeliveredError(Exception):
    """Not every message was delivered exactly once to the right person."""


class _Connector(StubConnector):
    delay_seconds = 0.0

    def default_answer(self, request: ReceivedRequest) -> Answer:
        return replace(super().default_answer(request), after_seconds=self.delay_seconds)


@dataclass(frozen=True)
class World:
    """The stubs, and a folder for logs."""

    connector: _Connector
    identity: StubIdentity
    tables: StubTables
    queues: StubQueues
    openid: StubOpenId
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a contender."""
        service_url = f"{self.connector.url}/teams/"
        [signer] = self.openid.signers
        return {
            **{name: os.environ[name] for name in _KEPT if name in os.environ},
            **self.identity.environment,
            STORAGE: (
                f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};"
                f"TableEndpoint={self.tables.url}/{ACCOUNT};"
                f"QueueEndpoint={self.queues.url}/{ACCOUNT}"
            ),
            "MicrosoftAppType": "UserAssignedMSI",
            "MicrosoftAppId": APP_ID,
            "MicrosoftAppTenantId": TENANT_ID,
            "TrustedServiceUrls": self.connector.url,
            SERVICE_URL: service_url,
            "ToBotFromChannelOpenIdMetadataUrl": self.openid.metadata_url,
            AUTHORIZATION: f"Bearer {signer.sign(good_claims(APP_ID, service_url))}",
            QUEUED: f"{self.queues.url}{TAKE_ALL}",
            "PYTHON_THREADPOOL_THREAD_COUNT": str(THREADS),
            "PYDANTIC_DISABLE_PLUGINS": "__all__",
            # So high that it holds nothing back.
            "SendRatePerSecond": "100000",
        }

    def begin(self, delay_seconds: float = 0.0) -> None:
        """Forget what was asked so far; the Connector takes so long for an answer from now on."""
        for stub in (self.connector, self.identity, self.tables, self.queues):
            stub.forget()
        self.connector.delay_seconds = delay_seconds

    def storage_operations(self) -> Counter[str]:
        """What storage was asked, such as ``GET accounts`` or ``POST send-activity``."""
        return Counter(
            f"{'QUERY' if request.method == 'GET' and not found[2] else request.method} {found[1]}"
            for request in (*self.tables.requests, *self.queues.requests)
            if (found := _STORED_IN.match(request.path))
        )

    def require_delivered(self, batch: str, count: int) -> None:
        """Raise NotDeliveredError unless the Connector got each message of a batch once."""
        seen = Counter(
            f"{conversation_of(request)}#{request.json['text'].rpartition('#')[2]}"
            for request in self.connector.requests
            if request.headers["authorization"].startswith("Bearer ")
        )
        wanted = Counter(delivered(batch, user) for user in range(count))
        if seen != wanted:
            raise NotDeliveredError(
                f"Of {count} messages {(wanted - seen).total()} are missing, and "
                f"{(seen - wanted).total()} came that should not."
            )


@contextmanager
def running_world(folder: Path) -> Iterator[World]:
    """Run the stubs, on other processors than the programs started while the block lasts."""
    first, *others = range(os.cpu_count() or 1)
    _pin(others)
    with (
        _Connector() as connector,
        StubIdentity() as identity,
        StubTables() as tables,
        StubQueues() as queues,
        StubOpenId() as openid,
    ):
        # As long as a real one, which travels with every call.
        identity.padding = "x" * 1400
        _pin([first] if others else [])
        yield World(connector, identity, tables, queues, openid, folder)


def _pin(processors: list[int]) -> None:
    """Keep this thread, and the threads and programs that it starts, on these processors."""
    # Only Linux has it.
    affinity = getattr(os, "sched_setaffinity", None)
    if affinity is not None and processors:
        affinity(0, processors)
