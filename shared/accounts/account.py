"""A person on a channel, and what the bot knows of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from shared.storage.personal_keys import PersonalKey
from shared.wire_models import ChannelAccount, canonical_id

_LONG_AGO = datetime.min.replace(tzinfo=UTC)
# A property of a row takes 32 K characters, and an id has up to 1,024.
_MOST_FORMER_CONVERSATIONS = 20

LARGEST_PREFERENCES = 64 * 1024 - 64
"""In bytes of UTF-16: what a property of a row takes, with room for a stop."""


@dataclass(frozen=True)
class OneToOne:
    """A person's conversation with the bot, as it was started or seen."""

    id: str
    conversation_type: str | None = None
    activity_id: str | None = None


@dataclass(frozen=True)
class Account:
    """A person on a channel, and what the bot knows of them.

    ``preferences`` are kept as they came. ``preferences_at`` is when they were last set, except
    ``muted``, which has a time of its own, ``muted_at``; ``observed_at`` is when all the rest was
    so. ``started_at`` is when the bot last started a conversation with the person. ``made_under``
    is the id that the account was made under, where that is not ``user_id``: its row stays there.
    ``pointer_from`` is the object id that leads here by a row of its own.
    While ``lacks_conversation_row`` is set, the conversation's own row may not say what is said
    here. While ``may_have_stopped`` is set, the person may have said stop while there was no
    account, or none with this id, and it does not say so yet.
    ``former_conversation_ids`` still lead to the person; their rows go when the account goes. Where
    the Connector said that a person is ``blocked`` or not ``installed``, one message is let through
    at ``probe_at``, to see whether it is still so. What is recorded of the person elsewhere is
    sealed with their ``key``, or with one of ``former_key_ids``. While ``welcome_due`` is set, the
    person who installed the bot then has not been welcomed yet.
    """

    channel_id: str
    user_id: str
    name: str | None = None
    aad_object_id: str | None = None
    tenant_id: str | None = None
    bot: ChannelAccount | None = None
    service_url: str | None = None
    locale: str | None = None
    time_zone: str | None = None
    preferences: dict[str, Any] = field(default_factory=dict)
    conversation: OneToOne | None = None
    installed: bool | None = None
    blocked: bool | None = None
    observed_at: datetime | None = None
    started_at: datetime | None = None
    preferences_at: datetime | None = None
    muted_at: datetime | None = None
    made_under: str | None = None
    pointer_from: str | None = None
    lacks_conversation_row: bool | None = None
    may_have_stopped: bool | None = None
    former_conversation_ids: tuple[str, ...] = ()
    probe_at: datetime | None = None
    key: PersonalKey | None = None
    former_key_ids: tuple[str, ...] = ()
    welcome_due: datetime | None = None

    @property
    def is_out_of_reach(self) -> bool:
        """Whether the person has blocked the bot, or has not installed it."""
        return bool(self.blocked) or self.installed is False

    @property
    def ids(self) -> list[str]:
        """The ids that the person is known by, the object id first."""
        ids = [self.aad_object_id, self.made_under, self.user_id]
        return list({canonical_id(each): each for each in ids if each is not None}.values())

    @property
    def home_id(self) -> str:
        """The id that the account's row stands under."""
        return self.made_under or self.user_id

    @property
    def key_ids(self) -> list[str]:
        """The ids of all keys that something of the person may be sealed with."""
        return [*([self.key.id] if self.key else []), *self.former_key_ids]

    def is_known_as(self, user_id: str) -> bool:
        """Tell whether this is one of the ids that the person is known by."""
        return canonical_id(user_id) in map(canonical_id, self.ids)

    def with_user_id(self, user_id: str) -> "Account":
        """Return the account that was made under an object id, with the channel's own id too."""
        object_id = self.aad_object_id or self.user_id
        return replace(self, user_id=user_id, aad_object_id=object_id, made_under=self.user_id)

    @property
    def conversation_id(self) -> str | None:
        """The id of the one-to-one conversation, None where there is none."""
        return self.conversation.id if self.conversation else None

    @property
    def conversation_ids(self) -> set[str]:
        """The ids of all conversations that lead to the person, the current and former ones."""
        return {*filter(None, (self.conversation_id,)), *self.former_conversation_ids}

    def has_left(self, conversation_id: str) -> bool:
        """Whether this is the id of a former conversation with the person."""
        is_former = conversation_id in self.former_conversation_ids
        return is_former and conversation_id != self.conversation_id

    def has_news_since(self, began_at: datetime) -> bool:
        """Whether the person was heard of, or a conversation started, after a call began.

        What that call tells of them may not be so any more. Times are by the wall clock: each may
        be that of another host.
        """
        return not all(is_news(began_at, each) for each in (self.observed_at, self.started_at))

    def with_conversation(self, conversation: OneToOne) -> "Account":
        """Return the account with this one-to-one conversation.

        Where it has it already, the activity that it was started with stays with it.
        """
        known = self.conversation
        if known is None or known.id != conversation.id:
            return replace(self.without_conversation(), conversation=conversation)
        activity_id = conversation.activity_id or known.activity_id
        return replace(self, conversation=replace(conversation, activity_id=activity_id))

    def without_conversation(self) -> "Account":
        """Return the account without a one-to-one conversation; its id still leads here."""
        if self.conversation is None:
            return self
        return replace(self, conversation=None).having_left(self.conversation.id)

    def having_left(self, conversation_id: str) -> "Account":
        """Return the account with the id of one more conversation that the person had."""
        former = _latest(*self.former_conversation_ids, conversation_id)
        return replace(self, former_conversation_ids=former)

    def joined_with(self, other: "Account") -> "Account":
        """Return the account, completed with what the ``other`` one of the same person has."""
        older, newer = sorted((other, self), key=lambda each: each.preferences_at or _LONG_AGO)
        muted = max(
            (other, self),
            key=lambda each: (each.muted_at or _LONG_AGO, "muted" in each.preferences),
        )
        joined = replace(
            self,
            name=self.name or other.name,
            tenant_id=self.tenant_id or other.tenant_id,
            bot=self.bot or other.bot,
            service_url=self.service_url or other.service_url,
            locale=self.locale or other.locale,
            time_zone=self.time_zone or other.time_zone,
            preferences={**older.preferences, **newer.preferences},
            preferences_at=newer.preferences_at,
            installed=other.installed if self.installed is None else self.installed,
            blocked=other.blocked if self.blocked is None else self.blocked,
            conversation=self.conversation or other.conversation,
            started_at=self.started_at or other.started_at,
            former_conversation_ids=_latest(
                *self.former_conversation_ids,
                *other.former_conversation_ids,
                *filter(None, (other.conversation_id,)),
            ),
            may_have_stopped=self.may_have_stopped or other.may_have_stopped,
            welcome_due=self.welcome_due or other.welcome_due,
            key=self.key or other.key,
            former_key_ids=_distinct(
                *self.former_key_ids, *(other.key_ids if self.key else other.former_key_ids)
            ),
        )
        return joined._with_muted(muted.preferences.get("muted"), muted.muted_at)

    def with_preferences(
        self, wanted: Mapping[str, Any], at: datetime, *, muted_at: datetime | None
    ) -> "Account":
        """Return the account with the preferences that were ``wanted`` at that time.

        Newer ones stay. Whether the person wants alerts at all (``muted``) has a time of its own,
        None where nothing was said of it: so a stop that arrives late still counts, although other
        preferences have changed since.
        """
        account = self
        if is_news(at, self.preferences_at):
            account = replace(self, preferences=dict(wanted), preferences_at=at)
        if muted_at is not None and is_news(muted_at, self.muted_at):
            return account._with_muted(wanted.get("muted"), muted_at)
        return account._with_muted(self.preferences.get("muted"), self.muted_at)

    def with_earlier_stop(self, said_at: datetime) -> "Account":
        """Return the account with a stop that was said while there was none.

        It holds unless what the account says of that is newer.
        """
        if "muted" in self.preferences and not is_news(said_at, self.muted_at):
            return self
        return self._with_muted(True, said_at)

    def _with_muted(self, muted: bool | None, muted_at: datetime | None) -> "Account":
        preferences = {name: value for name, value in self.preferences.items() if name != "muted"}
        if muted is not None:
            preferences["muted"] = muted
        return replace(self, preferences=preferences, muted_at=muted_at)

    @property
    def lacks_pointer(self) -> bool:
        """Whether the person's object id still needs a row that points to the account."""
        if self.aad_object_id is None or self.aad_object_id == self.pointer_from:
            return False
        return canonical_id(self.aad_object_id) != canonical_id(self.home_id)


def is_news(at: datetime, known_at: datetime | None) -> bool:
    """Tell whether something is at least as new as what is known."""
    return known_at is None or at >= known_at


def _distinct(*ids: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(ids))


def _latest(*conversation_ids: str) -> tuple[str, ...]:
    latest_first = _distinct(*reversed(conversation_ids))
    return tuple(reversed(latest_first[:_MOST_FORMER_CONVERSATIONS]))
