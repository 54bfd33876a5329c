"""A shared access signature in place of a key."""

import pytest

from shared.errors import StorageUnavailableError
from shared.settings import StorageAccount
from shared.storage.clients import Storage
from shared.storage.tables import Table
from tests.support.stub_server import Answer, ReceivedRequest, StubServer


class SignedStorage(StubServer):
    """Storage that wants a signature in the query, and of tables the version of OData."""

    def default_answer(self, request: ReceivedRequest) -> Answer:
        if request.query.get("sig") != "a=":
            return Answer(403, {"odata.error": {"code": "AuthenticationFailed"}})
        if "accounts(" in request.path and request.headers["DataServiceVersion"] != "3.0":
            return Answer(400, {"odata.error": {"code": "MissingRequiredHeader"}})
        return Answer(404, b"", {"x-ms-error-code": "ResourceNotFound"})


def test_a_shared_access_signature_goes_with_each_request_and_in_no_log(caplog, monkeypatch):
    monkeypatch.setattr("urllib3.Retry.sleep", lambda *_: None)
    with SignedStorage() as stub:
        endpoints = f"TableEndpoint={stub.url};QueueEndpoint={stub.url}"
        account = StorageAccount.from_connection_string(
            f"{endpoints};SharedAccessSignature=sv=2020&sig=a%3D"
        )
        storage = Storage(account, threads=4)
        caplog.set_level("INFO")

        assert Table(storage, "accounts").get("p", "r") is None
        storage.check_queues()
        stub.answer(503, {}, times=9)
        with pytest.raises(StorageUnavailableError) as failed:
            Table(storage, "accounts").get("p", "r")

    assert "a%3D" not in f"{caplog.text} {failed.value}"
