"""What surrounds our own code in Azure: the worker's logging, and invocations by the host."""

import inspect
import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from types import SimpleNamespace
from typing import Any

from azure.functions import HttpRequest, HttpResponse
from azure.functions.meta import Datum
from azure.functions.queue import QueueMessageInConverter

_TRACE_PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def log_as_in_azure() -> None:
    """Write the log from INFO on, as the worker does; here, to nowhere."""
    nowhere = open(os.devnull, "w")  # noqa: SIM115  # open for as long as the process lives
    logging.basicConfig(level=logging.INFO, stream=nowhere)


def queue_function(name: str) -> Callable[[str, str], None]:
    """Return what the host does with the text of a queue's message and its id: it calls it."""
    function = _functions()[name]
    context = SimpleNamespace(trace_context=SimpleNamespace(trace_parent=_TRACE_PARENT))
    wants_context = "context" in inspect.signature(function).parameters
    more = {"context": context} if wants_context else {}

    def invoke(text: str, message_id: str) -> None:
        now = Datum(datetime.now(UTC).isoformat(), "string")
        metadata = {
            "Id": Datum(message_id, "string"),
            "DequeueCount": Datum(1, "int"),
            "PopReceipt": Datum("AgAAAAMAAAAAAAAA", "string"),
            "InsertionTime": now,
            "ExpirationTime": Datum("9999-12-31T23:59:59+00:00", "string"),
            "NextVisibleTime": now,
        }
        message = QueueMessageInConverter.decode(
            Datum(text.encode(), "bytes"), trigger_metadata=metadata
        )
        function(message, **more)

    return invoke


def http_function(name: str) -> Callable[..., bytes]:
    """Return what the host does with a request: it calls the function, whose answer must be good.

    That returns the body of the answer.
    """
    function = _functions()[name]

    def invoke(method: str, path: str, *, body: bytes = b"", **options: Any) -> bytes:
        url = f"https://app.example.com/api/{path}"
        answer: HttpResponse = function(HttpRequest(method=method, url=url, body=body, **options))
        said: bytes = answer.get_body()
        assert answer.status_code < 300, said
        return said

    return invoke


@cache
def _functions() -> dict[str, Callable[..., Any]]:
    from function_app import app

    # They can be asked for once.
    return {str(each.get_function_name()): each.get_user_function() for each in app.get_functions()}
