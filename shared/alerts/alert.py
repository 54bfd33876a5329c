"""An alert: one message to many people, and how far it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from shared.accounts.account import Account
from shared.accounts.topics import have_topic_in_common
from shared.alerts.question import Answer, Question
from shared.deliveries.delivery import Status
from shared.languages import is_within
from shared.wire_models import canonical_id


class AlertStatus(StrEnum):
    """How far an alert is."""

    SCHEDULED = "scheduled"
    ACCEPTED = "accepted"
    SENDING = "sending"
    DONE = "done"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    RECALLED = "recalled"


@dataclass(frozen=True)
class Audience:
    """The people an alert is for: those who match all that is given; everybody if nothing is.

    One of several interests is enough.
    """

    interests: tuple[str, ...] = ()
    channel_id: str | None = None
    locale: str | None = None
    tenant_id: str | None = None

    def includes(self, account: Account) -> bool:
        """Tell whether a person is in the audience."""
        if self.channel_id not in (None, account.channel_id):
            return False
        if self.tenant_id is not None and canonical_id(self.tenant_id) != account.tenant_id:
            return False
        if self.locale is not None and not is_within(account.locale or "", self.locale):
            return False
        if not self.interests:
            return True
        interests = account.preferences.get("interests") or ()
        return have_topic_in_common(self.interests, interests)


@dataclass(frozen=True)
class Range:
    """A range of an alert's audience, which a chain of steps reads page by page.

    What is left of it lies ``after`` one place and ends with another, ``up_to``; where that is
    empty, with the last person. ``page`` is the number of its next page, ``previous`` that of the
    page whose step led to it.
    """

    page: int
    after: str
    up_to: str
    previous: int


@dataclass(frozen=True)
class Alert:
    """One message to many people, and how far it is.

    Its content is kept under ``content_key``, its recipients under ``recipients_key``; an alert
    without recipients is for its ``audience``. It may go to the channels ``channel_ids``; to any
    if there are none. ``fingerprint`` is a hash of the request that it came with. Each edit makes a
    new ``version``, and so does the recall; ``edit_id`` is the id of the last edit, if it had one.
    It is kept ``until`` a time at least, with its content.

    Of the steps that read the audience and count its ends, those of ``chain`` count: it was begun
    last. ``ranges`` are what is left to read; there are none before the first page was read. All
    other pages before ``next_page`` were read, or never will be: ``found`` is how many members they
    have, ``read_share`` the part of the whole. A change goes round the pages from ``change_page``
    on: that is where the one before it has come to. ``change_version`` is the version that it
    brought when it began.
    The members of all pages before ``closed_pages`` have ended, with these ``counts``;
    ``reopenings`` is how often a page was found not to have ended after all.
    ``question`` is what it asks; where the first answer counts for everybody, that is
    ``first_answer``, once there is one. ``row_version`` is that of the row it was read from.
    """

    id: str
    created_at: datetime
    updated_at: datetime
    fingerprint: str
    content_key: str
    channel_ids: tuple[str, ...] = ()
    audience: Audience = Audience()
    recipients_key: str | None = None
    recipient_count: int | None = None
    topic: str | None = None
    topic_name: str | None = None
    send_at: datetime | None = None
    expires_at: datetime | None = None
    traceparent: str | None = None
    version: int = 1
    cancelled_at: datetime | None = None
    recalled_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    next_page: int = 0
    until: datetime | None = None
    chain: str = ""
    ranges: tuple[Range, ...] = ()
    found: int = 0
    read_share: float = 0.0
    is_read: bool = False
    closed_pages: int = 0
    reopenings: int = 0
    change_page: int = 0
    change_version: int = 0
    edit_id: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    question: Question | None = None
    first_answer: Answer | None = None
    row_version: str = field(default="", compare=False)

    @property
    def stopped_at(self) -> datetime | None:
        """When it was cancelled or recalled, whichever was first; None if it was neither."""
        times = [time for time in (self.cancelled_at, self.recalled_at) if time is not None]
        return min(times) if times else None

    @property
    def unread(self) -> tuple[Status, int]:
        """How many of the people that it names were not read yet, and how they count."""
        count = max((self.recipient_count or 0) - self.found, 0) if self.read_share < 1 else 0
        if self.stopped_at is not None:
            # They get nothing.
            return Status.CANCELLED, count
        return Status.EXPIRED if self.is_read else Status.ACCEPTED, count

    @property
    def final_counts(self) -> dict[str, int]:
        """How many of its deliveries have ended how, once it has ended."""
        status, unread = self.unread
        counts = {each.value: self.counts.get(each, 0) for each in Status}
        return {**counts, status.value: counts[status] + unread}

    @property
    def first_unread_page(self) -> int:
        """The number of the first page that is still to be read; of a stopped alert, none is."""
        is_left = self.stopped_at is None
        return min((each.page for each in self.ranges if is_left), default=self.next_page)

    def is_left(self, page: int) -> bool:
        """Tell whether a page is still to be read; one that is being read right now is too."""
        return page >= self.next_page or page in (each.page for each in self.ranges)

    def is_expired(self, now: datetime) -> bool:
        """Tell whether it is too late to send it."""
        return self.expires_at is not None and self.expires_at <= now

    def status(self, now: datetime) -> AlertStatus:
        """Return how far it is."""
        if self.recalled_at is not None:
            return AlertStatus.RECALLED
        if self.cancelled_at is not None:
            return AlertStatus.CANCELLED
        if self.ended_at is not None:
            return AlertStatus.DONE if self.read_share >= 1 else AlertStatus.EXPIRED
        if self.started_at is not None:
            return AlertStatus.SENDING
        is_later = self.send_at is not None and self.send_at > now
        return AlertStatus.SCHEDULED if is_later else AlertStatus.ACCEPTED
