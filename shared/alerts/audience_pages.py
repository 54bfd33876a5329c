"""The pages of an alert's audience.

Table ``pages``, a row for each page of an alert's audience. PartitionKey: that of the alert;
RowKey: the page's number. The row lists the members of the page, by the ids of their keys, before
the first of them is sent anything: so a page that is read twice has the same members. When all of
them have ended, it has their counts.
"""

import json
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from shared import json_text
from shared.storage.clients import Storage
from shared.storage.tables import Row, Table, key_of, version_of

# Keys of equal length keep the rows in the order of their numbers.
_DIGITS = 9
_LATEST_PAGE = "9" * _DIGITS
_COUNTED = ("counts", "countedVersion")
_MOST_LANE_BYTES = 60 * 1024


@dataclass(frozen=True)
class AudiencePage:
    """A page of an alert's audience: the people between two places of the whole.

    It begins ``after`` a place and ends ``up_to`` one, where ``share`` of the whole is read.
    ``lanes`` is how many of its calls go to each service host and tenant. ``counts`` is how its
    members have ended, once all of them have; ``counted_version`` is the alert's version then.
    ``version`` is the row's.
    """

    alert_id: str
    number: int
    after: str
    up_to: str
    read_at: datetime
    members: tuple[str, ...]
    lanes: Mapping[tuple[str, str], int]
    share: float
    counts: Mapping[str, int] | None = None
    counted_version: int | None = None
    version: str = ""


@dataclass(frozen=True)
class PageCounts:
    """The counts of a page without its members: there may be thousands of these."""

    number: int
    read_at: datetime
    counts: Mapping[str, int] | None
    counted_version: int | None


class AudiencePages:
    """Keeps and finds the pages of alerts."""

    def __init__(self, storage: Storage, app_id: str) -> None:
        self._table = Table(storage, "pages")
        self._app_id = app_id

    def open(self, page: AudiencePage) -> AudiencePage | None:
        """Keep a new page, and return it; None if there is one of this number already."""
        version = self._table.insert(_to_row(page, self._key(page.alert_id)))
        return replace(page, version=version) if version is not None else None

    def find(self, alert_id: str, number: int) -> AudiencePage | None:
        """Return a page; None when it was not read yet."""
        row = self._table.get(self._key(alert_id), _row_key(number))
        return _from_row(row) if row is not None else None

    def counted_since(self, alert_id: str, number: int) -> list[PageCounts]:
        """Return the counts of the pages from a number on, in their order."""
        pages: list[PageCounts] = []
        token: str | None = None
        while True:
            rows, token = self._table.page(
                "PartitionKey eq @key and RowKey ge @first and RowKey le @last",
                {"key": self._key(alert_id), "first": _row_key(number), "last": _LATEST_PAGE},
                size=1000,
                token=token,
                select=("RowKey", "readAt", "counts", "countedVersion"),
            )
            pages += map(_counts_from_row, rows)
            if token is None:
                return pages

    def members_among(self, alert_id: str, ids: Set[str], *, before: int | None = None) -> set[str]:
        """Return which ids are those of members of any page, or of those before a number."""
        members: set[str] = set()
        token: str | None = None
        end = _LATEST_PAGE if before is None else _row_key(before)
        while True:
            rows, token = self._table.page(
                "PartitionKey eq @key and RowKey lt @end",
                {"key": self._key(alert_id), "end": end},
                size=100,
                token=token,
                select=("members",),
            )
            for row in rows:
                members |= ids & set(bytes(row["members"]).decode().split(","))
            if token is None:
                return members

    def close(self, page: AudiencePage, counts: Mapping[str, int], alert_version: int) -> bool:
        """Note how the members of a page have ended; False if it was changed since it was read."""
        closed = replace(page, counts=counts, counted_version=alert_version)
        return (
            self._table.replace(_to_row(closed, self._key(page.alert_id)), page.version) is not None
        )

    def reopen(self, alert_id: str, number: int) -> bool:
        """Note that members of a page may end otherwise; tell whether it had been closed.

        An open page has another version afterwards too, so who counts it then does not close it.
        """
        was_closed = False

        def reopened(row: Row | None) -> Row | None:
            nonlocal was_closed
            was_closed = row is not None and "counts" in row
            return row and {name: each for name, each in row.items() if name not in _COUNTED}

        keys = {"PartitionKey": self._key(alert_id), "RowKey": _row_key(number)}
        self._table.change(keys, reopened)
        return was_closed

    def _key(self, alert_id: str) -> str:
        return key_of(self._app_id, alert_id)


def _row_key(number: int) -> str:
    return f"{number:0{_DIGITS}}"


def _to_row(page: AudiencePage, key: str) -> dict[str, Any]:
    row = {
        "PartitionKey": key,
        "RowKey": _row_key(page.number),
        "alertId": page.alert_id,
        "after": page.after,
        "upTo": page.up_to,
        "share": page.share,
        "readAt": page.read_at,
        # Bytes, as text takes twice the room in a row.
        "members": ",".join(page.members).encode(),
        "lanes": _lanes(page.lanes),
    }
    if page.counts is not None:
        row |= {
            "counts": json_text.to_text(dict(page.counts)),
            "countedVersion": page.counted_version,
        }
    return row


def _lanes(lanes: Mapping[tuple[str, str], int]) -> bytes:
    """Return the lanes with most calls, as many as fit into a row."""
    listed = [[*lane, count] for lane, count in sorted(lanes.items(), key=lambda each: -each[1])]
    while len(encoded := json_text.encode(listed)) > _MOST_LANE_BYTES:
        listed = listed[: len(listed) // 2]
    return encoded


def _from_row(row: Row) -> AudiencePage:
    members: Iterable[str] = bytes(row["members"]).decode().split(",")
    return AudiencePage(
        alert_id=row["alertId"],
        number=int(row["RowKey"]),
        after=row["after"],
        up_to=row["upTo"],
        share=row["share"],
        read_at=row["readAt"],
        members=tuple(filter(None, members)),
        lanes={(host, tenant): count for host, tenant, count in json.loads(bytes(row["lanes"]))},
        counts=json.loads(row["counts"]) if "counts" in row else None,
        counted_version=row.get("countedVersion"),
        version=version_of(row),
    )


def _counts_from_row(row: Row) -> PageCounts:
    return PageCounts(
        number=int(row["RowKey"]),
        read_at=row["readAt"],
        counts=json.loads(row["counts"]) if "counts" in row else None,
        counted_version=row.get("countedVersion"),
    )
