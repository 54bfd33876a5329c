"""A plain, good loop: read the reference, have the token, post."""

import json
import os
import threading
import time
from urllib.parse import quote

import requests
from azure.core.credentials import AccessToken
from azure.core.pipeline.transport import RequestsTransport
from azure.data.tables import TableClient
from azure.identity import ManagedIdentityCredential
from requests.adapters import HTTPAdapter

from benchmarks.contenders.worker import SendAll, in_threads
from benchmarks.messages import (
    APP_ID,
    CHANNEL_ID,
    REFERENCES,
    STORAGE,
    THREADS,
    activity,
    user_id,
)

_SCOPE = "https://api.botframework.com/.default"


class _Loop:
    def __init__(self) -> None:
        self._session = _session()
        self._references = TableClient.from_connection_string(
            os.environ[STORAGE],
            REFERENCES,
            transport=RequestsTransport(session=_session()),
        )
        self._credential = ManagedIdentityCredential(client_id=APP_ID)
        self._lock = threading.Lock()
        self._token: AccessToken | None = None

    def send(self, batch: str, user: int) -> None:
        row = self._references.get_entity(CHANNEL_ID, user_id(user))
        reference = json.loads(row["reference"])
        conversation = reference["conversation"]
        url = (
            f"{reference['serviceUrl'].rstrip('/')}/v3/conversations/"
            f"{quote(conversation['id'], safe='')}/activities"
        )
        response = self._session.post(
            url,
            json={
                **activity(batch, user),
                "from": reference["bot"],
                "recipient": reference["user"],
                "conversation": conversation,
            },
            headers={"Authorization": f"Bearer {self._bearer()}"},
            timeout=(5, 15),
        )
        response.raise_for_status()
        assert response.json()["id"]

    def _bearer(self) -> str:
        with self._lock:
            if self._token is None or self._token.expires_on - time.time() < 300:
                self._token = self._credential.get_token(_SCOPE)
            return self._token.token


def _session() -> requests.Session:
    session = requests.Session()
    adapter = HTTPAdapter(pool_connections=THREADS, pool_maxsize=THREADS)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


def contender() -> SendAll:
    """Return what sends."""
    return in_threads(_Loop().send)
