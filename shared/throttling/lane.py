"""A lane: what is paced together, and the row that all instances share for it.

Table ``lanes``, a row for each lane: what goes to one service host for one tenant. PartitionKey:
the hash of the bot's app id, the host and the tenant's id; RowKey: ``lane``. The row holds the time
of the first slot that is not reserved, and the pause of the lane, if there is one. It is written
only over the version that was read, so no slot and no probe is handed out twice.

A slot is the right to make one call at its time. Instances reserve chunks of slots, larger ones
when more is sent. Where a lane is idle, an instance that comes again takes a share of its pace for
a while: slots that it makes itself, with no further write. What is left of the pace is for all. A
pause holds all instances back. After throttling it ends at a given time. Any
other pause ends when a probe of the lane succeeds: a single call that is let through at intervals.

The row also tells when a call last got through. Each process notes that in its memory, and takes it
along when it writes the row to reserve slots. It writes the row for this alone only when somebody
has asked for it: when a token was refused in the lane.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from shared import json_text
from shared.storage.row_properties import to_fields, to_properties
from shared.storage.tables import Pauses, Table, version_of
from shared.wire_models import canonical_id

_ROW_KEY = "lane"
_KNOWLEDGE_HOLDS = timedelta(seconds=1)
_THROTTLED_TOGETHER = timedelta(seconds=10)
_TOKEN_HOLDS = timedelta(minutes=1)
PROBE_IS_OUT: Final = timedelta(seconds=5)
"""How long a probe may be under way after it was let through."""

Clock = Callable[[], datetime]
Sleep = Callable[[float], None]


@dataclass(frozen=True)
class Lane:
    """What is paced together: the calls to one service host, with its port, for one tenant."""

    host: str
    tenant_id: str = "-"

    @classmethod
    def of(cls, service_url: str, tenant_id: str | None) -> "Lane":
        """Return the lane of what goes to a service URL for a tenant, if it is for one."""
        url = urlsplit(service_url)
        host = url.netloc.rpartition("@")[2].lower()
        host = host.removesuffix(":443" if url.scheme == "https" else ":80")
        return cls(host, canonical_id(tenant_id) if tenant_id else "-")


# Paused while there is no token for the bot. Nothing has slots in it.
CREDENTIAL: Final = Lane("*")


@dataclass(frozen=True)
class LaneState:
    """What stands in the row of a lane.

    ``next_slot_at`` is the first slot that is free; ``next_alert_at`` is when what comes next of an
    alert may be due. With ``probe_seconds`` a pause lasts until it is lifted, and ``paused_until``
    is when the next probe is due; without, it ends then. The last probe was let through at
    ``probed_at``. A call got through at ``passed_at``, or later; ``suspected_at`` is when a token
    was refused, where no call got through since. ``shares`` are the parts of the pace that
    instances have for themselves, by the times when they end, as JSON.
    """

    next_slot_at: datetime | None = None
    next_alert_at: datetime | None = None
    paused_until: datetime | None = None
    pause_reason: str | None = None
    probe_seconds: float | None = None
    probed_at: datetime | None = None
    throttled_conversation: str | None = None
    throttled_at: datetime | None = None
    passed_at: datetime | None = None
    suspected_at: datetime | None = None
    shares: str | None = None

    def is_paused(self, now: datetime) -> bool:
        """Tell whether calls are held back."""
        if self.probe_seconds is not None:
            return True
        return self.paused_until is not None and self.paused_until > now

    def left(self, now: datetime) -> float:
        """Return which part of the pace is left for all."""
        return 1 - sum(self._shares(now).values())

    def lending(self, part: float, until: datetime, now: datetime) -> "LaneState":
        """Return the state once an instance has a part of the pace for itself."""
        shares, end = self._shares(now), until.isoformat()
        lent = {**shares, end: shares.get(end, 0.0) + part}
        return replace(self, shares=json_text.to_text(lent))

    def _shares(self, now: datetime) -> Mapping[str, float]:
        shares: dict[str, float] = json.loads(self.shares or "{}")
        return {end: part for end, part in shares.items() if datetime.fromisoformat(end) > now}

    def alert_at(self, now: datetime) -> datetime:
        """Return when what comes next of an alert may be due: after all that is known to be."""
        times = (now, self.next_alert_at, self.next_slot_at, self.paused_until)
        return max(time for time in times if time is not None)

    @property
    def asks_for_passes(self) -> bool:
        """Whether it is to be written at once when a call gets through."""
        return self.probe_seconds is not None or self.suspected_at is not None

    def has_passed(self, first_refused_at: datetime, now: datetime) -> bool:
        """Tell whether a call got through within a minute, or after a token was first refused."""
        since = min(first_refused_at, now - _TOKEN_HOLDS)
        return self.passed_at is not None and self.passed_at >= since

    def is_probe_due(self, now: datetime) -> bool:
        """Tell whether a call is to be let through, to see whether the pause may end."""
        return self.probe_seconds is not None and not self._is_until_after(now)

    def was_another_throttled(self, conversation: str, now: datetime) -> bool:
        """Tell whether another conversation was throttled just before."""
        if self.throttled_at is None or self.throttled_conversation == conversation:
            return False
        return now - self.throttled_at <= _THROTTLED_TOGETHER

    def paused(self, until: datetime, reason: str) -> "LaneState":
        """Return the state once the Connector has throttled; no pause is made shorter."""
        if self._is_until_after(until):
            return self
        if self.probe_seconds is not None:
            return replace(self, paused_until=until)
        return replace(self, paused_until=until, pause_reason=reason)

    def paused_for_probes(self, until: datetime, seconds: float, reason: str) -> "LaneState":
        """Return the state once nothing gets through but probes, the first of them then."""
        if self.probe_seconds is not None:
            return self
        if self.paused_until is not None:
            until = max(until, self.paused_until)
        return replace(self, paused_until=until, pause_reason=reason, probe_seconds=seconds)

    def probed(self, now: datetime) -> "LaneState":
        """Return the state once a probe was let through; the same when none is due."""
        if self.probe_seconds is None or not self.is_probe_due(now):
            return self
        return replace(
            self, paused_until=now + timedelta(seconds=self.probe_seconds), probed_at=now
        )

    def unprobed(self, now: datetime) -> "LaneState":
        """Return the state once a probe came to nothing: the next one is due at once."""
        if self.probe_seconds is None or self.probed_at is None:
            return self
        if self.paused_until != self.probed_at + timedelta(seconds=self.probe_seconds):
            return self
        return replace(self, paused_until=now, probed_at=None)

    def is_probe_out(self, now: datetime) -> bool:
        """Tell whether a probe may still be under way."""
        return self.probed_at is not None and now - self.probed_at < PROBE_IS_OUT

    def lifted(self) -> "LaneState":
        """Return the state once it was seen that no pause for probes is needed."""
        if self.probe_seconds is None:
            return self
        return replace(
            self, paused_until=None, pause_reason=None, probe_seconds=None, probed_at=None
        )

    def passed(self, at: datetime) -> "LaneState":
        """Return the state once a call got through, where the row asks for that."""
        if not self.asks_for_passes:
            return self
        return replace(self.lifted().knowing(at), suspected_at=None)

    def knowing(self, passed_at: datetime | None) -> "LaneState":
        """Return the state with when a call got through, if that is later than what is known."""
        if passed_at is None or (self.passed_at is not None and self.passed_at >= passed_at):
            return self
        return replace(self, passed_at=passed_at)

    def _is_until_after(self, time: datetime) -> bool:
        return self.paused_until is not None and self.paused_until > time


class LaneRow:
    """A row that all instances change: its state and version as this process knows them."""

    def __init__(self, table: Table, key: str, clock: Clock, sleep: Sleep) -> None:
        self._table = table
        self._key = key
        self._clock = clock
        self._sleep = sleep
        self._version: str | None = None
        self.known_at: datetime | None = None
        self.state = LaneState()
        self.write_lasts = timedelta(0)

    def refresh(self, *, may_be_old: bool = False) -> None:
        """Read the row when what is known is a second old, unless it may be older."""
        if self.known_at is None or (
            not may_be_old and self._clock() - self.known_at >= _KNOWLEDGE_HOLDS
        ):
            self._read()

    def change(self, change: Callable[[LaneState], LaneState]) -> bool:
        """Write what ``change`` makes of the row, and tell whether that is something else.

        ``change`` is called again when somebody else has changed the row.
        """

        pauses = Pauses(self._sleep)
        while True:
            if self.known_at is None:
                self._read()
            state = change(self.state)
            if state == self.state:
                return False
            asked_at = self._clock()
            row = {"PartitionKey": self._key, "RowKey": _ROW_KEY, **to_properties(state)}
            if self._version is None:
                version = self._table.insert(row)
            else:
                version = self._table.replace(row, self._version)
            if version is not None:
                self.state, self._version, self.known_at = state, version, asked_at
                self.write_lasts = self._clock() - asked_at
                return True
            self.known_at = None
            pauses.take()

    def _read(self) -> None:
        asked_at = self._clock()
        row = self._table.get(self._key, _ROW_KEY)
        self.state = LaneState(**to_fields(LaneState, row or {}))
        self._version = version_of(row) if row is not None else None
        self.known_at = asked_at
