"""What the contenders work with: the stubs, running, and the settings that lead to them."""

import json
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.messages import (
    APP_ID,
    QUEUED,
    SERVICE_URL,
    STORAGE,
    TENANT_ID,
    THREADS,
    delivered,
)
from benchmarks.stubs.queues import MESSAGES
from benchmarks.stubs.server import CONTROL
from benchmarks.workers import plain_environment
from local.azurite import ACCOUNT, ACCOUNT_KEY
from local.processes import running

# Nothing that is measured asks for less. A proxy of the machine's own is not for loopback.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class NotDeliveredError(Exception):
    """Not every message was delivered exactly once, to whom it was for."""


@dataclass(frozen=True)
class RunningStub:
    """A stub in its process, as seen from here."""

    url: str

    def tell(self) -> dict[str, Any]:
        """Return what it has seen since it was last ordered."""
        return self._ask(None)

    def order(self, **orders: float) -> None:
        """Have it forget what it has seen, and do from here on as is told."""
        self._ask(json.dumps(orders).encode())

    def _ask(self, content: bytes | None) -> dict[str, Any]:
        with _opener.open(f"{self.url}{CONTROL}", content, timeout=10) as answer:
            seen: dict[str, Any] = json.load(answer)
        return seen


@dataclass(frozen=True)
class World:
    """The stubs, and a folder for logs."""

    connector: RunningStub
    identity: RunningStub
    tables: RunningStub
    queues: RunningStub
    folder: Path

    @property
    def stubs(self) -> Mapping[str, RunningStub]:
        """All of them, by name."""
        return {
            "connector": self.connector,
            "identity": self.identity,
            "tables": self.tables,
            "queues": self.queues,
        }

    def environment(self, storage: str | None = None, **changes: str) -> dict[str, str]:
        """Return the environment of whoever sends; ``storage`` in place of its stubs."""
        return {
            **plain_environment(),
            STORAGE: storage or self._storage,
            "MicrosoftAppType": "UserAssignedMSI",
            "MicrosoftAppId": APP_ID,
            "MicrosoftAppTenantId": TENANT_ID,
            "TrustedServiceUrls": self.connector.url,
            SERVICE_URL: f"{self.connector.url}/teams/",
            QUEUED: f"{self.queues.url}{MESSAGES}",
            "PYTHON_THREADPOOL_THREAD_COUNT": str(THREADS),
            # As fast as it goes: nothing but the pace itself is measured with one.
            "SendRatePerSecond": "100000",
            "IDENTITY_ENDPOINT": f"{self.identity.url}/msi/token",
            "IDENTITY_HEADER": "identity-header-secret",
            **changes,
        }

    def order(self, **orders: float) -> None:
        """Have all stubs forget what they have seen; the Connector does as is told."""
        self.identity.order()
        self.tables.order()
        self.queues.order()
        self.connector.order(**orders)

    def require_delivered(self, batch: str, count: int) -> None:
        """Raise NotDeliveredError unless the Connector got each message of a batch once."""
        seen = Counter(self.connector.tell()["delivered"])
        wanted = Counter(delivered(batch, user) for user in range(count))
        if seen != wanted:
            raise NotDeliveredError(
                f"Of {count} messages {(wanted - seen).total()} are missing, and "
                f"{(seen - wanted).total()} came that should not."
            )

    @property
    def _storage(self) -> str:
        return (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};"
            f"TableEndpoint={self.tables.url}/{ACCOUNT};"
            f"QueueEndpoint={self.queues.url}/{ACCOUNT}"
        )


@contextmanager
def running_world(folder: Path) -> Iterator[World]:
    """Run the stubs for as long as the block lasts."""
    with ExitStack() as stack:

        def stub(name: str) -> RunningStub:
            process = stack.enter_context(
                running(
                    f"The stub {name}",
                    [sys.executable, "-m", "benchmarks.stubs", name],
                    log=folder / f"{name}.log",
                )
            )
            port = process.wait_for_output(r"Listening on port (\d+)\.\n")[1]
            return RunningStub(f"http://127.0.0.1:{port}")

        yield World(stub("connector"), stub("identity"), stub("tables"), stub("queues"), folder)
