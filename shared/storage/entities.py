"""Rows of Table storage as JSON, with a type beside each value that JSON has none for.

azure.data.tables writes and reads the same. Sources: "Payload format for Table service operations"
and "Understanding the Table service data model", Azure Storage REST API.
"""

import base64
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Any
from uuid import UUID

WRITE_ID = "writeId"
_TYPE = "@odata.type"
_READ: Mapping[str, Callable[[Any], Any]] = {
    "Edm.Binary": base64.b64decode,
    "Edm.DateTime": datetime.fromisoformat,
    "Edm.Double": float,
    "Edm.Guid": UUID,
    "Edm.Int64": int,
}


class StoredRow(dict[str, Any]):
    """A row as it was read; ``version`` is its ETag, ``write_id`` the id of who wrote it so."""

    def __init__(self, properties: Mapping[str, Any], version: str) -> None:
        super().__init__(properties)
        self.version = version
        self.write_id: str | None = self.pop(WRITE_ID, None)


def encode(row: Mapping[str, Any]) -> bytes:
    """Return a row as JSON. Raises TypeError for a value that rows of this app don't have."""
    entity: dict[str, Any] = {}
    for name, value in row.items():
        match value:
            case str() | bool():
                entity[name] = value
            case int() if -(2**31) <= value < 2**31:
                entity[name] = value
            case float() if isfinite(value):
                entity |= {name: value, name + _TYPE: "Edm.Double"}
            case datetime():
                at = value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
                entity |= {name: at, name + _TYPE: "Edm.DateTime"}
            case bytes():
                text = base64.b64encode(value).decode()
                entity |= {name: text, name + _TYPE: "Edm.Binary"}
            case _:
                raise TypeError(f"{name} is no value for a row: {type(value).__name__}")
    return json.dumps(entity).encode()


def decode(text: bytes, version: str | None) -> StoredRow:
    """Return the row in an answer of Table storage with minimal metadata.

    Its version is the answer's ETag, which may stand in a header or in the row.
    """
    entity: dict[str, Any] = json.loads(text)
    properties = {}
    for name, value in entity.items():
        if name == "Timestamp" or name.startswith("odata.") or name.endswith(_TYPE):
            continue
        read = _READ.get(entity.get(name + _TYPE, ""))
        properties[name] = read(value) if read else value
    return StoredRow(properties, version or entity["odata.etag"])
