"""The slots of a lane that this process has reserved, and its share of the pace."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from shared.errors import HeldBackError, StorageUnavailableError
from shared.storage.tables import Table
from shared.throttling.lane import PROBE_IS_OUT, Clock, LaneRow, LaneState, Sleep

# Reasons of a pause.
THROTTLED: Final = "the Connector asked for fewer calls"
CREDENTIAL_FAILS: Final = "the bot's own credential fails"
CREDENTIAL_REFUSED: Final = "the Connector refuses the bot's credential there"
TOO_MANY: Final = "more calls are waiting than may be made"

SLOT_LASTS: Final = timedelta(seconds=0.1)
"""A slot is lost so long after its time."""

_TRIES = 20
_LONGEST_LEAD = timedelta(seconds=0.5)
_DEMAND_LASTS = timedelta(seconds=0.5)
_LONGEST_CHUNK_SECONDS = 0.4
_FARTHEST_SLOT = timedelta(seconds=2)
_FARTHEST_HTTP_SLOT = timedelta(seconds=1)
_TOO_FAR_RETURNS_BEFORE = timedelta(seconds=1)
_SHORTEST_RETURN = timedelta(seconds=0.5)
_SHORTEST_HTTP_RETURN_SECONDS = 1.0
_SHARE_LASTS = timedelta(seconds=30)
# A share is a part of what is left, as long as more than half is left. So three instances can have
# one, and two fifths of the pace are always left for all.
_SHARE = 0.25
_LEFT_FOR_SHARES = 0.5
_CALLS_WITHOUT_A_LOOK = 20


@dataclass
class _Share:
    """A part of a lane's pace that this process has for itself, until a time.

    What it does not use of it is nobody's.
    """

    until: datetime
    interval: timedelta
    next_at: datetime

    def slot(self, now: datetime) -> datetime | None:
        """Return the time of the next slot in it; None when none is due soon."""
        at = max(now, self.next_at)
        return at if at < self.until and at - now <= max(self.interval, SLOT_LASTS) else None


class LaneSlots:
    """A lane, and the slots of it that this process has reserved.

    Each method holds the lock, also during its round trip to storage: other threads wait for that,
    and find the rest of the chunk.
    """

    def __init__(
        self, table: Table, key: str, rate_per_second: float, clock: Clock, sleep: Sleep
    ) -> None:
        self._row = LaneRow(table, key, clock, sleep)
        self._clock = clock
        self._interval = timedelta(seconds=1 / rate_per_second)
        self._largest_chunk = max(1, int(_LONGEST_CHUNK_SECONDS * rate_per_second))
        self._lock = threading.Lock()
        self._slots: deque[datetime] = deque()
        self._chunk = 0
        self._chunk_ends_at: datetime | None = None
        self._was_slot_lost = False
        self._share: _Share | None = None
        self._used_at: datetime | None = None
        self._looked_at: datetime | None = None
        self._calls_since_look = 0
        self._held_back_until: datetime | None = None
        self._held_back = 0
        self._too_far_returns_at: datetime | None = None
        self._passed_at: datetime | None = None

    def require_open(
        self, *, reserves: bool = False, may_probe: bool = False, is_http: bool = False
    ) -> bool:
        """Raise HeldBackError when the lane is paused, unless a probe is due and this may be it.

        Returns whether it may. ``reserves`` tells that a slot is to be taken next. Who has a share
        of the pace looks at the row after some calls only: it costs a read, and where the lane is
        paused, the first of these calls tells that too.
        """
        with self._lock:
            if self._has_share():
                may_be_old = self._calls_since_look < _CALLS_WITHOUT_A_LOOK
            else:
                # The write that follows notices changes by itself.
                may_be_old = reserves and self._next_in_hand() is None
            self._row.refresh(
                may_be_old=may_be_old and not self._row.state.is_paused(self._clock())
            )
            if self._row.known_at != self._looked_at:
                self._looked_at, self._calls_since_look = self._row.known_at, 0
            state, now = self._row.state, self._clock()
            if not state.is_paused(now):
                return False
            if may_probe and state.is_probe_due(now):
                return True
            raise self._pause_error(state, now, is_http=is_http)

    def take_lane_probe(self, *, is_http: bool = False) -> bool:
        """Tell whether this is the probe that a pause waits for; HeldBackError if another is."""
        with self._lock:
            if self._row.change(lambda state: state.probed(self._clock())):
                return True
            state, now = self._row.state, self._clock()
            if state.is_paused(now):
                raise self._pause_error(state, now, is_http=is_http)
            return False

    def take_slot(self) -> datetime:
        """Return the time of a slot, which is taken from here on."""
        with self._lock:
            for _ in range(_TRIES):
                at = self._next_in_hand()
                next_at = at or self._row.state.next_slot_at
                if next_at is not None and next_at - self._clock() > _FARTHEST_SLOT:
                    raise self._too_far(next_at)
                if at is not None:
                    self._take(at)
                    return at
                self._reserve(_FARTHEST_SLOT)
        raise StorageUnavailableError("Storage is too slow to keep the pace of a lane in it")

    def spend_slot(self) -> None:
        """Take a slot for a call that does not wait for it."""
        with self._lock:
            if (at := self._next_in_hand()) is None:
                self._reserve(_FARTHEST_HTTP_SLOT, is_http=True)
                at = self._next_in_hand()
            if at is not None:
                self._take(at)
                return
            self._row.refresh()
            state, now = self._row.state, self._clock()
            if state.is_paused(now):
                raise self._pause_error(state, now, is_http=True)

    def state(self) -> LaneState:
        """Return what is known of the lane, a second ago at most."""
        with self._lock:
            self._row.refresh()
            return self._row.state

    def take_alert(self, lasts: timedelta) -> datetime:
        """Return when an alert's next calls are due, which take so long together."""
        first = self._clock()

        def taken(state: LaneState) -> LaneState:
            nonlocal first
            now = self._clock()
            first = state.alert_at(now)
            # What a pause holds back is due when it ends, and takes no time from what comes after.
            return state if state.is_paused(now) else replace(state, next_alert_at=first + lasts)

        with self._lock:
            self._row.refresh()
            self._row.change(taken)
        return first

    def note(self, change: Callable[[LaneState], LaneState]) -> None:
        """Write what a call told about the lane."""
        with self._lock:
            self._row.refresh()
            self._row.change(change)

    def note_passed(self) -> None:
        """Note that a call got through: in memory, unless the row asks for it."""
        self._passed_at = passed_at = self._clock()
        if self._row.state.asks_for_passes:
            self.note(lambda state: state.passed(passed_at))

    def suspect(self) -> None:
        """Ask for the next call that gets through, of any process, unless one just did."""

        def suspected(state: LaneState) -> LaneState:
            now = self._clock()
            if state.knowing(self._passed_at).has_passed(now, now):
                return state
            return replace(state, suspected_at=now)

        self.note(suspected)

    def pause_unless_passed(self, first_refused_at: datetime, probe_seconds: float) -> bool:
        """Pause for probes, unless a call got through; tell whether none did."""
        is_paused = False

        def paused(state: LaneState) -> LaneState:
            nonlocal is_paused
            now = self._clock()
            is_paused = not state.knowing(self._passed_at).has_passed(first_refused_at, now)
            if not is_paused:
                return state
            return state.paused_for_probes(now, probe_seconds, CREDENTIAL_REFUSED)

        self.note(paused)
        return is_paused

    def _reserve(self, farthest: timedelta, *, is_http: bool = False) -> None:
        """Reserve a chunk of slots, none of them further ahead than ``farthest``."""
        wanted = self._next_chunk()
        slots: list[datetime] = []
        share: _Share | None = None

        def reserved(state: LaneState) -> LaneState:
            nonlocal share
            share = None
            now = self._clock()
            if state.is_paused(now):
                raise self._pause_error(state, now, is_http=is_http)
            left = state.left(now)
            interval = self._interval / left
            # Where storage is slow, slots from now on would be lost before they are written.
            first = now + min(max(self._row.write_lasts, timedelta(0)), _LONGEST_LEAD)
            if state.next_slot_at is not None:
                first = max(first, state.next_slot_at)
            times = [first + index * interval for index in range(wanted)]
            slots[:] = [at for at in times if at - now <= farthest]
            if not slots:
                return state
            if left > _LEFT_FOR_SHARES and self._may_take_share(state, now):
                part = _SHARE * left
                until = now + _SHARE_LASTS
                share = _Share(until, self._interval / part, first + self._interval / part)
                state = state.lending(part, until, now)
            next_slot_at = slots[-1] + interval
            return replace(state, next_slot_at=next_slot_at).knowing(self._passed_at)

        if self._row.change(reserved):
            self._share = share or self._share
            self._slots.extend(slots)
            self._chunk = wanted
            self._chunk_ends_at = slots[-1]
            self._was_slot_lost = False

    def _may_take_share(self, state: LaneState, now: datetime) -> bool:
        """Tell whether the lane is idle, and this process has used it not long ago."""
        is_idle = state.next_slot_at is None or state.next_slot_at <= now
        is_back = self._used_at is not None and now - self._used_at <= _SHARE_LASTS
        return is_idle and is_back and not self._has_share()

    def _has_share(self) -> bool:
        return self._share is not None and self._clock() < self._share.until

    def _next_in_hand(self) -> datetime | None:
        """Return the time of the next slot that needs no write, None when there is none.

        Slots that are lost are dropped.
        """
        now = self._clock()
        while self._slots and now - self._slots[0] > SLOT_LASTS:
            self._slots.popleft()
            self._was_slot_lost = True
        reserved = self._slots[0] if self._slots else None
        shared = self._share.slot(now) if self._share is not None else None
        return min([at for at in (reserved, shared) if at is not None], default=None)

    def _take(self, at: datetime) -> None:
        """Take the next slot in hand."""
        if self._slots and at == self._slots[0]:
            self._slots.popleft()
        elif self._share is not None:
            self._share.next_at = at + self._share.interval
        self._used_at = at
        self._calls_since_look += 1

    def _next_chunk(self) -> int:
        """Return twice the last chunk when that was used up and is needed again, else 1."""
        if self._was_slot_lost or self._chunk_ends_at is None:
            return 1
        if self._clock() - self._chunk_ends_at > _DEMAND_LASTS:
            return 1
        return min(2 * self._chunk, self._largest_chunk)

    def _too_far(self, next_slot_at: datetime) -> HeldBackError:
        """Return what tells a message to come back when its slot is near."""
        now = self._clock()
        returns_at = max(next_slot_at - _TOO_FAR_RETURNS_BEFORE, now + _SHORTEST_RETURN)
        if self._too_far_returns_at is not None:
            # So that they do not all come back at the same moment.
            returns_at = max(returns_at, self._too_far_returns_at + self._interval)
        self._too_far_returns_at = returns_at
        return HeldBackError(TOO_MANY, (returns_at - now).total_seconds())

    def _pause_error(self, state: LaneState, now: datetime, *, is_http: bool) -> HeldBackError:
        """Return what tells a message to come back after a pause, or when more is known of it."""
        reason, until = state.pause_reason or THROTTLED, state.paused_until or now
        remaining = max((until - now).total_seconds(), 0.0)
        if is_http:
            return HeldBackError(reason, max(remaining, _SHORTEST_HTTP_RETURN_SECONDS))
        if state.is_probe_out(now):
            # How it went is known in a moment, so nothing needs to wait for the next probe.
            remaining = min(remaining, PROBE_IS_OUT.total_seconds())
        if state.paused_until != self._held_back_until:
            self._held_back_until = state.paused_until
            self._held_back = 0
        spread = self._held_back * self._interval.total_seconds()
        self._held_back += 1
        return HeldBackError(reason, remaining + spread)
