"""Handing out slots, and holding back what must wait."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

from shared.errors import HeldBackError, StorageUnavailableError
from shared.storage.clients import Storage
from shared.storage.tables import Table, key_of
from shared.throttling.lane import CREDENTIAL, Clock, Lane, LaneState, Sleep
from shared.throttling.lane_slots import (
    CREDENTIAL_FAILS,
    SLOT_LASTS,
    THROTTLED,
    TOO_MANY,
    LaneSlots,
)

_logger = logging.getLogger(__name__)

_DEFAULT_RETRY_AFTER_SECONDS = 10.0
# A pause holds everything of a tenant back, so that its next call shows whether it still holds.
_LONGEST_PAUSE_SECONDS = 600.0
_PROBE_SECONDS = 60.0
# So that another message than this one is the next probe of the lane.
_REFUSED_RETURNS_AFTER_SECONDS = 120.0
# Alerts leave this part of a lane's pace to single messages, which must not wait for an alert to
# everybody.
_LEFT_BY_ALERTS = 0.1
_THREADS = 8

_T = TypeVar("_T")


@dataclass(frozen=True)
class Slot:
    """The right to make one call in a lane, at its time.

    ``probes`` is the paused lane that the call is the probe of.
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
        clock: Clock = partial(datetime.now, UTC),
        sleep: Sleep = time.sleep,
    ) -> None:
        """``rate_per_second`` is the most calls in a lane each second."""
        self._table = Table(storage, "lanes")
        self._app_id = app_id
        self._rate_per_second = rate_per_second
        self._clock = clock
        self._sleep = sleep
        self._lanes: dict[Lane, LaneSlots] = {}
        self._lock = threading.Lock()
        # Whether there may be no token. While one is known to be had, that lane is not read.
        self._is_suspicious = True

    def reserve(self, lane: Lane) -> Slot:
        """Return a slot for a call that a queue asks for; it is at most two seconds away.

        Where a probe is due, one of all who ask at once gets it, and its slot is due at once. Give
        it back when no call is made.
        """
        probe = self._lane_probe(lane)
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
            if self._clock() - slot.at <= SLOT_LASTS:
                break
            slot = self.reserve(slot.lane)
        return slot

    def count(self, lane: Lane) -> Slot:
        """Count a call over HTTP, which is made at once: it takes a slot, but does not wait for it.

        Further than a second ahead no slot is reserved for it. A pause holds it back, unless it is
        the probe: without messages on the queues, the pause would never end.
        """
        probe = self._lane_probe(lane, is_http=True)
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
        lanes = list(calls)
        states = self._of_each(lanes, lambda lane: [each.state() for _, each in self._gates(lane)])
        ends: list[datetime] = []
        ends_of_paused: list[datetime] = []
        for lane, gates in zip(lanes, states, strict=True):
            first = max(gate.alert_at(now) for gate in gates)
            is_paused = any(gate.is_paused(now) for gate in gates)
            end = first + calls[lane] * self.alert_interval
            (ends_of_paused if is_paused else ends).append(end)
        latest = max(ends or ends_of_paused, default=now)
        if latest > now + within:
            raise HeldBackError(TOO_MANY, (latest - within - now).total_seconds())

        def taken(lane: Lane) -> datetime:
            return self._shared(lane).take_alert(calls[lane] * self.alert_interval)

        return dict(zip(lanes, self._of_each(lanes, taken), strict=True))

    @property
    def alert_interval(self) -> timedelta:
        """The time between an alert's calls in a lane."""
        return timedelta(seconds=1 / (self._rate_per_second * (1 - _LEFT_BY_ALERTS)))

    def throttled(
        self, lane: Lane, conversation_id: str | None, retry_after_seconds: float | None
    ) -> None:
        """Note that the Connector throttled a call; ``conversation_id`` is None for a start.

        One conversation may have hit its own limit. A start, or two conversations within ten
        seconds, mean that the whole lane is too fast. It pauses: ten seconds by default, and ten
        minutes at most.
        """
        conversation = key_of(conversation_id) if conversation_id is not None else None
        if retry_after_seconds is None:
            retry_after_seconds = _DEFAULT_RETRY_AFTER_SECONDS
        pause = timedelta(seconds=min(retry_after_seconds, _LONGEST_PAUSE_SECONDS))

        def noted(state: LaneState) -> LaneState:
            now = self._clock()
            whole_lane = conversation is None or state.was_another_throttled(conversation, now)
            if conversation is not None:
                state = replace(state, throttled_conversation=conversation, throttled_at=now)
            return state.paused(now + pause, THROTTLED) if whole_lane else state

        self._note(lane, noted)

    def no_token(self) -> None:
        """Note that there was no token for the bot.

        Everything pauses, but for a probe at once and then one a minute.
        """
        self._is_suspicious = True
        self._note(
            CREDENTIAL,
            lambda state: state.paused_for_probes(self._clock(), _PROBE_SECONDS, CREDENTIAL_FAILS),
        )

    def had_token(self, slot: Slot) -> None:
        """Note that there was a token for the call of a slot."""
        self._is_suspicious = False
        if slot.probes == CREDENTIAL:
            self._note(CREDENTIAL, LaneState.lifted)

    def suspect(self, slot: Slot) -> tuple[datetime, float]:
        """Note that a token was refused for a message, which a new one may mend.

        Returns when that was, and after how many seconds the message is to come back. Meanwhile
        the other processes write down that a call gets through.
        """
        with self._told():
            self._shared(slot.lane).suspect()
        is_probe = slot.probes == slot.lane
        return self._clock(), _REFUSED_RETURNS_AFTER_SECONDS if is_probe else 0.0

    def refused(self, slot: Slot, first_refused_at: datetime) -> float | None:
        """Note that a token was refused for a message once more, after ``first_refused_at``.

        Where no other call got through within a minute, or since then, its lane pauses, but for a
        probe at once and then one a minute. Returns after how many seconds the message is to come
        back; None where it is the message that is refused, not the lane.
        """
        with self._told():
            shared = self._shared(slot.lane)
            if slot.probes != slot.lane and shared.state().is_paused(self._clock()):
                return 0.0
            if not shared.pause_unless_passed(first_refused_at, _PROBE_SECONDS):
                return None
        return _REFUSED_RETURNS_AFTER_SECONDS

    def give_back(self, slot: Slot) -> None:
        """Note that no call is made for a slot; if it was that of a probe, another one is due."""
        if slot.probes is not None:
            self._note(slot.probes, lambda state: state.unprobed(self._clock()))

    def passed(self, slot: Slot) -> None:
        """Note that the call of a slot got through to the Connector, with the bot's token.

        That ends a pause for probes, whether or not the slot was the probe.
        """
        with self._told():
            self._shared(slot.lane).note_passed()

    def _lane_probe(self, lane: Lane, *, is_http: bool = False) -> Slot | None:
        """Return the slot of a probe, where one is due; raise HeldBackError during a pause."""
        due = [
            (gate, shared)
            for gate, shared in self._gates(lane)
            if shared.require_open(reserves=gate == lane, may_probe=True, is_http=is_http)
        ]
        for gate, shared in due:
            if shared.take_lane_probe(is_http=is_http):
                return Slot(lane, self._clock(), probes=gate)
        return None

    def _of_each(self, lanes: list[Lane], ask: Callable[[Lane], _T]) -> list[_T]:
        """Return what is asked of each lane; a page of an alert may have hundreds of them."""
        if len(lanes) < 2:
            return [ask(lane) for lane in lanes]
        with ThreadPoolExecutor(_THREADS) as threads:
            return list(threads.map(ask, lanes))

    def _note(self, lane: Lane, change: Callable[[LaneState], LaneState]) -> None:
        with self._told():
            self._shared(lane).note(change)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Go on where storage does not take what a call told."""
        try:
            yield
        except StorageUnavailableError as error:
            _logger.warning("What a call told about the pace could not be noted: %s", error)

    def _gates(self, lane: Lane) -> list[tuple[Lane, LaneSlots]]:
        """Return the lanes whose pauses hold a call in this lane back."""
        lanes = (CREDENTIAL, lane) if self._is_suspicious else (lane,)
        return [(each, self._shared(each)) for each in lanes]

    def _shared(self, lane: Lane) -> LaneSlots:
        with self._lock:
            shared = self._lanes.get(lane)
            if shared is None:
                key = key_of(self._app_id, lane.host, lane.tenant_id)
                shared = LaneSlots(
                    self._table, key, self._rate_per_second, self._clock, self._sleep
                )
                self._lanes[lane] = shared
            return shared
