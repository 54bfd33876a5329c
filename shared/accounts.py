"""The cache of accounts: who can be reached on a channel, how, and in what language.

Table ``accounts``, a row for each person on each channel. PartitionKey: the hash of the bot's app
id, the channel's id and the user's id, so that rows spread evenly and one look-up by key finds all
that a message needs; RowKey: ``account``. The ids themselves are properties. The row also holds
the person's one-to-one conversations with the bot, by the id of the bot's account: a bot can have
several on one channel, such as phone numbers.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from shared.errors import StorageUnavailableError
from shared.models import ChannelAccount
from shared.storage import Row, Storage, Table, key_of, version_of

_ROW_KEY = "account"
_TRIES = 10


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
    is unknown. ``preferences`` are kept as they came. ``observed_at`` is when this was last
    observed to be so.
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

    @property
    def conversation(self) -> OneToOne | None:
        """The one-to-one conversation with the bot's own account."""
        return self.conversations.get(self.bot.id if self.bot else "")

    def with_conversation(self, bot_id: str, conversation: OneToOne) -> "Account":
        """Return the account with this conversation for this account of the bot."""
        return replace(self, conversations={**self.conversations, bot_id: conversation})


@dataclass(frozen=True)
class StoredAccount:
    """An account as it stands in the cache, and the version of it, for ETag and If-Match.

    ``is_new`` when it was not there before it was changed.
    """

    account: Account
    version: str
    is_new: bool = False


class AccountCache:
    """Finds, changes and forgets accounts."""

    def __init__(self, storage: Storage, app_id: str) -> None:
        """Take the storage, and the app id of the bot whose accounts these are."""
        self._table = Table(storage, "accounts")
        self._app_id = app_id

    def get(self, channel_id: str, user_id: str) -> StoredAccount | None:
        """Return what is cached of a person, None when nothing is; one round trip."""
        row = self._table.get(self._key(channel_id, user_id), _ROW_KEY)
        return StoredAccount(_from_row(row), version_of(row)) if row is not None else None

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
            stored = self.get(channel_id, user_id)
            changed = change(stored)
            if stored is not None and changed == stored.account:
                return stored
            version = self._write(changed, stored)
            if version is not None:
                return StoredAccount(changed, version, is_new=stored is None)
        raise StorageUnavailableError("The account is being changed by too many at once")

    def delete(self, channel_id: str, user_id: str) -> None:
        """Forget a person."""
        self._table.delete(self._key(channel_id, user_id), _ROW_KEY)

    def _write(self, account: Account, stored: StoredAccount | None) -> str | None:
        row = _to_row(account, self._key(account.channel_id, account.user_id))
        return self._table.replace(row, stored.version) if stored else self._table.insert(row)

    def _key(self, channel_id: str, user_id: str) -> str:
        return key_of(self._app_id, channel_id, user_id)


def _to_row(account: Account, key: str) -> dict[str, Any]:
    properties = {
        "channelId": account.channel_id,
        "userId": account.user_id,
        "name": account.name,
        "aadObjectId": account.aad_object_id,
        "tenantId": account.tenant_id,
        "bot": json.dumps(account.bot.to_json()) if account.bot else None,
        "serviceUrl": account.service_url,
        "locale": account.locale,
        "timeZone": account.time_zone,
        "preferences": json.dumps(account.preferences) if account.preferences else None,
        "conversations": json.dumps(
            {bot_id: vars(one) for bot_id, one in account.conversations.items()}
        )
        if account.conversations
        else None,
        "installed": account.installed,
        "blocked": account.blocked,
        "observedAt": account.observed_at,
    }
    known = {name: value for name, value in properties.items() if value is not None}
    return {"PartitionKey": key, "RowKey": _ROW_KEY, **known}


def _from_row(row: Row) -> Account:
    bot = row.get("bot")
    observed_at = row.get("observedAt")
    return Account(
        channel_id=row["channelId"],
        user_id=row["userId"],
        name=row.get("name"),
        aad_object_id=row.get("aadObjectId"),
        tenant_id=row.get("tenantId"),
        bot=ChannelAccount.model_validate_json(bot) if bot else None,
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
        observed_at=observed_at,
    )
