"""Azurite: Azure Storage on this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.node import node_command
from local.processes import Process, running

ACCOUNT = "devstoreaccount1"
# Azurite's own, the same on every machine and in Microsoft's documentation.
ACCOUNT_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
# The Functions host calls for all three; the app itself uses queues and tables.
SERVICES = ("Blob", "Queue", "Table")


@dataclass(frozen=True)
class Azurite:
    """A running Azurite."""

    connection_string: str
    process: Process


@contextmanager
def azurite(*, log: Path) -> Iterator[Azurite]:
    """Run Azurite on free ports; what it stores is gone when it ends."""
    ports = [f"--{service.lower()}Port=0" for service in SERVICES]
    command = [
        *node_command("azurite/dist/src/azurite.js"),
        *("--silent", "--disableTelemetry", "--inMemoryPersistence"),
        # Else it refuses the versions that newer clients ask for.
        "--skipApiVersionCheck",
        *ports,
    ]
    with running("Azurite", command, log=log, folder=log.parent) as process:
        endpoints = [
            f"{service}Endpoint={process.wait_for_output(_listening(service))[1]}/{ACCOUNT}"
            for service in SERVICES
        ]
        account = [
            "DefaultEndpointsProtocol=http",
            f"AccountName={ACCOUNT}",
            f"AccountKey={ACCOUNT_KEY}",
        ]
        yield Azurite(";".join(account + endpoints), process)


def _listening(service: str) -> str:
    # The line is whole only with its end.
    return rf"Azurite {service} service is successfully listening at (\S+)\n"
