"""Handing out slots, and holding back what must wait."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.errors import HeldBackError, StorageUnavailableError
from shared.storage.account import Storage
from shared.storage.tables import Table, key_of
from shared.throttling.lane import CREDENTIAL, PROBE_IS_OUT, Clock, Lane, LaneRow, LaneState, Sleep

_logger = logging.getLogger(__name__)

# Reasons of a pause.
THROTTLED: Final = "the Connector asked for fewer calls"
DISABLED: Final = "an administrator has disabled the bot"
CREDENTIAL_FAILS: Final = "the bot's own credential fails"
_TOO_MANY = "more calls are waiting than may be made"

_TRIES = 20
_SLOT_LASTS = timedelta(seconds=0.1)
_LONGEST_LEAD = timedelta(seconds=0.5)
_DEMAND_LASTS = timedelta(seconds=0.5)
_LONGEST_CHUNK_SECONDS = 0.4
_FARTHEST_SLOT = timedelta(seconds=2)
_FARTHEST_HTTP_SLOT = timedelta(seconds=1)
_TOO_FAR_RETURNS_BEFORE = timedelta(seconds=1)
_SHORTEST_RETURN = timedelta(seconds=0.5)
_SHORTEST_HTTP_RETURN_SECONDS = 1.0
_DEFAULT_RETRY_AFTER_SECONDS = 10.0
_CREDENTIAL_PROBE_SECONDS = 60.0
# Alerts leave this part of a lane's pace to single messages, which must not wait for an alert to
# everybody.
_LEFT_BY_ALERTS = 0.1


@dataclass(frozen=True)
class Slot:
    """The right to make one call in a lane, at its time.

    ``probes`` is the paused lane that goes on when the call comes through.
    """

    lane: Lane
    at: datetime
    probes: Lane | None = None


class Pacer:
    """Hands out slots, and holds back what must wait; one for all threads of the process.

    ``reserve``, ``wait`` and ``count`` raise HeldBackError when the call must not be made now, and
    StorageUnavailableError when storage cannot tell. What is noted after a call raises nothing: the
    call was made, and the next one will meet the same.
    """

    def __init__(
        self,
        storage: Storage,
        app_id: str,
        *,
        rate_per_second: float,
        clock: Clock = lambda: datetime.now(UTC),
        sleep: Sleep = time.sleep,
    ) -> None:
        """``rate_per_second`` is the most calls in a lane each second."""
        self._table = Table(storage, "lanes")
        self._app_id = app_id
        self._rate_per_second = rate_per_second
        self._clock = clock
        self._sleep = sleep
        self._lanes: dict[Lane, _SharedLane] = {}
        self._lock = threading.Lock()
        # Whether the credential may fail. While it is known to be good, its lane is not read.
        self._is_suspicious = True

    def reserve(self, lane: Lane) -> Slot:
        """Return a slot for a call that a queue asks for; it is at most two seconds away.

        Where a probe is due, one of all who ask at once gets it, and its slot is due at once. The
        probe is used up even when no call is made, so ask only when you are about to make one.
        """
        probe = self._probe(lane)
        return probe or Slot(lane, self._shared(lane).take_slot())

    def wait(self, slot: Slot) -> Slot:
        """Sleep until a slot is due, and return the slot to use: another one where it was lost.

        A slot is lost a tenth of a second after its time.
        """
        while slot.probes is None:
            ahead = (slot.at - self._clock()).total_seconds()
            if ahead > 0:
                self._sleep(ahead)
            for _, shared in self._gates(slot.lane):
                shared.require_open()
            if not _is_lost(slot.at, self._clock()):
                break
            slot = self.reserve(slot.lane)
        return slot

    def count(self, lane: Lane) -> Slot:
        """Count a call over HTTP, which is made at once: it takes a slot, but does not wait for it.

        Further than a second ahead no slot is reserved for it. A pause holds it back, unless it is
        the probe: without messages on the queues, the pause would never end.
        """
        probe = self._probe(lane, is_http=True)
        if probe is None:
            self._shared(lane).spend_slot()
        return probe or Slot(lane, self._clock())

    def schedule(self, calls: Mapping[Lane, int], *, within: timedelta) -> dict[Lane, datetime]:
        """Return when the first of an alert's next calls is due in each lane; they are spaced.

        No slots are reserved: each call takes one when it is due. Raises HeldBackError, scheduling
        none, when not all of them are due ``within`` that time. Calls wait for a paused lane only
        when there are no calls in other lanes.
        """
        now = self._clock()
        shared = {lane: self._shared(lane) for lane in calls}
        ends: list[datetime] = []
        ends_of_paused: list[datetime] = []
        for lane, count in calls.items():
            gates = [gate.state() for _, gate in self._gates(lane)]
            first = max(gate.alert_at(now) for gate in gates)
            is_paused = any(gate.is_paused(now) for gate in gates)
            end = first + count * self.alert_interval
            (ends_of_paused if is_paused else ends).append(end)
        latest = max(ends or ends_of_paused, default=now)
        if latest > now + within:
            raise HeldBackError(_TOO_MANY, (latest - within - now).total_seconds())
        return {
            lane: each.take_alert(calls[lane] * self.alert_interval)
            for lane, each in shared.items()
        }

    @property
    def alert_interval(self) -> timedelta:
        """The time between an alert's calls in a lane."""
        return timedelta(seconds=1 / (self._rate_per_second * (1 - _LEFT_BY_ALERTS)))

    def throttled(
        self, lane: Lane, conversation_id: str | None, retry_after_seconds: float | None
    ) -> None:
        """Note that the Connector throttled a call; ``conversation_id`` is None for a start.

        One conversation may have hit its own limit. A start, or two conversations within ten
        seconds, mean that the whole lane is too fast. It pauses, for ten seconds by default.
        """
        conversation = key_of(conversation_id) if conversation_id is not None else None
        if retry_after_seconds is None:
            retry_after_seconds = _DEFAULT_RETRY_AFTER_SECONDS
        pause = timedelta(seconds=retry_after_seconds)

        def noted(state: LaneState) -> LaneState:
            now = self._clock()
            whole_lane = conversation is None or state.was_another_throttled(conversation, now)
            if conversation is not None:
                state = replace(state, throttled_conversation=conversation, throttled_at=now)
            return state.paused(now + pause, THROTTLED) if whole_lane else state

        self._note(lane, noted)

    def pause(self, lane: Lane, *, probe_seconds: float, reason: str) -> None:
        """Pause a lane until a probe comes through, with a probe each so many seconds.

        ``reason`` goes into answers, as in "Held back: an administrator has disabled the bot".
        """
        self._note(
            lane,
            lambda state: state.paused_for_probes(
                self._clock() + timedelta(seconds=probe_seconds), probe_seconds, reason
            ),
        )

    def refused(self) -> None:
        """Note that the bot's credential failed: there was no token, or it was answered with 401.

        Everything pauses, but for a probe at once and then one a minute.
        """
        self._is_suspicious = True
        self._note(
            CREDENTIAL,
            lambda state: state.paused_for_probes(
                self._clock(), _CREDENTIAL_PROBE_SECONDS, CREDENTIAL_FAILS
            ),
        )

    def passed(self, slot: Slot) -> None:
        """Note that the call of a slot reached the Connector, and the credential was good.

        If the slot was a probe, that ends the pause. So do not call this for a probe that found its
        lane still disabled, or set the pause again.
        """
        self._is_suspicious = False
        if slot.probes is not None:
            self._note(slot.probes, LaneState.lifted)

    def _probe(self, lane: Lane, *, is_http: bool = False) -> Slot | None:
        """Return the slot of a probe, where one is due; raise HeldBackError during a pause."""
        gates = self._gates(lane)
        for gate, shared in gates:
            shared.require_open(reserves=gate == lane, may_probe=True, is_http=is_http)
        for gate, shared in gates:
            if shared.take_probe(is_http=is_http):
                return Slot(lane, self._clock(), probes=gate)
        return None

    def _note(self, lane: Lane, change: "Callable[[LaneState], LaneState]") -> None:
        try:
            self._shared(lane).note(change)
        except StorageUnavailableError as error:
            _logger.warning("What a call told about the pace could not be noted: %s", error)

    def _gates(self, lane: Lane) -> "list[tuple[Lane, _SharedLane]]":
        """Return the lanes whose pauses hold a call in this lane back."""
        lanes = (CREDENTIAL, lane) if self._is_suspicious else (lane,)
        return [(each, self._shared(each)) for each in lanes]

    def _shared(self, lane: Lane) -> "_SharedLane":
        with self._lock:
            shared = self._lanes.get(lane)
            if shared is None:
                key = key_of(self._app_id, lane.host, lane.tenant_id)
                shared = _SharedLane(
                    self._table, key, self._rate_per_second, self._clock, self._sleep
                )
                self._lanes[lane] = shared
            return shared


class _SharedLane:
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
        self._held_back_until: datetime | None = None
        self._held_back = 0
        self._too_far_returns_at: datetime | None = None

    def require_open(
        self, *, reserves: bool = False, may_probe: bool = False, is_http: bool = False
    ) -> None:
        """Raise HeldBackError when the lane is paused, unless a probe is due and this may be it.

        ``reserves`` tells that a slot is to be taken next.
        """
        with self._lock:
            self._drop_lost_slots()
            is_paused = self._row.state.is_paused(self._clock())
            self._row.refresh(write_follows=reserves and not self._slots and not is_paused)
            if not (may_probe and self._row.state.is_probe_due(self._clock())):
                self._require_open(self._row.state, is_http=is_http)

    def take_probe(self, *, is_http: bool = False) -> bool:
        """Tell whether this is the probe that a pause waits for; HeldBackError if another is."""
        with self._lock:
            if not self._row.state.is_paused(self._clock()):
                return False
            if self._row.change(lambda state: state.probed(self._clock())):
                return True
            self._require_open(self._row.state, is_http=is_http)
            return False

    def take_slot(self) -> datetime:
        """Return the time of a slot, which is taken from here on."""
        with self._lock:
            for _ in range(_TRIES):
                self._drop_lost_slots()
                self._require_near()
                if self._slots:
                    return self._slots.popleft()
                self._reserve(lambda ahead: self._largest_chunk if ahead <= _FARTHEST_SLOT else 0)
        raise StorageUnavailableError("Storage is too slow to keep the pace of a lane in it")

    def spend_slot(self) -> None:
        """Take a slot for a call that does not wait for it."""
        with self._lock:
            self._drop_lost_slots()
            if not self._slots:
                self._reserve(
                    lambda ahead: (_FARTHEST_HTTP_SLOT - ahead) // self._interval, is_http=True
                )
            if self._slots:
                self._slots.popleft()
                return
            self._row.refresh()
            self._require_open(self._row.state, is_http=True)

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

    def _reserve(self, most: Callable[[timedelta], int], *, is_http: bool = False) -> None:
        """Reserve a chunk of slots, of which ``most`` are allowed when it is so far ahead."""
        wanted = self._next_chunk()
        slots: list[datetime] = []

        def reserved(state: LaneState) -> LaneState:
            self._require_open(state, is_http=is_http)
            now = self._clock()
            # Where storage is slow, slots from now on would be lost before they are written.
            first = now + min(max(self._row.write_lasts, timedelta(0)), _LONGEST_LEAD)
            if state.next_slot_at is not None:
                first = max(first, state.next_slot_at)
            count = max(0, min(wanted, most(first - now)))
            slots[:] = [first + index * self._interval for index in range(count)]
            return replace(state, next_slot_at=first + count * self._interval) if count else state

        if self._row.change(reserved):
            self._slots.extend(slots)
            self._chunk = wanted
            self._chunk_ends_at = slots[-1]
            self._was_slot_lost = False

    def _next_chunk(self) -> int:
        """Return twice the last chunk when that was used up and is needed again, else 1."""
        if self._was_slot_lost or self._chunk_ends_at is None:
            return 1
        if self._clock() - self._chunk_ends_at > _DEMAND_LASTS:
            return 1
        return min(2 * self._chunk, self._largest_chunk)

    def _drop_lost_slots(self) -> None:
        now = self._clock()
        while self._slots and _is_lost(self._slots[0], now):
            self._slots.popleft()
            self._was_slot_lost = True

    def _require_near(self) -> None:
        next_slot_at = self._slots[0] if self._slots else self._row.state.next_slot_at
        now = self._clock()
        if next_slot_at is None or next_slot_at - now <= _FARTHEST_SLOT:
            return
        returns_at = max(next_slot_at - _TOO_FAR_RETURNS_BEFORE, now + _SHORTEST_RETURN)
        if self._too_far_returns_at is not None:
            # So that they do not all come back at the same moment.
            returns_at = max(returns_at, self._too_far_returns_at + self._interval)
        self._too_far_returns_at = returns_at
        raise HeldBackError(_TOO_MANY, (returns_at - now).total_seconds())

    def _require_open(self, state: LaneState, *, is_http: bool = False) -> None:
        now = self._clock()
        if not state.is_paused(now) or state.paused_until is None:
            return
        reason = state.pause_reason or THROTTLED
        remaining = max((state.paused_until - now).total_seconds(), 0.0)
        if is_http:
            raise HeldBackError(reason, max(remaining, _SHORTEST_HTTP_RETURN_SECONDS))
        if state.is_probe_out(now):
            # How it went is known in a moment, so nothing needs to wait for the next probe.
            remaining = min(remaining, PROBE_IS_OUT.total_seconds())
        if state.paused_until != self._held_back_until:
            self._held_back_until = state.paused_until
            self._held_back = 0
        spread = self._held_back * self._interval.total_seconds()
        self._held_back += 1
        raise HeldBackError(reason, remaining + spread)


def _is_lost(slot: datetime, now: datetime) -> bool:
    return now - slot > _SLOT_LASTS
