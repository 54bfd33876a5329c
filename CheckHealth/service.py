"""Whether storage answers and there is a credential; asks for no token."""

import logging
import threading
import time

from shared.errors import InvalidSettingError, StorageUnavailableError
from shared.wiring import services

_logger = logging.getLogger(__name__)

_KEPT_SECONDS = 10.0

_lock = threading.Lock()
_kept: tuple[float, list[str]] | None = None


def failing_components() -> list[str]:
    """Return the names of what fails, none when all is well; the result is kept for 10 s.

    Everybody can call the function, so it must cost storage next to nothing: one thread checks at
    a time, and others get the result before, if there is one.
    """
    global _kept
    kept = _kept
    if kept is not None and time.monotonic() - kept[0] <= _KEPT_SECONDS:
        return kept[1]
    if not _lock.acquire(blocking=kept is None):
        return kept[1] if kept is not None else []
    try:
        if _kept is kept:
            found = _check()
            _kept = (time.monotonic(), found)
        return _kept[1] if _kept is not None else []
    finally:
        _lock.release()


def _check() -> list[str]:
    try:
        storage = services().storage
    except InvalidSettingError as error:
        _logger.error("%s", error)
        return ["settings"]
    failing = []
    for component, check in (("tables", storage.check_tables), ("queues", storage.check_queues)):
        try:
            check()
        except (InvalidSettingError, StorageUnavailableError) as error:
            _logger.error("%s: %s", component, error)
            failing.append(component)
    return failing
