"""Reading the audience of an alert, stretch by stretch: who is in it, and who wants to hear it."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

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
# Where few fit, the search for them is cut into pages too: each is over long before the Functions
# host would stop it.
_MOST_SECONDS = 20.0
_HEX_DIGITS = 8
_KEY_ID_DIGITS = 32


@dataclass(frozen=True)
class Member:
    """A person in the audience of an alert; ``account`` is None when nothing is cached of them."""

    id: str
    channel_id: str
    user_id: str
    account: Account | None

    def refusal(self, topic: str | None) -> str | None:
        """Return in a sentence why they get nothing; None: they may get it, as far as is known."""
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
            # A start is made for the bot's own tenant then.
            tenant_id = settings.tenant_id or None
        return Lane.of(service_url, tenant_id)


@dataclass(frozen=True)
class Stretch:
    """The members between two places of the whole, of which ``share`` is behind the second one."""

    members: list[Member]
    up_to: str
    share: float


def read_audience(
    alert: Alert,
    recipients: Sequence[tuple[str, str]],
    services: Services,
    *,
    after: str,
    most: int,
    again: AudiencePage | None = None,
) -> Stretch:
    """Return the next members of an alert's audience, ``most`` of them.

    ``recipients`` are those whom the alert names by channel and user id, if it does. A place is the
    key of an account, or a recipient's number; the empty one is the beginning. Of a page that is
    read ``again``, the members are those of then who are still there.
    """
    if alert.recipient_count is not None:
        stretch = _read_recipients(recipients, services, after, most, again)
    else:
        stretch = _read_accounts(alert, services, after, most, again)
    if again is None:
        return stretch
    members = set(again.members)
    remaining = [each for each in stretch.members if each.id in members]
    return Stretch(remaining, again.up_to, again.share)


def _read_accounts(
    alert: Alert, services: Services, after: str, most: int, again: AudiencePage | None
) -> Stretch:
    members: list[Member] = []
    deadline = time.monotonic() + _MOST_SECONDS
    up_to = again.up_to if again else None
    more = True
    while more:
        scanned, more = services.accounts.scan(_ROWS_AT_ONCE, after=after, up_to=up_to)
        for row in scanned:
            after = row.key
            account = row.account
            if account is None or not alert.audience.includes(account):
                continue
            member_id = account.key.id if account.key else row.key[:_KEY_ID_DIGITS]
            members.append(Member(member_id, account.channel_id, account.user_id, account))
            if again is None and len(members) >= most:
                return Stretch(members, after, _share(after))
        if again is None and more and time.monotonic() > deadline:
            return Stretch(members, after, _share(after))
    return Stretch(members, after, 1.0)


def _share(key: str) -> float:
    """Return what part of all accounts have keys up to this one: they are spread evenly."""
    behind: float = (int(key[:_HEX_DIGITS], 16) + 1) / 16.0**_HEX_DIGITS
    return min(behind, 0.999)


def _read_recipients(
    recipients: Sequence[tuple[str, str]],
    services: Services,
    after: str,
    most: int,
    again: AudiencePage | None,
) -> Stretch:
    first = int(after or 0)
    end = min(int(again.up_to) if again else first + most, len(recipients))
    with ThreadPoolExecutor(_THREADS) as threads:
        stored = list(threads.map(lambda each: services.accounts.get(*each), recipients[first:end]))
    named = {_canonical(*each) for each in recipients}
    members: dict[str, Member] = {}
    for number, (channel_id, user_id), found in zip(
        range(first, end), recipients[first:end], stored, strict=True
    ):
        account = found.account if found else None
        member_id = f"r{number}"
        if account is not None:
            by_own_id = canonical_id(account.user_id) == canonical_id(user_id)
            if not by_own_id and _canonical(channel_id, account.user_id) in named:
                # The same person is named by both ids: once is enough.
                continue
            user_id = account.user_id
            if account.key is not None and not (again and member_id in again.members):
                # Whoever was a stranger when the page was read first goes on being its member.
                member_id = account.key.id
        members.setdefault(member_id, Member(member_id, channel_id, user_id, account))
    share = end / len(recipients) if recipients else 1.0
    return Stretch(list(members.values()), str(end), share)


def _canonical(channel_id: str, user_id: str) -> tuple[str, str]:
    return channel_id, canonical_id(user_id)


def stretches(
    alert: Alert, recipients: Sequence[tuple[str, str]], services: Services
) -> Iterator[Stretch]:
    """Return an alert's whole audience, stretch by stretch."""
    after = ""
    while True:
        stretch = read_audience(alert, recipients, services, after=after, most=_ROWS_AT_ONCE)
        yield stretch
        if stretch.share >= 1:
            return
        after = stretch.up_to
