"""Finding and changing incidents: what other systems say is wrong, and which alert tells of it.

Table ``incidents``, a row for each incident. PartitionKey: the hash of the bot's app id, the
sender, the part of the URL's query that says who is told, and the sender's own key; RowKey:
``incident``.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from shared import json_text
from shared.storage.clients import Storage
from shared.storage.row_properties import to_fields, to_properties
from shared.storage.tables import Row, Table, key_of

_ROW_KEY = "incident"

IncidentState = Literal["firing", "resolved"]


@dataclass(frozen=True)
class Incident:
    """What is known of an incident: what people are shown of it, and how far that is.

    ``sender``, ``query`` and ``key`` name it: ``query`` is the part of the URL's that says who is
    told, as JSON. ``occurrence`` is the sender's name for this time that it fires; None where it
    gives none. ``time`` is the sender's own of the last event, and ``last_event_at`` ours; a repeat
    is noted once a day. ``tells_end`` is False where the sender may never say that it is over: each
    repeat is noted there, as the last one says how long it is the same. ``resolved_at`` is when it
    was told that this occurrence is over, by our clock; None where a later one took its place.
    ``fires_on_since`` is when we heard that it fires all the same; None for an occurrence that was
    never resolved before.

    The alert ``alert_id`` tells of it, if any does. Each change of what people are shown is a new
    ``revision``; ``first_revision`` is that by which this occurrence began, and ``told`` the one
    that the alert was brought to last, None while there is no alert. With ``takes_answers`` people
    may answer.
    """

    sender: str
    query: str
    key: str
    state: IncidentState
    topic: str
    title: str
    last_event_at: datetime
    occurrence: str | None = None
    time: datetime | None = None
    severity: str | None = None
    text: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
    link: str | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    tells_end: bool = True
    resolved_at: datetime | None = None
    fires_on_since: datetime | None = None
    alert_id: str | None = None
    revision: int = 1
    first_revision: int = 1
    told: int | None = None
    takes_answers: bool = False

    @property
    def is_told(self) -> bool:
        """Whether there is nothing that people are to be shown anew."""
        return self.alert_id is None or self.told == self.revision

    @property
    def own_alert_id(self) -> str:
        """The id of the alert that tells of this occurrence and of no former one."""
        began = f"{self.starts_at} {self.first_revision}"
        return f"incident-{key_of(self.sender, self.query, self.key, began)[:40]}"


class IncidentStore:
    """Finds and changes incidents."""

    def __init__(self, storage: Storage, app_id: str) -> None:
        self._table = Table(storage, "incidents")
        self._app_id = app_id

    def find(self, sender: str, query: str, key: str) -> Incident | None:
        """Return an incident, None where nothing was heard of it."""
        row = self._table.get(key_of(self._app_id, sender, query, key), _ROW_KEY)
        return _from_row(row) if row is not None else None

    def change(
        self,
        sender: str,
        query: str,
        key: str,
        change: Callable[[Incident | None], Incident | None],
    ) -> Incident | None:
        """Write what ``change`` makes of an incident, and return it.

        ``change`` takes None where nothing was heard of it. It is called again when somebody else
        was faster; an equal incident is not written.
        """
        changed: Incident | None = None

        def written(row: Row | None) -> Row | None:
            nonlocal changed
            known = _from_row(row) if row is not None else None
            changed = change(known)
            if changed is None or changed == known:
                return row
            return self._to_row(changed)

        keys = {"PartitionKey": key_of(self._app_id, sender, query, key), "RowKey": _ROW_KEY}
        self._table.change(keys, written)
        return changed

    def page(
        self, size: int, token: str | None = None, *, state: IncidentState | None = None
    ) -> tuple[list[Incident], str | None]:
        """Return a page of all incidents, or of those in a state, and the token of the next page.

        A page may be empty: go on until there is no token. Raises InvalidRequestError for a token
        that this list did not give.
        """
        query, parameters = "appId eq @appId", {"appId": self._app_id}
        if state is not None:
            query, parameters = f"{query} and state eq @state", {**parameters, "state": state}
        rows, next_token = self._table.page(query, parameters, size=size, token=token)
        return [_from_row(row) for row in rows], next_token

    def _to_row(self, incident: Incident) -> Row:
        return {
            **to_properties(incident),
            "PartitionKey": key_of(self._app_id, incident.sender, incident.query, incident.key),
            "RowKey": _ROW_KEY,
            "appId": self._app_id,
            "details": json_text.to_text(dict(incident.details)),
        }


def _from_row(row: Row) -> Incident:
    return Incident(**to_fields(Incident, row) | {"details": json.loads(row["details"])})
