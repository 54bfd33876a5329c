"""Finding, changing and erasing accounts.

Table ``accounts``, a row for each person on each channel. PartitionKey: the hash of the bot's app
id, the channel's id and the user's id, so that rows spread evenly and one look-up by key finds all
that a message needs; RowKey: ``account``. The ids themselves are properties. The row also holds
the person's one-to-one conversation with the bot. The id of the bot's account on a channel is no
part of any key: one deployment serves one bot, however its id is written.

On Teams a person has two ids, ``29:…`` and the Entra object id. The account stands under the first;
under the second stands a row that points to it (``pointsTo``), so that both ids find one account.
An account that was made under the object id, before the other was known, is joined to it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from shared.accounts.account import Account
from shared.accounts.conversations import ConversationStore
from shared.accounts.erased_opt_outs import ErasedOptOuts
from shared.accounts.rows import from_row, to_properties
from shared.json_text import without_none
from shared.storage.clients import Storage
from shared.storage.personal_keys import PersonalKeys
from shared.storage.tables import Row, Table, key_of, retry_until_written, version_of
from shared.wire_models import canonical_id

_ROW_KEY = "account"
_POINTS_TO = "pointsTo"


@dataclass(frozen=True)
class StoredAccount:
    """An account as it is cached, and its version, for ETag and If-Match.

    After a change, ``is_new`` tells that the account was not there before.
    """

    account: Account
    version: str
    is_new: bool = False


@dataclass(frozen=True)
class Scanned:
    """A row that a scan has found: its key, and its account, if it has one."""

    key: str
    account: Account | None


class AccountStore:
    """Finds, changes and erases accounts."""

    def __init__(
        self,
        storage: Storage,
        app_id: str,
        erased_opt_outs: ErasedOptOuts,
        keys: PersonalKeys,
        conversations: ConversationStore,
    ) -> None:
        self._table = Table(storage, "accounts")
        self._app_id = app_id
        self._opt_outs = erased_opt_outs
        self._keys = keys
        self._conversations = conversations

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

        ``change`` takes what is cached and returns the account as it is to be. It is called again
        when somebody else has written in between. What is equal is not written. Returns what is
        cached in the end.
        """

        def write() -> StoredAccount | None:
            stored, own_id = self._find(channel_id, user_id)
            changed = change(stored)
            if stored is None and own_id != user_id:
                # The pointer was written, and then not the account: it is written now.
                changed = replace(changed, user_id=own_id, aad_object_id=user_id)
            if stored is not None and changed == stored.account and not changed.lacks_pointer:
                return stored
            written = self._write(changed, stored)
            if written is not None and stored is not None:
                self._drop_conversations(stored.account, written.account)
            return written

        return retry_until_written(write)

    def page(
        self, size: int, token: str | None = None, **properties: str | None
    ) -> tuple[list[Account], str | None]:
        """Return a page of all accounts whose properties are these, and the token of the next page.

        There is a next page for as long as there is a token, whatever this one holds. Raises
        InvalidRequestError for a token that is none of ours.
        """
        # Rows that only point to an account have no appId.
        wanted = {"appId": self._app_id, **without_none(properties)}
        rows, next_token = self._table.page(
            " and ".join(f"{name} eq @{name}" for name in wanted),
            wanted,
            size=size,
            token=token,
        )
        return [from_row(row) for row in rows], next_token

    def scan(
        self, size: int, *, after: str = "", up_to: str | None = None
    ) -> tuple[list[Scanned], bool]:
        """Return the next accounts in the order of their keys, and whether there may be more.

        They begin ``after`` one key and end with another, ``up_to``. The keys are hashes, so they
        are spread evenly: a key tells what part of all accounts lies before it.
        """
        query, keys = "PartitionKey gt @after", {"after": after}
        if up_to is not None:
            query, keys = f"{query} and PartitionKey le @upTo", {**keys, "upTo": up_to}
        rows: list[Row] = []
        token: str | None = None
        while not rows:
            # A page may be empty and still not be the last.
            rows, token = self._table.page(query, keys, size=size, token=token)
            if token is None:
                break
        return [Scanned(row["PartitionKey"], self._own(row)) for row in rows], token is not None

    def delete(self, channel_id: str, user_id: str) -> None:
        """Delete an account under both ids, and its keys; remember the stop, if it has one.

        This is a part of erasing a person; see ``shared.accounts.erasure``.

        The row of the given id goes last, so the same call finds the rest after a failure.
        """
        stored, own_id = self._find(channel_id, user_id)
        if stored is not None:
            ids = [
                each for each in stored.account.ids if canonical_id(each) != canonical_id(user_id)
            ]
            if stored.account.preferences.get("muted"):
                for each in stored.account.ids:
                    self._opt_outs.remember(channel_id, each)
            own_key_ids = (stored.account.key.id,) if stored.account.key else ()
            for key_id in (*own_key_ids, *stored.account.former_key_ids):
                self._keys.destroy(key_id)
            for each in ids:
                self._delete_row_of(stored.account.user_id, channel_id, each)
        self._delete_row_of(own_id, channel_id, user_id)

    def _own(self, row: Row) -> Account | None:
        """Return the account of a row; rows that only point to an account have no appId."""
        return from_row(row) if row.get("appId") == self._app_id else None

    def _find(self, channel_id: str, user_id: str) -> tuple[StoredAccount | None, str]:
        """Return what is cached of a person, and the id that their account stands under."""
        row = self._row(channel_id, user_id)
        if row is not None and _POINTS_TO in row:
            user_id = row[_POINTS_TO]
            row = self._row(channel_id, user_id)
        stored = StoredAccount(from_row(row), version_of(row)) if row is not None else None
        return stored, user_id

    def _write(self, account: Account, stored: StoredAccount | None) -> StoredAccount | None:
        """Write an account over the version that was read; None when it has changed since."""
        was_forgotten = (stored is None or account.lacks_pointer) and any(
            self._opt_outs.include(account.channel_id, user_id) for user_id in account.ids
        )
        if was_forgotten:
            # They had said stop; now the account says so.
            account = replace(account, preferences={"muted": True, **account.preferences})
        account, made_under_object_id = self._pointed_to(account)
        if account.key is None:
            account = replace(account, key=self._keys.make())
        row = {
            "PartitionKey": self._key(account.channel_id, account.user_id),
            "RowKey": _ROW_KEY,
            "appId": self._app_id,
            **to_properties(account),
        }
        version = self._table.replace(row, stored.version) if stored else self._table.insert(row)
        if version is None:
            return None
        if made_under_object_id is not None:
            # Only now that its content is safe. If it has changed, it is joined once more.
            pointer = self._pointer(account)
            if self._table.replace(pointer, version_of(made_under_object_id)) is None:
                return None
        former_pointer = stored.account.pointer_from if stored else None
        if former_pointer not in (None, account.aad_object_id):
            self._delete_row_of(account.user_id, account.channel_id, former_pointer)
        if was_forgotten:
            for user_id in account.ids:
                self._opt_outs.forget(account.channel_id, user_id)
        return StoredAccount(account, version, is_new=stored is None)

    def _drop_conversations(self, before: Account, after: Account) -> None:
        """Delete conversations that the account no longer names: erasure would not find them."""
        for conversation_id in before.conversation_ids - after.conversation_ids:
            self._conversations.delete(conversation_id, after.channel_id)

    def _pointed_to(self, account: Account) -> tuple[Account, Row | None]:
        """Make the object id lead to the account, joined with an account made under that id.

        Returns the row of that account too: it still has to become a pointer.
        """
        if account.pointer_from != account.aad_object_id:
            account = replace(account, pointer_from=None)
        if not account.lacks_pointer:
            return account, None
        made_under_object_id = self._point_to(account)
        if made_under_object_id is None:
            return replace(account, pointer_from=account.aad_object_id), None
        return account.joined_with(from_row(made_under_object_id)), made_under_object_id

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

    def _delete_row_of(self, owner_id: str, channel_id: str, user_id: str) -> None:
        """Delete the row of an id, unless it leads to somebody else than its owner."""
        row = self._row(channel_id, user_id)
        if row is not None and row.get(_POINTS_TO, owner_id) == owner_id:
            self._table.delete(row["PartitionKey"], _ROW_KEY, version_of(row))

    def _pointer(self, account: Account) -> dict[str, Any]:
        key = self._key(account.channel_id, account.aad_object_id or "")
        return {"PartitionKey": key, "RowKey": _ROW_KEY, _POINTS_TO: account.user_id}

    def _row(self, channel_id: str, user_id: str) -> Row | None:
        return self._table.get(self._key(channel_id, user_id), _ROW_KEY)

    def _key(self, channel_id: str, user_id: str) -> str:
        return key_of(self._app_id, channel_id, canonical_id(user_id))
