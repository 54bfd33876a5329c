"""Short ways to what many tests arrange."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import azure.functions as func
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue import QueueClient

from shared.alerts.store import AlertStore
from shared.auth.clouds import PUBLIC
from shared.auth.service_urls import TrustedServiceUrls, origin_of
from shared.messages.envelope import Envelope
from shared.messages.envelope_signature import signed
from shared.messages.outcomes import Outcomes
from shared.settings import Settings, StorageAccount
from shared.storage.clients import Storage
from shared.wiring import Services

# Port 9 of this machine: nothing listens there.
NOWHERE = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=c2VjcmV0;"
    "QueueEndpoint=http://127.0.0.1:9/devstoreaccount1;"
    "TableEndpoint=http://127.0.0.1:9/devstoreaccount1"
)

TENANT_ID = "0e7a0000-0000-4000-8000-0000000000aa"


def unique(kind: str) -> str:
    """A name that no other test has: all share one storage."""
    return f"{kind}-{uuid4().hex}"


def settings(**changes: str) -> Settings:
    """The settings of a bot in development, which needs nothing but storage."""
    return Settings.from_environment(
        {
            "AzureWebJobsStorage": "UseDevelopmentStorage=true",
            "AZURE_FUNCTIONS_ENVIRONMENT": "Development",
            **changes,
        }
    )


def remembering_alerts_by(
    clock: Callable[[], float], services: Services, **changes: Any
) -> Services:
    """The services of another process, which remembers alerts by this clock."""
    other = replace(services, **changes)
    vars(other)["alerts"] = AlertStore(
        services.storage,
        services.settings.app_id,
        services.queues.large_values,
        kept_days=30,
        clock=clock,
    )
    return other


def services_of(app_settings: Mapping[str, str], **changes: str) -> Services:
    """Another instance of a test's app, or another app: its settings with changes."""
    return Services.of(Settings.from_environment({**app_settings, **changes}))


def storage_at(connection_string: str, threads: int = 4) -> Storage:
    """Storage as the app reaches it."""
    return Storage(StorageAccount.from_connection_string(connection_string), threads=threads)


def trusting(*urls: str) -> TrustedServiceUrls:
    """Trust the public cloud and the origins of the URLs."""
    origins = [origin for origin in map(origin_of, urls) if origin is not None]
    assert len(origins) == len(urls)
    return TrustedServiceUrls(PUBLIC, origins, only_loopback=False)


def http_request(
    method: str,
    body: object = b"",
    *,
    route: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    query: str = "",
) -> func.HttpRequest:
    """A request as the Functions host hands it in; a body that is not bytes goes as JSON."""
    return func.HttpRequest(
        method=method,
        url=f"http://localhost/api?{query}",
        route_params=route or {},
        params=params or {},
        headers=headers or {},
        body=body if isinstance(body, bytes) else json.dumps(body).encode(),
    )


def queue_message(body: object, message_id: str | None = None) -> func.QueueMessage:
    """A message as the Functions host hands it in."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return func.QueueMessage(id=message_id or unique("message"), body=content)


def telling(services: Services, queue: str) -> Services:
    """The same services, of an app that tells other systems on a queue what happened."""
    settings = replace(services.settings, outcome_queue=queue)
    return replace(services, settings=settings, outcomes=Outcomes(services.storage, settings))


def on_its_way(
    services: Services, queue: str, body: dict[str, Any], envelope: Envelope
) -> dict[str, Any]:
    """A message as the app puts it on a queue: with what is noted about it."""
    return {**body, "_flow": signed(services.queues.envelope_key, queue, body, envelope.to_json())}


def envelope_of(message: dict[str, Any]) -> Envelope:
    """What is noted about a message; it is taken from it, and its mark left out."""
    noted = message.pop("_flow")
    del noted["mark"]
    return Envelope.model_validate(noted)


def invocation(trace_parent: str | None = None) -> Any:
    """What the Functions host tells of an invocation."""
    return SimpleNamespace(trace_context=SimpleNamespace(trace_parent=trace_parent))


def answer_of(response: func.HttpResponse) -> tuple[int, Any]:
    """The status and the JSON of an answer."""
    return response.status_code, json.loads(response.get_body())


class QueueReader:
    """A queue, seen from its other end."""

    def __init__(self, connection_string: str, name: str) -> None:
        self._client = QueueClient.from_connection_string(connection_string, name)

    def take(self) -> list[Any]:
        """Take all messages that can be seen, as the JSON within their base64."""
        taken = []
        try:
            for message in self._client.receive_messages(messages_per_page=32):
                taken.append(json.loads(base64.b64decode(message.content)))
                self._client.delete_message(message)
        except ResourceNotFoundError:
            return []
        return taken

    def count(self) -> int:
        """How many messages there are, those that wait for their time included."""
        try:
            return self._client.get_queue_properties().approximate_message_count or 0
        except ResourceNotFoundError:
            return 0

    def clear(self) -> None:
        """Throw all messages away, those that wait for their time included."""
        try:
            self._client.clear_messages()
        except ResourceNotFoundError:
            return

    def close(self) -> None:
        self._client.close()
