"""Whether storage answers and there is a credential; asks for no token."""

import logging
import threading
import time

from shared.errors import InvalidSettingError, StorageUnavailableError
from shared.services import services

_logger = logging.getLogger(__name__)

_KEPT_SECONDS = 10.0

_lock = threading.Lock()
_kept: tuple[float, list[str]] | None = None


def failing_components() -> list[str]:
    """Return the names of what fails, none when all is well; what was found is kept for 10 s.

    The function is open to everybody, so it must cost storage next to nothing.
    """
    global _kept
    with _lock:
        if _kept is None or time.monotonic() - _kept[0] > _KEPT_SECONDS:
            _kept = (time.monotonic(), _look())
        return _kept[1]


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
