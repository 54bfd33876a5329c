"""Table storage, as much of it as single rows by their key need; any table is there."""

import itertools
import json
import re
from collections import Counter
from typing import Any
from urllib.parse import unquote

from benchmarks.stubs.server import Request, Stub, answer

_ROUTE = re.compile(r"/[^/]+/(\w+)(?:\(PartitionKey='(.*)',RowKey='(.*)'\))?")
# Of these the service says no type, as JSON has them.
_PLAIN_TYPES = ("Edm.String", "Edm.Boolean", "Edm.Int32")

_Key = tuple[str, str, str]


class Tables(Stub):
    """The table service."""

    def __init__(self) -> None:
        super().__init__()
        self._versions = itertools.count(1)
        self._rows: dict[_Key, tuple[str, dict[str, Any]]] = {}
        self._operations: Counter[str] = Counter()

    def receive(self, request: Request) -> bytes:
        """Read, insert, replace or merge, or delete a row."""
        route = _ROUTE.fullmatch(request.path)
        if route is None:
            return _error(501, "NotImplemented")
        table = route[1]
        self._operations[f"{request.method} {table}"] += 1
        if request.method == "POST":
            row = _stored(json.loads(request.body))
            key = (table, row["PartitionKey"], row["RowKey"])
            if key in self._rows:
                return _error(409, "EntityAlreadyExists")
            version = self._put(key, row)
            # Whoever prefers it does not get back what they sent.
            if request.head.get("prefer") == "return-no-content":
                return answer(204, ETag=version, Preference_Applied="return-no-content")
            return answer(201, {"odata.etag": version, **row}, ETag=version)
        key = (table, unquote(route[2]), unquote(route[3]))
        found = self._rows.get(key)
        wanted = request.head.get("if-match")
        if found is None and (wanted is not None or request.method == "GET"):
            return _error(404, "ResourceNotFound")
        if found is not None and wanted not in (None, "*", found[0]):
            return _error(412, "UpdateConditionNotSatisfied")
        if request.method == "GET" and found is not None:
            version, row = found
            return answer(200, {"odata.etag": version, **row})
        if request.method == "DELETE":
            self._rows.pop(key, None)
            return answer(204)
        row = _stored(json.loads(request.body))
        if request.method in ("PATCH", "MERGE") and found is not None:
            row = {**found[1], **row}
        return answer(204, ETag=self._put(key, row))

    def tell(self) -> dict[str, Any]:
        """Return also what was done, as in ``GET accounts``."""
        return {**super().tell(), "operations": self._operations}

    def obey(self, orders: dict[str, Any]) -> None:
        """Forget what was seen; the rows stay."""
        super().obey(orders)
        self._operations.clear()

    def _put(self, key: _Key, row: dict[str, Any]) -> str:
        version = f"W/\"datetime'2026-01-31T08%3A00%3A00.{next(self._versions):07}Z'\""
        self._rows[key] = version, {**row, "Timestamp": "2026-01-31T08:00:00.0000000Z"}
        return version


def _stored(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as the service gives it back: with no more types than it takes."""
    return {
        name: value
        for name, value in row.items()
        if not (name.endswith("@odata.type") and value in _PLAIN_TYPES)
    }


def _error(status: int, code: str) -> bytes:
    message = {"lang": "en-US", "value": code}
    # The client tells errors apart by this header.
    return answer(status, {"odata.error": {"code": code, "message": message}}, x_ms_error_code=code)
