"""What the real host hands over of a queue message: its body, and what the queue knows of it.

Of a body that it hands over as text, it takes what that says of itself for what the queue knows:
``ApplyBindingData`` in
https://github.com/Azure/azure-functions-host/blob/dev/src/WebJobs.Script/Utility.cs
"""

import json

from azure.functions.meta import Datum
from azure.storage.queue import QueueMessage


def handed_over(
    message: QueueMessage, body: bytes, *, is_binary: bool
) -> tuple[Datum, dict[str, Datum]]:
    """Return the body and the metadata, in the form that the trigger's data type asks for.

    Raises UnicodeDecodeError when the body is to be a text and is none.
    """
    metadata = {
        "Id": Datum(message.id, "string"),
        "DequeueCount": Datum(json.dumps(message.dequeue_count), "json"),
        "PopReceipt": Datum(message.pop_receipt, "string"),
    }
    times = {
        "InsertionTime": message.inserted_on,
        "ExpirationTime": message.expires_on,
        "NextVisibleTime": message.next_visible_on,
    }
    for name, moment in times.items():
        if moment is not None:
            metadata[name] = Datum(json.dumps(moment.isoformat()), "json")
    if is_binary:
        return Datum(body, "bytes"), metadata
    text = body.decode()
    names = {name.lower(): name for name in metadata}
    for name, value in _fields(text).items():
        metadata[names.get(name.lower(), name)] = value
    return Datum(text, "string"), metadata


def _fields(text: str) -> dict[str, Datum]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {
        name: _field(value)
        for name, value in content.items()
        if value is not None and not isinstance(value, list)
    }


def _field(value: object) -> Datum:
    if isinstance(value, dict):
        return Datum(json.dumps(value), "json")
    return Datum(str(value), "string")
