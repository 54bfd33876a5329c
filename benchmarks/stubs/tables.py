"""Table storage, as much of it as is asked here: rows by key, ranges of keys; all tables exist."""

import itertools
import json
import operator
import re
from collections import Counter, defaultdict
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from benchmarks.stubs.server import Request, Stub, answer

_ROUTE = re.compile(r"/[^/]+/(\w+)(?:\(\)|\(PartitionKey='(.*)',RowKey='(.*)'\))?")
_CONDITION = re.compile(r"(PartitionKey|RowKey) (eq|gt|ge|le) '([^']*)'")
_COMPARE = {"eq": operator.eq, "gt": operator.gt, "ge": operator.ge, "le": operator.le}
_MOST_ROWS = 1000
_CONTINUATION = ("x_ms_continuation_NextPartitionKey", "x_ms_continuation_NextRowKey")
# Of these the service says no type, as JSON has them.
_PLAIN_TYPES = ("Edm.String", "Edm.Boolean", "Edm.Int32")

_Key = tuple[str, str]


class Tables(Stub):
    """The table service."""

    def __init__(self) -> None:
        super().__init__()
        self._versions = itertools.count(1)
        self._tables: dict[str, dict[_Key, tuple[str, dict[str, Any]]]] = defaultdict(dict)
        self._operations: Counter[str] = Counter()

    def receive(self, request: Request) -> bytes:
        """Read, insert, replace or merge, or delete a row; or find rows by a range of keys."""
        url = urlsplit(request.path)
        route = _ROUTE.fullmatch(url.path)
        if route is None:
            return _error(501, "NotImplemented")
        table = route[1]
        is_query = request.method == "GET" and route[2] is None
        self._operations[f"{'QUERY' if is_query else request.method} {table}"] += 1
        if is_query:
            return _found(self._tables[table], parse_qs(url.query))
        if request.method == "POST":
            return self._insert(table, request)
        return self._of_one_row(table, (unquote(route[2]), unquote(route[3])), request)

    def tell(self) -> dict[str, Any]:
        """Return also what was done, as in ``GET accounts``."""
        return {**super().tell(), "operations": self._operations}

    def obey(self, orders: dict[str, Any]) -> None:
        """Forget what was seen; the rows stay."""
        super().obey(orders)
        self._operations.clear()

    def _insert(self, table: str, request: Request) -> bytes:
        row = _stored(json.loads(request.body))
        key = (row["PartitionKey"], row["RowKey"])
        if key in self._tables[table]:
            return _error(409, "EntityAlreadyExists")
        version = self._put(table, key, row)
        # Whoever prefers it does not get back what they sent.
        if request.head.get("prefer") == "return-no-content":
            return answer(204, ETag=version, Preference_Applied="return-no-content")
        return answer(201, {"odata.etag": version, **row}, ETag=version)

    def _of_one_row(self, table: str, key: _Key, request: Request) -> bytes:
        rows = self._tables[table]
        found = rows.get(key)
        wanted = request.head.get("if-match")
        if found is None and (wanted is not None or request.method == "GET"):
            return _error(404, "ResourceNotFound")
        if found is not None and wanted not in (None, "*", found[0]):
            return _error(412, "UpdateConditionNotSatisfied")
        if request.method == "GET" and found is not None:
            version, row = found
            return answer(200, {"odata.etag": version, **row})
        if request.method == "DELETE":
            rows.pop(key, None)
            return answer(204)
        row = _stored(json.loads(request.body))
        if request.method in ("PATCH", "MERGE") and found is not None:
            row = {**found[1], **row}
        return answer(204, ETag=self._put(table, key, row))

    def _put(self, table: str, key: _Key, row: dict[str, Any]) -> str:
        version = f"W/\"datetime'2026-01-31T08%3A00%3A00.{next(self._versions):07}Z'\""
        self._tables[table][key] = version, {**row, "Timestamp": "2026-01-31T08:00:00.0000000Z"}
        return version


def _found(rows: dict[_Key, tuple[str, dict[str, Any]]], query: dict[str, list[str]]) -> bytes:
    """Return a page of the rows that a query finds, in the order of their keys."""
    conditions = [_CONDITION.fullmatch(each) for each in query["$filter"][0].split(" and ")]
    found = [
        (key, {"odata.etag": version, **row})
        for key, (version, row) in rows.items()
        if all(each and _COMPARE[each[2]](row[each[1]], each[3]) for each in conditions)
    ]
    if None in conditions:
        return _error(501, "NotImplemented")
    first = (query.get("NextPartitionKey", [""])[0], query.get("NextRowKey", [""])[0])
    found = sorted(each for each in found if each[0] >= first)
    size = int(query.get("$top", [_MOST_ROWS])[0])
    following = dict(zip(_CONTINUATION, found[size][0], strict=True)) if found[size:] else {}
    return answer(200, {"value": [row for _, row in found[:size]]}, **following)


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
