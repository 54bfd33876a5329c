"""Who can be reached: marked when the Connector refuses, probed now and then, and unmarked."""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from shared.accounts.account import Account
from shared.accounts.store import StoredAccount
from shared.accounts.suppression import is_probe_due, unreachable_reason
from shared.connector.errors import ConnectorError, Remedy
from shared.deliveries.delivery import Destination
from shared.errors import StorageRefusedError, StorageUnavailableError, SuppressedError
from shared.wiring import Services

_logger = logging.getLogger(__name__)

# An administrator's policy is changed for many people at once, and nothing tells of it.
_DISABLED_PROBE = timedelta(hours=1)
_PROBE_ENDS_WITHIN = timedelta(hours=1)


def mark_out_of_reach(
    error: ConnectorError, destination: Destination, services: Services, began_at: datetime
) -> None:
    """Mark a person as out of reach, until they are heard of or a probe reaches them.

    Here and below, who was heard of since the call ``began_at`` stays as they are.
    """
    if destination.user_id is None:
        return
    is_disabled = error.remedy is Remedy.MARK_DISABLED
    blocked_probe = timedelta(days=services.settings.blocked_probe_days)
    probe_at = datetime.now(UTC) + (_DISABLED_PROBE if is_disabled else blocked_probe)

    def out_of_reach(stored: StoredAccount) -> Account:
        account = stored.account
        # What was sent where they have left may still be changed, but that tells nothing of where
        # they are now.
        if account.has_left(destination.conversation_id or "") or account.has_news_since(began_at):
            return account
        if error.remedy is Remedy.MARK_NOT_INSTALLED:
            return replace(account, installed=False, probe_at=probe_at)
        return replace(account, blocked=True, probe_at=probe_at)

    _note(destination, services, out_of_reach)


def take_person_probe(destination: Destination, services: Services) -> None:
    """Have the call that follows show whether a person can be reached again.

    What it shows says when the next probe is due. Where it shows nothing, that is an hour later.
    Raises SuppressedError when another message is the probe.
    """
    now = datetime.now(UTC)
    next_at = now + min(_PROBE_ENDS_WITHIN, timedelta(days=services.settings.blocked_probe_days))
    is_ours = False

    def probed(stored: StoredAccount) -> Account:
        nonlocal is_ours
        current = stored.account
        is_ours = is_probe_due(current, now)
        return replace(current, probe_at=next_at) if is_ours else current

    changed = services.accounts.change(destination.channel_id, destination.user_id or "", probed)
    if changed is None:
        raise SuppressedError("The person has been erased")
    if not is_ours:
        raise SuppressedError(unreachable_reason(changed.account))


def note_within_reach(destination: Destination, services: Services, began_at: datetime) -> None:
    """Note that a person can be reached again who was out of reach."""

    def within_reach(stored: StoredAccount) -> Account:
        account = stored.account
        if account.has_news_since(began_at):
            return account
        return replace(account, blocked=False, installed=True, probe_at=None)

    _note(destination, services, within_reach)


def _note(
    destination: Destination, services: Services, change: Callable[[StoredAccount], Account]
) -> None:
    try:
        services.accounts.change(destination.channel_id, destination.user_id or "", change)
    except (StorageUnavailableError, StorageRefusedError) as error:
        # No message is to be sent again for this; the next one tells the same.
        _logger.warning("Whether somebody can be reached could not be noted: %s", error)
