"""Which storage account a queue trigger's connection stands for."""

import os
from functools import cache
from typing import Any

from azure.storage.queue import LinearRetry, QueueServiceClient

from local.environment import StartError, setting

BACKOFF_SECONDS = 1


@cache
def queue_service(connection: str) -> QueueServiceClient:
    """Return the client for the connection of that name, by connection string or identity."""
    # The default retries would make an outage look like a hang of a minute and a half.
    retry = LinearRetry(backoff=BACKOFF_SECONDS, retry_total=2, random_jitter_range=0)
    options: dict[str, Any] = {"retry_policy": retry, "connection_timeout": 5, "read_timeout": 30}
    url = os.environ.get(f"{connection}__queueServiceUri")
    account = os.environ.get(f"{connection}__accountName")
    if account and not url:
        url = f"https://{account}.queue.core.windows.net"
    # A connection string wins, as in `shared/settings.py` and with the real host.
    if url and not os.environ.get(connection, "").strip():
        from azure.identity import DefaultAzureCredential  # slow to import, and seldom needed

        return QueueServiceClient(url, DefaultAzureCredential(), **options)
    try:
        return QueueServiceClient.from_connection_string(setting(connection), **options)
    except ValueError as error:
        raise StartError(f"The setting {connection} is not a connection string.") from error
