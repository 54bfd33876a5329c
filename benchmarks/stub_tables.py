"""Table storage, as much of it as the app asks: rows by key, ranges of keys; any table exists."""

import itertools
import operator
import re
from collections import defaultdict
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.support.stub_server import Answer, ReceivedRequest, StubServer

_ROUTE = re.compile(r"/[^/]+/(\w+)(?:\(\)|\(PartitionKey='(.*)',RowKey='(.*)'\))?")
_CONDITION = re.compile(r"(PartitionKey|RowKey) (eq|gt|ge|le) '([^']*)'")
_COMPARE = {"eq": operator.eq, "gt": operator.gt, "ge": operator.ge, "le": operator.le}
_MOST_ROWS = 1000
# Of these the service says no type, as JSON has them.
_PLAIN_TYPES = ("Edm.String", "Edm.Boolean", "Edm.Int32")

_Key = tuple[str, str]
_Rows = dict[_Key, tuple[str, dict[str, Any]]]


class StubTables(StubServer):
    """Keeps rows in memory, with versions."""

    def __init__(self) -> None:
        self._versions = itertools.count(1)
        self._tables: dict[str, _Rows] = defaultdict(dict)
        super().__init__()

    def default_answer(self, request: ReceivedRequest) -> Answer:
        """Read, insert, replace or merge, or delete a row; or find rows by a range of keys."""
        route = _ROUTE.fullmatch(urlsplit(request.path).path)
        if route is None:
            return _error(501, "NotImplemented")
        rows = self._tables[route[1]]
        if request.method == "POST":
            return self._insert(rows, request)
        if route[2] is None:
            return _found(rows, request.query)
        return self._of_one_row(rows, (unquote(route[2]), unquote(route[3])), request)

    def _insert(self, rows: _Rows, request: ReceivedRequest) -> Answer:
        row = _stored(request.json)
        key = (row["PartitionKey"], row["RowKey"])
        if key in rows:
            return _error(409, "EntityAlreadyExists")
        version = self._put(rows, key, row)
        # A client that asks for it does not get back what it sent.
        if request.headers["prefer"] == "return-no-content":
            return Answer(204, headers={"ETag": version})
        return Answer(201, {"odata.etag": version, **row}, {"ETag": version})

    def _of_one_row(self, rows: _Rows, key: _Key, request: ReceivedRequest) -> Answer:
        version, row = rows.get(key, ("", {}))
        wanted = request.headers["if-match"]
        if not version and (wanted is not None or request.method == "GET"):
            return _error(404, "ResourceNotFound")
        if version and wanted not in (None, "*", version):
            return _error(412, "UpdateConditionNotSatisfied")
        if request.method == "GET":
            return Answer(200, {"odata.etag": version, **row})
        if request.method == "DELETE":
            rows.pop(key, None)
            return Answer(204)
        kept = row if request.method in ("PATCH", "MERGE") else {}
        version = self._put(rows, key, {**kept, **_stored(request.json)})
        return Answer(204, headers={"ETag": version})

    def _put(self, rows: _Rows, key: _Key, row: dict[str, Any]) -> str:
        version = f"W/\"datetime'2026-01-31T08%3A00%3A00.{next(self._versions):07}Z'\""
        rows[key] = version, {**row, "Timestamp": "2026-01-31T08:00:00.0000000Z"}
        return version


def _found(rows: _Rows, query: dict[str, str]) -> Answer:
    """Return a page of the rows that a query finds, in the order of their keys."""
    conditions = [_CONDITION.fullmatch(each) for each in query["$filter"].split(" and ")]
    if None in conditions:
        return _error(501, "NotImplemented")
    first = (query.get("NextPartitionKey", ""), query.get("NextRowKey", ""))
    found = sorted(
        (key, {"odata.etag": version, **row})
        for key, (version, row) in rows.items()
        if key >= first
        and all(each and _COMPARE[each[2]](row[each[1]], each[3]) for each in conditions)
    )
    size = int(query.get("$top", _MOST_ROWS))
    headers = {}
    if found[size:]:
        partition, row_key = found[size][0]
        headers = {
            "x-ms-continuation-NextPartitionKey": partition,
            "x-ms-continuation-NextRowKey": row_key,
        }
    wanted = query["$select"].split(",") if "$select" in query else None
    return Answer(200, {"value": [_selected(row, wanted) for _, row in found[:size]]}, headers)


def _selected(row: dict[str, Any], wanted: list[str] | None) -> dict[str, Any]:
    """Return what is wanted of a row, all by default; what it has not is null."""
    if wanted is None:
        return row
    named = {name: row.get(name) for name in wanted}
    types = {name: row[name] for each in wanted if (name := f"{each}@odata.type") in row}
    return {"odata.etag": row["odata.etag"], **named, **types}


def _stored(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as the service gives it back: with no more types than it takes."""
    return {
        name: value
        for name, value in row.items()
        if not (name.endswith("@odata.type") and value in _PLAIN_TYPES)
    }


def _error(status: int, code: str) -> Answer:
    message = {"lang": "en-US", "value": code}
    # The client tells errors apart by this header.
    headers = {"x-ms-error-code": code}
    return Answer(status, {"odata.error": {"code": code, "message": message}}, headers)
