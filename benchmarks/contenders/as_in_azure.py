"""What surrounds our own code in Azure: the worker's logging, and invocations by the host."""

import inspect
import json
import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from azure.functions.meta import Datum
from azure.functions.queue import QueueMessageInConverter

_TRACE_PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def log_as_in_azure() -> None:
    """Write the log from INFO on, as the worker does; here, to nowhere."""
    nowhere = open(os.devnull, "w")  # noqa: SIM115  # open for as long as the process lives
    logging.basicConfig(level=logging.INFO, stream=nowhere)


def queue_function(name: str) -> Callable[[dict[str, Any], str], None]:
    """Return what the host does with a message of a queue and its id: it calls the function."""
    from function_app import app

    functions = {each.get_function_name(): each.get_user_function() for each in app.get_functions()}
    function = functions[name]
    context = SimpleNamespace(trace_context=SimpleNamespace(trace_parent=_TRACE_PARENT))
    wants_context = "context" in inspect.signature(function).parameters
    more = {"context": context} if wants_context else {}

    def invoke(body: dict[str, Any], message_id: str) -> None:
        now = Datum(datetime.now(UTC).isoformat(), "string")
        metadata = {
            "Id": Datum(message_id, "string"),
            "DequeueCount": Datum(1, "int"),
            "PopReceipt": Datum("AgAAAAMAAAAAAAAA", "string"),
            "InsertionTime": now,
            "ExpirationTime": Datum("9999-12-31T23:59:59+00:00", "string"),
            "NextVisibleTime": now,
        }
        text = Datum(json.dumps(body), "string")
        function(QueueMessageInConverter.decode(text, trigger_metadata=metadata), **more)

    return invoke
