"""One running app for each module of tests, on storage that is empty at first."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.azurite import Azurite
from tests.flows.listening_app import ListeningApp, listening_app
from tests.flows.running_app import QUEUES, AppStorage, new_tenant, new_user
from tests.support.connector import StubConnector
from tests.support.identity import StubIdentity


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("flows") / "app"


@pytest.fixture(scope="module")
def storage(azurite: Azurite) -> Iterator[AppStorage]:
    storage = AppStorage(azurite.connection_string)
    storage.clear()
    for queue in QUEUES:
        storage.make_queue(queue)
    yield storage
    storage.clear()
    storage.close()


@pytest.fixture(scope="module")
def connector() -> Iterator[StubConnector]:
    with StubConnector() as connector:
        yield connector


@pytest.fixture(scope="module")
def identity() -> Iterator[StubIdentity]:
    with StubIdentity() as identity:
        yield identity


@pytest.fixture(scope="module")
def module_app(
    folder: Path, storage: AppStorage, connector: StubConnector, identity: StubIdentity
) -> Iterator[ListeningApp]:
    with listening_app(folder, storage, connector, identity) as app:
        yield app


@pytest.fixture
def app(module_app: ListeningApp) -> ListeningApp:
    module_app.begin()
    return module_app


@pytest.fixture
def user() -> str:
    return new_user()


@pytest.fixture
def conversation_id(app: ListeningApp, user: str) -> str:
    """The id of the user's conversation with the bot, which the app knows."""
    conversation_id = f"a:{user}"
    app.remember("msteams", user, tenantId=new_tenant(), conversation={"id": conversation_id})
    return conversation_id
