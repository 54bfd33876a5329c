"""Fixtures that several test packages share."""

import json
import logging
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from local.azurite import Azurite
from local.azurite import azurite as run_azurite
from shared import wiring
from shared.settings import Settings
from shared.wiring import Services
from tests.infra.templates import find_compiler
from tests.support.builders import TENANT_ID, QueueReader
from tests.support.certificates import Certificates
from tests.support.connector import StubConnector
from tests.support.identity import StubIdentity
from tests.support.login import StubLogin

_HAS_WORKER_LIBRARY = sys.version_info >= (3, 13)

collect_ignore = [] if _HAS_WORKER_LIBRARY else ["worker/test_real_worker.py"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _HAS_WORKER_LIBRARY:
        terminalreporter.write_line(
            "NOT RUN: the app in the real worker library, which needs Python 3.13. "
            "`make test PYTHON=python3.13` runs it."
        )
    if find_compiler() is None:
        terminalreporter.write_line(
            "NOT RUN: the Bicep compiler on infra/. `az bicep install` gets one; BICEP=… names one."
        )


@pytest.fixture
def connector() -> Iterator[StubConnector]:
    with StubConnector() as connector:
        yield connector


@pytest.fixture
def identity() -> Iterator[StubIdentity]:
    with StubIdentity() as identity:
        yield identity


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def login(certificates: Certificates) -> Iterator[StubLogin]:
    with StubLogin(certificates) as login:
        yield login


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """Storage that all tests share: each test chooses names of its own in it."""
    with run_azurite(log=tmp_path_factory.mktemp("azurite") / "azurite.log") as azurite:
        yield azurite


@pytest.fixture
def app_settings(azurite, connector, identity, monkeypatch) -> dict[str, str]:
    """The settings of a bot with a managed identity: a bot of its own for each test."""
    for name, value in identity.environment.items():
        monkeypatch.setenv(name, value)
    return {
        "AzureWebJobsStorage": azurite.connection_string,
        "MicrosoftAppId": str(uuid4()),
        "MicrosoftAppTenantId": TENANT_ID,
        "TrustedServiceUrls": connector.url,
        "DefaultServiceUrl": f"{connector.url}/teams/",
        "PYTHON_THREADPOOL_THREAD_COUNT": "8",
    }


@pytest.fixture
def services(app_settings) -> Services:
    """What the functions of that bot work with."""
    return Services.of(Settings.from_environment(app_settings))


@pytest.fixture
def deployed(app_settings, monkeypatch) -> Services:
    """The same, found by the triggers as in Azure: by the environment, which has nothing else."""
    example = json.loads(Path("local.settings.example.json").read_text())
    for name in example["Values"]:
        monkeypatch.delenv(name, raising=False)
    for name, value in app_settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(wiring, "_services", None)
    return wiring.services()


@pytest.fixture
def queue_reader(azurite) -> Iterator[Callable[[str], QueueReader]]:
    """Opens a queue at its other end; what is left on it does not outlive the test."""
    readers: list[QueueReader] = []

    def read(name: str) -> QueueReader:
        readers.append(QueueReader(azurite.connection_string, name))
        return readers[-1]

    yield read
    for reader in readers:
        reader.clear()
        reader.close()


@pytest.fixture
def storage_calls(caplog) -> Callable[[], list[str]]:
    """Tells what storage was asked since it was last told, such as ``GET /accounts(...)``."""
    caplog.set_level(logging.DEBUG, "urllib3.connectionpool")

    def tell() -> list[str]:
        calls = [
            f"{match[1]} {match[2]}"
            for message in caplog.messages
            if (match := re.search(r'"([A-Z]+) /devstoreaccount1(\S+) HTTP', message))
        ]
        caplog.clear()
        return calls

    return tell
