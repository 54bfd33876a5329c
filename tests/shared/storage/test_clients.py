"""Who is asked for what, by the managed identity of the app or by a key; and who sees a token."""

import logging
import time
from collections.abc import Iterator
from functools import partial
from math import inf

import pytest

from shared.auth.kept_token import KeptToken
from shared.errors import StorageUnavailableError
from shared.settings import Settings
from shared.storage.clients import Storage
from shared.storage.queues import Queue
from shared.storage.tables import Table
from tests.support.builders import NOWHERE, storage_at
from tests.support.certificates import Certificates
from tests.support.clocks import FakeSeconds
from tests.support.identity import StubIdentity
from tests.support.stub_server import Answer, ReceivedRequest, StubServer

CLIENT_ID = "33333333-0000-4000-8000-000000000003"


class EmptyStorage(StubServer):
    """Tables and queues, none of which is there."""

    def default_answer(self, request: ReceivedRequest) -> Answer:
        return Answer(404, b"", {"x-ms-error-code": "ResourceNotFound"})


@pytest.fixture
def empty_storage(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> Iterator[EmptyStorage]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates.authority_file))
    with EmptyStorage(certificates.server_context()) as empty_storage:
        yield empty_storage


@pytest.fixture(params=["managedidentity", ""], ids=["managed", "whatever-is-there"])
def by_identity(
    request: pytest.FixtureRequest,
    empty_storage: EmptyStorage,
    identity: StubIdentity,
    monkeypatch: pytest.MonkeyPatch,
) -> Storage:
    for name, value in identity.environment.items():
        monkeypatch.setenv(name, value)
    settings = Settings.from_environment(
        {
            "MicrosoftAppId": "the-bot",
            "AzureWebJobsStorage__tableServiceUri": empty_storage.url,
            "AzureWebJobsStorage__queueServiceUri": empty_storage.url,
            "AzureWebJobsStorage__clientId": CLIENT_ID,
            "AzureWebJobsStorage__credential": request.param,
        }
    )
    return Storage(settings.storage, settings.threads)


def test_the_identity_that_the_setting_names_is_asked_for_a_token_of_storage_once(
    by_identity: Storage, identity: StubIdentity, empty_storage: EmptyStorage
):
    for check in (by_identity.check_tables, by_identity.check_queues):
        for _ in range(3):
            check()

        # Tables and queues each ask once.
        asked, shown = identity.requests[-1], empty_storage.requests[-1]
        assert asked.query["resource"] == "https://storage.azure.com"
        assert asked.query["client_id"] == CLIENT_ID
        assert shown.headers["Authorization"] == f"Bearer identity-token-{len(identity.requests)}"
    assert len(identity.requests) <= 2
    assert len(empty_storage.requests) == 6


@pytest.mark.parametrize("refuses", ["identity", "storage"])
def test_what_is_refused_is_an_error_of_ours_without_a_secret_or_a_token(
    by_identity: Storage,
    identity: StubIdentity,
    empty_storage: EmptyStorage,
    caplog: pytest.LogCaptureFixture,
    refuses: str,
):
    caplog.set_level(logging.DEBUG)
    if refuses == "identity":
        identity.answer(400, {"statusCode": 400, "message": "No identity is assigned."}, times=9)
    else:
        empty_storage.answer(403, {"odata.error": {"code": "AuthorizationFailure"}}, times=9)

    with pytest.raises(StorageUnavailableError) as failed:
        by_identity.check_tables()

    assert (empty_storage.requests == []) == (refuses == "identity")
    assert ("AuthorizationFailure" in str(failed.value)) == (refuses == "storage")
    told = f"{caplog.text} {failed.value} {failed.value.__cause__} {by_identity!r}"
    for secret in (identity.secret, "identity-token"):
        assert secret not in told


@pytest.mark.parametrize("by_identity", ["managedidentity"], indirect=True)
def test_an_identity_that_does_not_answer_is_an_error_of_ours_once_its_token_is_about_to_expire(
    by_identity: Storage,
    identity: StubIdentity,
    empty_storage: EmptyStorage,
    monkeypatch: pytest.MonkeyPatch,
):
    clock = FakeSeconds()
    clock.now = time.time()
    monkeypatch.setattr("shared.storage.clients.KeptToken", partial(KeptToken, clock=clock))
    # So short that MSAL asks for another one each time.
    identity.lifetime_seconds = 200
    uses = (by_identity.check_tables, lambda: Table(by_identity, "x").partition("p"))
    by_identity.check_tables()
    identity.cut(times=inf)

    clock.now += 150
    for use in uses:
        use()
        assert empty_storage.requests[-1].headers["Authorization"] == "Bearer identity-token-1"

    clock.now += 300
    for use in uses:
        with pytest.raises(StorageUnavailableError):
            use()


# Up and down


def test_all_tables_share_their_connections(storage, caplog):
    caplog.set_level("DEBUG", "urllib3.connectionpool")

    for name in ("accounts", "conversations", "accounts"):
        Table(storage, name).get("p", "r")

    assert len([line for line in caplog.messages if line.startswith("Starting new HTTP")]) == 1


def test_storage_that_is_down_is_given_up_after_seconds_and_a_check_at_once(monkeypatch):
    waited: list[float] = []
    monkeypatch.setattr("urllib3.util.retry.time.sleep", waited.append)
    down = storage_at(NOWHERE)

    for use in (lambda: Table(down, "x").get("p", "r"), lambda: Queue(down, "x").send("")):
        waited.clear()
        with pytest.raises(StorageUnavailableError):
            use()
        assert 0 < sum(waited) < 10
    waited.clear()
    for check in (down.check_tables, down.check_queues):
        with pytest.raises(StorageUnavailableError):
            check()
    assert waited == []


def test_storage_that_is_up_passes_its_checks_without_making_anything(storage, storage_calls):
    storage.check_tables()
    storage.check_queues()

    assert [call.split()[0] for call in storage_calls()] == ["GET", "GET"]
