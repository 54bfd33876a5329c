"""The running app as the Connector sees it: a messaging endpoint that asks for its token."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.flows.running_app import APP_ID, AppStorage, RunningApp, running_app
from tests.local.host_process import Answer
from tests.support.connector import StubConnector
from tests.support.hostile_tokens import Forger
from tests.support.identity import StubIdentity
from tests.support.openid import StubOpenId


class ListeningApp(RunningApp):
    """The app, and the keys that sign what the Connector posts to it."""

    def __init__(self, app: RunningApp, openid: StubOpenId) -> None:
        super().__init__(app.host, app.storage, app.connector, app.identity)
        self.openid = openid
        self.service_url = f"{app.connector.url}/amer/"

    def forger(self, service_url: str | None = None) -> Forger:
        """Whoever has the Connector's key, for an activity with this service URL."""
        return Forger(self.openid.signers[0], APP_ID, service_url or self.service_url)

    def post_activity(self, body: object, authorization: str | None, query: str = "") -> Answer:
        """Post to the messaging endpoint: bytes as they are, anything else as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        if authorization is not None:
            headers["Authorization"] = authorization
        return self.host.request("POST", f"/api/messages{query}", content, headers)


@contextmanager
def listening_app(
    folder: Path,
    storage: AppStorage,
    connector: StubConnector,
    identity: StubIdentity,
    *options: str,
    **changes: str,
) -> Iterator[ListeningApp]:
    """Run the app with keys of its own; `changes` are settings other than the usual ones."""
    with StubOpenId() as openid:
        values = {"ToBotFromChannelOpenIdMetadataUrl": openid.metadata_url, **changes}
        with running_app(folder, storage, connector, identity, *options, **values) as app:
            yield ListeningApp(app, openid)
