"""Limits of channels: so many messages into one conversation in so many seconds.

Each process counts in its own memory. Where several processes send into one conversation, the
Connector has the last word.
"""

import threading
import time
from bisect import insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from shared.errors import HeldBackError

_REASON = "the conversation got as many messages as its channel takes"
# With fewer conversations than this, looking for those to drop is not worth its time.
_FEW_CONVERSATIONS = 1024


@dataclass
class _Calls:
    """The times of the latest calls, in order, some in the future; and until when they matter."""

    times: list[float] = field(default_factory=list)
    returns_at: float = 0.0
    matter_until: float = 0.0


class ConversationLimits:
    """Counts the calls into each conversation, and tells how long the next one must wait.

    Limits are pairs: so many calls in any so many seconds. Where there are none, nothing is kept.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._conversations: dict[str, _Calls] = {}
        self._clean_at = _FEW_CONVERSATIONS

    def take(
        self,
        conversation_id: str | None,
        limits: Sequence[tuple[int, float]],
        *,
        patience_seconds: float,
    ) -> float:
        """Return the seconds to wait before the call; it is counted as made then.

        A start has no conversation yet, and is not counted. Raises HeldBackError, counting nothing,
        when that is more than ``patience_seconds``.
        """
        if conversation_id is None or not limits:
            return 0.0
        with self._lock:
            now = self._clock()
            calls = self._calls(conversation_id, now)
            full = [(count, seconds) for count, seconds in limits if len(calls.times) >= count]
            at = max([now, *[calls.times[-count] + seconds for count, seconds in full]])
            if at - now > patience_seconds:
                raise HeldBackError(_REASON, _return_at(calls, at, limits) - now)
            _add(calls, at, limits)
            return at - now

    def count(self, conversation_id: str | None, limits: Sequence[tuple[int, float]]) -> None:
        """Count a call over HTTP, which is made at once, whatever the limits are."""
        if conversation_id is None or not limits:
            return
        with self._lock:
            now = self._clock()
            _add(self._calls(conversation_id, now), now, limits)

    def _calls(self, conversation_id: str, now: float) -> _Calls:
        if conversation_id not in self._conversations:
            if len(self._conversations) >= self._clean_at:
                self._forget(now)
            self._conversations[conversation_id] = _Calls()
        return self._conversations[conversation_id]

    def _forget(self, now: float) -> None:
        self._conversations = {
            conversation_id: calls
            for conversation_id, calls in self._conversations.items()
            if calls.matter_until > now
        }
        # Next when there are twice as many: so the work for each new conversation stays the same.
        self._clean_at = max(_FEW_CONVERSATIONS, 2 * len(self._conversations))


def _return_at(calls: _Calls, at: float, limits: Sequence[tuple[int, float]]) -> float:
    """Return when a call that is held back may come back: one after the other, at full pace."""
    pace = max(seconds / count for count, seconds in limits)
    calls.returns_at = max(at, calls.returns_at + pace)
    calls.matter_until = max(calls.matter_until, calls.returns_at)
    return calls.returns_at


def _add(calls: _Calls, at: float, limits: Sequence[tuple[int, float]]) -> None:
    insort(calls.times, at)
    # No limit looks further back.
    del calls.times[: -max([count for count, _ in limits])]
    calls.matter_until = max(calls.matter_until, at + max([seconds for _, seconds in limits]))
