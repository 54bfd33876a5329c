"""Reading the audience of an alert in batches: who is in it, and who gets nothing.

A person may be found at two places, by two ids, when it becomes known meanwhile that both are
theirs. They are a member at the place that was read first alone.
"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from shared.accounts.account import Account
from shared.accounts.suppression import suppression_reason
from shared.alerts.alert import Alert
from shared.alerts.audience_pages import AudiencePage
from shared.connector.channel_features import TEAMS
from shared.throttling.lane import Lane
from shared.wire_models import canonical_id
from shared.wiring import Services

_ROWS_AT_ONCE = 250
_THREADS = 8
# Where few people match, the search ends early too, long before the Functions host would stop it.
_LONGEST_SEARCH_SECONDS = 20.0
_HEX_DIGITS = 8
_SHARES: Final = 1 << 4 * _HEX_DIGITS
_KEY_ID_DIGITS = 32


@dataclass(frozen=True)
class Member:
    """A person in the audience of an alert; ``account`` is None when they are not cached."""

    id: str
    channel_id: str
    user_id: str
    account: Account | None

    def refusal(self, topic: str | None) -> str | None:
        """Return, as a sentence, why this person gets nothing; None if nothing is against it."""
        return suppression_reason(self.account, topic) if self.account else None

    @property
    def calls(self) -> int:
        """How many calls it takes to reach them."""
        return 1 if self.account and self.account.conversation else 2

    def lane(self, services: Services) -> Lane:
        """Return which lane these calls are in."""
        account, settings = self.account, services.settings
        service_url = (account and account.service_url) or settings.service_url(self.channel_id)
        tenant_id = account.tenant_id if account else None
        if tenant_id is None and self.channel_id == TEAMS and self.calls > 1:
            # Their conversation is started in the bot's own tenant.
            tenant_id = settings.tenant_id or None
        return Lane.of(service_url, tenant_id)


@dataclass(frozen=True)
class Batch:
    """Consecutive members of an audience, up to a place; ``share`` of the whole lies before it.

    A place is the key of an account or its first digits, or a number of recipients; the empty one
    is the beginning.
    """

    members: list[Member]
    up_to: str
    share: float


def read_batch(
    alert: Alert,
    recipients: Sequence[tuple[str, str]],
    services: Services,
    *,
    after: str,
    limit: int,
    up_to: str = "",
    page: AudiencePage | None = None,
) -> Batch:
    """Return the next members of an alert's audience after a place, at most ``limit``.

    Where they are the last ones before the place ``up_to``, the batch ends there; without one, with
    the last person. ``recipients`` are the channel and user ids of the people that the alert names,
    if any. A ``page`` that was recorded before is read again: those of its members who are still
    there.
    """
    if alert.recipient_count is not None:
        batch = _read_recipients(alert, recipients, services, after, limit, up_to, page)
    else:
        batch = _read_accounts(alert, services, after, limit, up_to, page)
    if page is None:
        return batch
    recorded = set(page.members)
    remaining = [each for each in batch.members if each.id in recorded]
    return Batch(remaining, page.up_to, page.share)


def batches(
    alert: Alert, recipients: Sequence[tuple[str, str]], services: Services
) -> Iterator[Batch]:
    """Yield an alert's whole audience."""
    after = ""
    while True:
        batch = read_batch(alert, recipients, services, after=after, limit=_ROWS_AT_ONCE)
        yield batch
        if batch.share >= 1:
            return
        after = batch.up_to


def share_at(place: str, alert: Alert) -> float:
    """Return which part of an audience lies before a place: keys are spread evenly.

    It is a multiple of a power of two, so that sums of such parts are exact.
    """
    if not place:
        return 0.0
    if alert.recipient_count is not None:
        before = int(place) * _SHARES // max(alert.recipient_count, 1)
    else:
        before = int(place[:_HEX_DIGITS], 16)
    return before / _SHARES


def parts(alert: Alert, after: str, up_to: str, count: int) -> list[tuple[str, str]]:
    """Return so many even parts of an audience between two places, each by its own two places."""
    first, last = share_at(after, alert), share_at(up_to, alert) if up_to else 1.0
    shares = [first + (last - first) * number / count for number in range(1, count)]
    if alert.recipient_count is not None:
        places = [str(int(share * alert.recipient_count)) for share in shares]
    else:
        places = [f"{int(share * _SHARES):0{_HEX_DIGITS}x}" for share in shares]
    return list(pairwise([after, *places, up_to]))


def _read_accounts(
    alert: Alert, services: Services, after: str, limit: int, up_to: str, page: AudiencePage | None
) -> Batch:
    batch = _scan(alert, services, after, limit, up_to, page)
    former_ids = {
        each for member in batch.members if member.account for each in member.account.former_key_ids
    }
    if not former_ids:
        return batch
    # Members of a recorded page stay there, though they are found to be on a later one too.
    before = page.number if page else None
    known = services.audience_pages.members_among(alert.id, former_ids, before=before)
    members = [
        each
        for each in batch.members
        if each.account is None or known.isdisjoint(each.account.former_key_ids)
    ]
    return replace(batch, members=members)


def _scan(
    alert: Alert, services: Services, after: str, limit: int, up_to: str, page: AudiencePage | None
) -> Batch:
    members: list[Member] = []
    deadline = time.monotonic() + _LONGEST_SEARCH_SECONDS
    up_to = page.up_to if page else up_to
    more = True
    while more:
        rows, more = services.accounts.scan(_ROWS_AT_ONCE, after=after, up_to=up_to or None)
        for row in rows:
            after = row.key
            account = row.account
            if account is None or not alert.audience.includes(account):
                continue
            member_id = account.key.id if account.key else row.key[:_KEY_ID_DIGITS]
            members.append(Member(member_id, account.channel_id, account.user_id, account))
            if page is None and len(members) >= limit:
                return Batch(members, after, share_at(after, alert))
        if page is None and more and time.monotonic() > deadline:
            return Batch(members, after, share_at(after, alert))
    return Batch(members, up_to or after, share_at(up_to, alert) if up_to else 1.0)


def _read_recipients(
    alert: Alert,
    recipients: Sequence[tuple[str, str]],
    services: Services,
    after: str,
    limit: int,
    up_to: str,
    page: AudiencePage | None,
) -> Batch:
    first = int(after or 0)
    last = int(up_to) if up_to else len(recipients)
    end = min(int(page.up_to) if page else first + limit, last)
    with ThreadPoolExecutor(_THREADS) as threads:
        stored = list(threads.map(lambda each: services.accounts.get(*each), recipients[first:end]))
    places = {_canonical(*each): place for place, each in reversed([*enumerate(recipients)])}
    members: list[Member] = []
    for number, (channel_id, user_id), found in zip(
        range(first, end), recipients[first:end], stored, strict=True
    ):
        account = found.account if found else None
        member_id = f"r{number}"
        if account is not None:
            named_at = (places.get(_canonical(channel_id, each), number) for each in account.ids)
            if min(named_at) < number:
                continue
            user_id = account.user_id
            if account.key is not None:
                known_as = {member_id, account.key.id, *account.former_key_ids}
                # A member of a recorded page keeps the id that it has there.
                recorded = known_as.intersection(page.members) if page else set[str]()
                member_id = min(recorded, default=account.key.id)
        members.append(Member(member_id, channel_id, user_id, account))
    share = share_at(str(end), alert) if end < len(recipients) else 1.0
    return Batch(members, str(end), share)


def _canonical(channel_id: str, user_id: str) -> tuple[str, str]:
    return channel_id, canonical_id(user_id)
