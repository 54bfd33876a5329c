"""`python -m benchmarks.stubs NAME`: plays one service."""

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress

from benchmarks.pinning import SERVED, pin
from benchmarks.stubs.connector import Connector
from benchmarks.stubs.identity import Identity
from benchmarks.stubs.queues import AppQueues
from benchmarks.stubs.server import Stub, serve
from benchmarks.stubs.tables import Tables

_STUBS: dict[str, Callable[[], Stub]] = {
    "connector": Connector,
    "identity": Identity,
    "queues": AppQueues,
    "tables": Tables,
}

if __name__ == "__main__":
    pin(SERVED)
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(_STUBS[sys.argv[1]]()))
