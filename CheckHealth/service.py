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
    """Return the names of what fails, none when all is well; what was found is kept for 10 s.

    The function is open to everybody, so it must cost storage next to nothing: one looks at a
    time, and who comes meanwhile gets what was found before, if anything was.
    """
    global _kept
    kept = _kept
    if kept is not None and time.monotonic() - kept[0] <= _KEPT_SECONDS:
        return kept[1]
    if not _lock.acquire(blocking=kept is None):
        return kept[1] if kept is not None else []
    try:
        if _kept is kept:
            found = _look()
            _kept = (time.monotonic(), found)
        return _kept[1] if _kept is not None else []
    finally:
        _lock.release()


def _look() -> list[str]:
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
