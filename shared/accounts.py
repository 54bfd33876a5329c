"""The cache of accounts: who can be reached on a channel, how, and in what language.

Table ``accounts``, a row for each person on each channel. PartitionKey: the hash of the bot's app
id, the channel's id and the user's id, so that rows spread evenly and one look-up by key finds all
that a message needs; RowKey: ``account``. The ids themselves are properties. The row also holds
the person's one-to-one conversations with the bot, by the id of the bot's account: a bot can have
several on one channel, such as phone numbers.

On Teams a person has two ids, ``29:…`` and the Entra object id. The account stands under the first;
under the second stands a row that points to it (``pointsTo``), so that both ids find one account.
An account that was made under the object id, before the other was known, is joined to it.
"""

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from shared import json_text
from shared.errors import StorageUnavailableError
from shared.models import ChannelAccount
from shared.opt_outs import OptOuts
from shared.storage import Row, Storage, Table, key_of, version_of

_ROW_KEY = "account"
_POINTS_TO = "pointsTo"
_TRIES = 10
# Storage's own token, which goes back to it in two headers.
_TOKEN_KEYS = {"PartitionKey", "RowKey"}
_TOKEN_KEY = re.compile(r"[!-~]*")
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class OneToOne:
    """A person's conversation with the bot, as it was started or seen."""

    id: str
    conversation_type: str | None = None
    activity_id: str | None = None


@dataclass(frozen=True)
class Account:
    """A person on a channel, and what the bot knows of them.

    ``conversations`` are the one-to-one conversations by bot id, under the empty id while the bot's
    is unknown. ``preferences`` are kept as they came; they were so at ``preferences_at``, the rest
    at ``observed_at``. ``pointer_from`` is the object id from which a row points here.
    ``former_conversation_ids`` still lead to the person, and are forgotten with them.
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
    conversations: dict[str, OneToOne] = field(default_factory=dict)
    installed: bool | None = None
    blocked: bool | None = None
    observed_at: datetime | None = None
    preferences_at: datetime | None = None
    pointer_from: str | None = None
    former_conversation_ids: tuple[str, ...] = ()

    @property
    def ids(self) -> list[str]:
        """The ids that the person is known by, the object id first."""
        return [each for each in (self.aad_object_id, self.user_id) if each is not None]

    @property
    def conversation(self) -> OneToOne | None:
        """The one-to-one conversation with the bot's own account."""
        return self.conversations.get(self.bot.id if self.bot else "")

    def with_conversation(self, bot_id: str, conversation: OneToOne) -> "Account":
        """Return the account with this conversation for this account of the bot."""
        former = self.former_conversation_ids
        known = self.conversations.get(bot_id)
        if known is not None and known.id not in (conversation.id, *former):
            former = (*former, known.id)
        return replace(
            self,
            conversations={**self.conversations, bot_id: conversation},
            former_conversation_ids=former,
        )

    def without_conversation(self, bot_id: str) -> "Account":
        """Return the account without the conversation with this account of the bot."""
        remaining = dict(self.conversations)
        known = remaining.pop(bot_id, None)
        if known is None:
            return self
        former = _distinct(*self.former_conversation_ids, known.id)
        return replace(self, conversations=remaining, former_conversation_ids=former)

    def joined_with(self, other: "Account") -> "Account":
        """Return the account with what the ``other`` one of the same person has beyond it."""
        older, newer = sorted((other, self), key=lambda each: each.preferences_at or _LONG_AGO)
        return replace(
            self,
            name=self.name or other.name,
            tenant_id=self.tenant_id or other.tenant_id,
            bot=self.bot or other.bot,
            service_url=self.service_url or other.service_url,
            locale=self.locale or other.locale,
            time_zone=self.time_zone or other.time_zone,
            # One by one: who once said stop, and then something else, still wants no alerts.
            preferences={**older.preferences, **newer.preferences},
            preferences_at=newer.preferences_at,
            installed=other.installed if self.installed is None else self.installed,
            blocked=other.blocked if self.blocked is None else self.blocked,
            conversations={**other.conversations, **self.conversations},
            former_conversation_ids=_distinct(
                *self.former_conversation_ids,
                *other.former_conversation_ids,
                *(one.id for one in other.conversations.values()),
            ),
        )


@dataclass(frozen=True)
class StoredAccount:
    """An account as it stands in the cache, and the version of it, for ETag and If-Match.

    After a change, ``is_new`` tells that it was not there before, ``is_changed`` that it was
    written.
    """

    account: Account
    version: str
    is_new: bool = False
    is_changed: bool = False


class AccountCache:
    """Finds, changes and forgets accounts."""

    def __init__(self, storage: Storage, app_id: str, opt_outs: OptOuts) -> None:
        """Take the storage, the app id of the bot whose accounts these are, and who said stop."""
        self._table = Table(storage, "accounts")
        self._app_id = app_id
        self._opt_outs = opt_outs

    def get(self, channel_id: str, user_id: str) -> StoredAccount | None:
        """Return what is cached of a person, None when nothing is.

        One round trip; by the object id of an account that stands under another id, two.
        """
        return self._find(channel_id, user_id)[0]

    def change(
        self,
        channel_id: str,
        user_id: str,
        change: Callable[[StoredAccount | None], Account],
    ) -> StoredAccount:
        """Read an account, change it and write it, so that no two writers undo each other.

        ``change`` takes what is cached and returns what shall be; it is called again when somebody
        else wrote in between, and what is equal is not written. Returns what is cached in the end.
        """
        for _ in range(_TRIES):
            stored, own_id = self._find(channel_id, user_id)
            changed = change(stored)
            if stored is None and own_id != user_id:
                # The pointer was written, and then not the account: it is written now.
                changed = replace(changed, user_id=own_id, aad_object_id=user_id)
            if stored is not None and changed == stored.account and not _lacks_pointer(changed):
                return stored
            written = self._write(changed, stored)
            if written is not None:
                return written
        raise StorageUnavailableError("The account is being changed by too many at once")

    def page(
        self, size: int, token: str | None = None, **properties: str | None
    ) -> tuple[list[Account], str | None]:
        """Return a page of all accounts whose properties are these, and the token of the next page.

        There is a next page for as long as there is a token, whatever this one holds. Raises
        ValueError for a token that is none of ours.
        """
        given = {name: value for name, value in properties.items() if value is not None}
        # Rows that only point to an account have no appId.
        wanted = {"appId": self._app_id, **given}
        rows, next_token = self._table.page(
            " and ".join(f"{name} eq @{name}" for name in wanted),
            wanted,
            size=size,
            token=_read_token(token),
        )
        return [_from_row(row) for row in rows], _write_token(next_token)

    def delete(self, account: Account) -> None:
        """Forget a person, under both ids; all that stays is that they said stop, if they did."""
        for user_id in account.ids:
            if account.preferences.get("muted"):
                self._opt_outs.remember(account.channel_id, user_id)
            self._table.delete(self._key(account.channel_id, user_id), _ROW_KEY)

    def _find(self, channel_id: str, user_id: str) -> tuple[StoredAccount | None, str]:
        """Return what is cached of a person, and the id that their account stands under."""
        row = self._row(channel_id, user_id)
        if row is not None and _POINTS_TO in row:
            user_id = row[_POINTS_TO]
            row = self._row(channel_id, user_id)
        stored = StoredAccount(_from_row(row), version_of(row)) if row is not None else None
        return stored, user_id

    def _write(self, account: Account, stored: StoredAccount | None) -> StoredAccount | None:
        """Write an account over the version that was read; None when somebody else was faster."""
        was_forgotten = stored is None and any(
            self._opt_outs.include(account.channel_id, user_id) for user_id in account.ids
        )
        if was_forgotten:
            # They had said stop; from here on the account says so.
            account = replace(account, preferences={"muted": True, **account.preferences})
        account, made_under_object_id = self._pointed_to(account)
        row = {
            "PartitionKey": self._key(account.channel_id, account.user_id),
            "RowKey": _ROW_KEY,
            "appId": self._app_id,
            **_properties(account),
        }
        version = self._table.replace(row, stored.version) if stored else self._table.insert(row)
        if version is None:
            return None
        if made_under_object_id is not None:
            # Only now that its content is safe; if it changed meanwhile, it is joined once more.
            pointer = self._pointer(account)
            if self._table.replace(pointer, version_of(made_under_object_id)) is None:
                return None
        former_pointer = stored.account.pointer_from if stored else None
        if former_pointer not in (None, account.aad_object_id):
            self._remove_pointer(account, former_pointer)
        if was_forgotten:
            for user_id in account.ids:
                self._opt_outs.forget(account.channel_id, user_id)
        return StoredAccount(account, version, is_new=stored is None, is_changed=True)

    def _pointed_to(self, account: Account) -> tuple[Account, Row | None]:
        """Have the object id lead to the account, which is joined with one made under that id.

        Returns the row of that one too: it is still to be made a pointer.
        """
        if account.pointer_from != account.aad_object_id:
            account = replace(account, pointer_from=None)
        if not _lacks_pointer(account):
            return account, None
        made_under_object_id = self._point_to(account)
        if made_under_object_id is None:
            return replace(account, pointer_from=account.aad_object_id), None
        return account.joined_with(_from_row(made_under_object_id)), made_under_object_id

    def _point_to(self, account: Account) -> Row | None:
        """Write the row that points to the account, unless an account of its own stands there.

        Returns that account's row.
        """
        pointer = self._pointer(account)
        if self._table.insert(pointer) is not None:
            return None
        row = self._row(account.channel_id, account.aad_object_id or "")
        if row is not None and _POINTS_TO not in row:
            return row
        if row is None or row[_POINTS_TO] != account.user_id:
            self._table.put(pointer)
        return None

    def _remove_pointer(self, account: Account, object_id: str) -> None:
        """Have an id that is not the person's any more find nobody, unless it finds another."""
        row = self._row(account.channel_id, object_id)
        if row is not None and row.get(_POINTS_TO) == account.user_id:
            self._table.delete(row["PartitionKey"], _ROW_KEY, version_of(row))

    def _pointer(self, account: Account) -> dict[str, Any]:
        key = self._key(account.channel_id, account.aad_object_id or "")
        return {"PartitionKey": key, "RowKey": _ROW_KEY, _POINTS_TO: account.user_id}

    def _row(self, channel_id: str, user_id: str) -> Row | None:
        return self._table.get(self._key(channel_id, user_id), _ROW_KEY)

    def _key(self, channel_id: str, user_id: str) -> str:
        return key_of(self._app_id, channel_id, user_id)


def _write_token(token: dict[str, Any] | None) -> str | None:
    if token is None:
        return None
    return base64.urlsafe_b64encode(json.dumps(token).encode()).decode().rstrip("=")


def _read_token(token: str | None) -> dict[str, Any] | None:
    if token is None:
        return None
    read = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    if not (
        isinstance(read, dict)
        and set(read) == _TOKEN_KEYS
        and all(map(_is_token_key, read.values()))
    ):
        raise ValueError("not a continuation token")
    return read


def _is_token_key(key: object) -> bool:
    # Storage gives no row key where the next page begins with a partition.
    return key is None or (isinstance(key, str) and _TOKEN_KEY.fullmatch(key) is not None)


def _distinct(*ids: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(ids))


def _lacks_pointer(account: Account) -> bool:
    return account.aad_object_id not in (None, account.user_id, account.pointer_from)


def _properties(account: Account) -> dict[str, Any]:
    properties = {
        "channelId": account.channel_id,
        "userId": account.user_id,
        "name": account.name,
        "aadObjectId": account.aad_object_id,
        "tenantId": account.tenant_id,
        "bot": json_text.to_text(account.bot.to_json()) if account.bot else None,
        "serviceUrl": account.service_url,
        "locale": account.locale,
        "timeZone": account.time_zone,
        "preferences": json_text.to_text(account.preferences) if account.preferences else None,
        "conversations": json_text.to_text(
            {bot_id: vars(one) for bot_id, one in account.conversations.items()}
        )
        if account.conversations
        else None,
        "installed": account.installed,
        "blocked": account.blocked,
        "observedAt": account.observed_at,
        "preferencesAt": account.preferences_at,
        "pointerFrom": account.pointer_from,
        "formerConversationIds": json_text.to_text(account.former_conversation_ids)
        if account.former_conversation_ids
        else None,
    }
    return {name: value for name, value in properties.items() if value is not None}


def _from_row(row: Row) -> Account:
    bot = row.get("bot")
    return Account(
        channel_id=row["channelId"],
        user_id=row["userId"],
        name=row.get("name"),
        aad_object_id=row.get("aadObjectId"),
        tenant_id=row.get("tenantId"),
        bot=ChannelAccount.model_validate(json.loads(bot)) if bot else None,
        service_url=row.get("serviceUrl"),
        locale=row.get("locale"),
        time_zone=row.get("timeZone"),
        preferences=json.loads(row.get("preferences", "{}")),
        conversations={
            bot_id: OneToOne(**one)
            for bot_id, one in json.loads(row.get("conversations", "{}")).items()
        },
        installed=row.get("installed"),
        blocked=row.get("blocked"),
        observed_at=row.get("observedAt"),
        preferences_at=row.get("preferencesAt"),
        pointer_from=row.get("pointerFrom"),
        former_conversation_ids=tuple(json.loads(row.get("formerConversationIds", "[]"))),
    )
