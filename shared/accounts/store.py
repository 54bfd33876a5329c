"""Finding, changing and erasing accounts.

Table ``accounts``, a row for each person on each channel. PartitionKey: the hash of the bot's app
id, the channel's id and the user's id, so that rows spread evenly and one look-up by key finds all
that a message needs; RowKey: ``account``. The ids themselves are properties. The row also holds
the person's one-to-one conversation with the bot. The id of the bot's account on a channel is no
part of any key: one deployment serves one bot, however its id is written.

On Teams a person has two ids, ``29:…`` and the Entra object id. The account stays under the one
that it was made under, whatever else becomes known; under the other one stands a row that points to
it (``pointsTo``), so that both ids find one account. Where accounts were made under both before
that was known, they are joined under the first.

What is decided is decided by the write of the account's row, under the condition that nobody else
has changed it. What hangs on it follows: the conversation's own row, and when a person is erased,
all the rest. Until it has followed, the row says that it is to follow, to whoever comes by.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from shared.accounts.account import Account
from shared.accounts.conversations import Conversation, ConversationStore
from shared.accounts.opt_outs import OptOuts
from shared.accounts.rows import from_row, to_properties
from shared.errors import UnknownAccountError
from shared.json_text import without_none
from shared.storage.clients import Storage
from shared.storage.personal_keys import PersonalKeys
from shared.storage.tables import Row, Table, key_of, retry_until_written, version_of
from shared.wire_models import canonical_id

_ROW_KEY = "account"
_POINTS_TO = "pointsTo"
# Of a pointer: it stands under the channel's own id, and leads to the object id.
_BY_USER_ID = "byUserId"
_IS_ERASED = "isErased"


@dataclass(frozen=True)
class StoredAccount:
    """An account as it is cached, and its version, for ETag and If-Match.

    After a change, ``is_new`` tells that there was no account of this ``user_id`` before.
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
        opt_outs: OptOuts,
        keys: PersonalKeys,
        conversations: ConversationStore,
    ) -> None:
        self._table = Table(storage, "accounts")
        self._app_id = app_id
        self._opt_outs = opt_outs
        self._keys = keys
        self._conversations = conversations

    def get(self, channel_id: str, user_id: str) -> StoredAccount | None:
        """Return what is cached of a person, None when nothing is.

        One round trip; by the object id of an account that stands under another id, two.
        """
        return self._find(channel_id, user_id)[0]

    def change(
        self, channel_id: str, user_id: str, change: Callable[[StoredAccount], Account]
    ) -> StoredAccount | None:
        """Change an account that there is, as ``change_or_make`` does.

        Returns None, changing nothing, where there is none: nobody who was erased comes back.
        """

        def change_known(stored: StoredAccount | None) -> Account:
            if stored is None:
                raise UnknownAccountError("Nothing is cached of this user of this channel")
            return change(stored)

        with suppress(UnknownAccountError):
            return self.change_or_make(channel_id, user_id, change_known)
        return None

    def change_or_make(
        self,
        channel_id: str,
        user_id: str,
        change: Callable[[StoredAccount | None], Account],
    ) -> StoredAccount:
        """Read an account, change it and write it, so that no two writers undo each other.

        ``change`` takes what is cached and returns the account as it is to be; only for what the
        person or a caller tells, it makes one. It is called again when somebody else has written in
        between, or when the account is found by the object id that it tells. What is equal is not
        written. Returns what is cached in the end; the row of its conversation is there then.
        """

        def write() -> StoredAccount | None:
            stored, pointer = self._find(channel_id, user_id)
            changed = change(stored)
            if stored is None and pointer is not None:
                # The pointer was written, and then not the account: it is written now.
                changed = _where_it_points(changed, pointer, user_id)
            other = self._point_to(changed)
            if stored is None and other is not None:
                # What is told by a new id is told of the account that there is.
                stored, other = _stored(other), None
                changed = change(stored)
            if stored is not None and _tells_user_id(user_id, stored.account, pointer):
                changed = changed.with_user_id(user_id)
            is_equal = stored is not None and changed == stored.account
            if is_equal and not changed.lacks_pointer and not changed.lacks_conversation_row:
                return stored
            return self._write(changed, stored, other)

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

    def erase(self, channel_id: str, user_id: str) -> None:
        """Erase a person, by either of their ids; a stop is remembered, if they have said it.

        First the account is marked as erased, whoever else changes it meanwhile. Who finds it then
        finishes what a failure has left undone.
        """

        def erase() -> bool | None:
            stored, pointer = self._find(channel_id, user_id)
            if stored is None:
                if pointer is not None:
                    self._table.delete(pointer["PartitionKey"], _ROW_KEY, version_of(pointer))
                return True
            # Without an appId it is in no list any more.
            row = {**self._to_row(stored.account), _IS_ERASED: True}
            del row["appId"]
            version = self._table.replace(row, stored.version)
            if version is not None:
                self._finish_erasing(stored.account, version, user_id)
            return version is not None or None

        retry_until_written(erase)

    def _finish_erasing(self, account: Account, version: str, found_by: str) -> None:
        """Delete what hangs on an account that is marked as erased, and the account.

        The row of the id that it was ``found_by`` goes last, so that it is found again after a
        failure.
        """
        for user_id in account.ids:
            if account.preferences.get("muted"):
                self._opt_outs.remember(account.channel_id, user_id)
            if canonical_id(user_id) != canonical_id(found_by):
                self._delete_pointer(account, user_id)
        for conversation_id in account.conversation_ids:
            self._conversations.delete(conversation_id, account.channel_id)
        for key_id in (*((account.key.id,) if account.key else ()), *account.former_key_ids):
            self._keys.destroy(key_id)
        self._table.delete(self._key(account.channel_id, account.home_id), _ROW_KEY, version)
        self._delete_pointer(account, found_by)

    def _own(self, row: Row) -> Account | None:
        """Return the account of a row; rows that only point to an account have no appId."""
        return from_row(row) if row.get("appId") == self._app_id else None

    def _find(self, channel_id: str, user_id: str) -> tuple[StoredAccount | None, Row | None]:
        """Return what is cached of a person, and the row that points there, if one does."""
        row, pointer = self._row(channel_id, user_id), None
        if row is not None and _POINTS_TO in row:
            pointer, row = row, self._row(channel_id, row[_POINTS_TO])
        if row is not None and _IS_ERASED in row:
            self._finish_erasing(from_row(row), version_of(row), user_id)
            return None, None
        return _stored(row) if row is not None else None, pointer

    def _write(
        self, account: Account, stored: StoredAccount | None, other: Row | None
    ) -> StoredAccount | None:
        """Write an account over the version that was read; None when it has changed since.

        ``other`` is the account of the same person that was made under their object id.
        """
        before = stored.account if stored else None
        new_ids = [each for each in account.ids if not (before and before.is_known_as(each))]
        stopped = [each for each in new_ids if self._opt_outs.include(account.channel_id, each)]
        if stopped:
            # They had said stop; now the account says so.
            account = replace(account, preferences={"muted": True, **account.preferences})
        if account.made_under and account.user_id in new_ids:
            pointer = {**self._pointer(account, account.user_id), _BY_USER_ID: True}
            if self._point(pointer) is not None:
                # An account was made there meanwhile: it is joined with the other.
                return None
        if other is not None:
            account = account.joined_with(from_row(other))
        account = replace(
            account,
            pointer_from=account.aad_object_id if other is None else None,
            key=account.key or self._keys.make(),
            lacks_conversation_row=_needs_conversation_row(account, before) or None,
        )
        row = self._to_row(account)
        version = self._table.replace(row, stored.version) if stored else self._table.insert(row)
        if version is None:
            return None
        if other is not None:
            # Only now that its content is safe. If it has changed, it is joined once more; so the
            # next write notes the pointer.
            pointer = self._pointer(account, account.aad_object_id or "")
            if self._table.replace(pointer, version_of(other)) is None:
                return None
        self._drop_what_it_left(before, account)
        for each in stopped:
            self._opt_outs.forget(account.channel_id, each)
        is_new = before is None or before.user_id != account.user_id
        return self._with_conversation_row(StoredAccount(account, version, is_new))

    def _drop_what_it_left(self, before: Account | None, account: Account) -> None:
        """Delete what an account does not lead to any more: erasure would not find it."""
        if before is None:
            return
        if before.pointer_from not in (None, account.aad_object_id):
            self._delete_pointer(account, before.pointer_from)
        for conversation_id in before.conversation_ids - account.conversation_ids:
            self._conversations.delete(conversation_id, account.channel_id)

    def _with_conversation_row(self, written: StoredAccount) -> StoredAccount:
        """Write the row of an account's conversation, and note in the account that it is there."""
        account = written.account
        conversation_id = account.conversation_id
        if not account.lacks_conversation_row or conversation_id is None:
            return written
        current: StoredAccount | None = written

        def write() -> StoredAccount | None:
            nonlocal current
            if current is None or conversation_id not in current.account.conversation_ids:
                # The person was erased meanwhile, or the conversation removed.
                self._conversations.delete(conversation_id, account.channel_id)
                return written
            conversation = _conversation_of(current.account)
            if conversation is None or not current.account.lacks_conversation_row:
                return written
            self._conversations.put(conversation)
            noted = replace(current.account, lacks_conversation_row=None)
            version = self._table.replace(self._to_row(noted), current.version)
            if version is None:
                current = self.get(account.channel_id, account.home_id)
                return None
            return (
                replace(written, account=noted, version=version) if current is written else written
            )

        return retry_until_written(write)

    def _point_to(self, account: Account) -> Row | None:
        """Make the object id lead to an account.

        Returns the row of an account that was made under that id, before the other was known. Where
        somebody else's stands, it stays.
        """
        if not account.lacks_pointer:
            return None
        row = self._point(self._pointer(account, account.aad_object_id or ""))
        return row if row is not None and from_row(row).made_under is None else None

    def _point(self, pointer: dict[str, Any]) -> Row | None:
        """Write a row that points to an account, unless an account of its own stands there.

        Returns that account's row.
        """
        if self._table.insert(pointer) is not None:
            return None
        row = self._table.get(pointer["PartitionKey"], _ROW_KEY)
        if row is not None and _IS_ERASED in row:
            erased = from_row(row)
            self._finish_erasing(erased, version_of(row), erased.home_id)
            row = None
        if row is not None and _POINTS_TO not in row:
            return row
        if row is None or row[_POINTS_TO] != pointer[_POINTS_TO]:
            self._table.put(pointer)
        return None

    def _delete_pointer(self, account: Account, user_id: str) -> None:
        """Delete the row of an id that points to the account."""
        row = self._row(account.channel_id, user_id)
        if row is not None and row.get(_POINTS_TO) == account.home_id:
            self._table.delete(row["PartitionKey"], _ROW_KEY, version_of(row))

    def _pointer(self, account: Account, user_id: str) -> dict[str, Any]:
        key = self._key(account.channel_id, user_id)
        return {"PartitionKey": key, "RowKey": _ROW_KEY, _POINTS_TO: account.home_id}

    def _to_row(self, account: Account) -> dict[str, Any]:
        return {
            "PartitionKey": self._key(account.channel_id, account.home_id),
            "RowKey": _ROW_KEY,
            "appId": self._app_id,
            **to_properties(account),
        }

    def _row(self, channel_id: str, user_id: str) -> Row | None:
        return self._table.get(self._key(channel_id, user_id), _ROW_KEY)

    def _key(self, channel_id: str, user_id: str) -> str:
        return key_of(self._app_id, channel_id, canonical_id(user_id))


def _stored(row: Row) -> StoredAccount:
    return StoredAccount(from_row(row), version_of(row))


def _tells_user_id(user_id: str, account: Account, pointer: Row | None) -> bool:
    """Tell whether an account that was made under an object id was found by the other id."""
    if account.made_under is not None or account.is_known_as(user_id):
        return False
    return pointer is None or _BY_USER_ID in pointer


def _where_it_points(account: Account, pointer: Row, user_id: str) -> Account:
    """Return a new account as one of the person to whom one of their ids points already."""
    other_id = pointer[_POINTS_TO]
    if _BY_USER_ID in pointer:
        return replace(account, user_id=other_id).with_user_id(user_id)
    return replace(account, user_id=other_id, aad_object_id=user_id)


def _needs_conversation_row(account: Account, before: Account | None) -> bool:
    if account.conversation is None:
        return False
    is_same = before is not None and _conversation_of(before) == _conversation_of(account)
    return not is_same or account.lacks_conversation_row is not None


def _conversation_of(account: Account) -> Conversation | None:
    """Return an account's one-to-one conversation as its own row says it."""
    if account.conversation is None:
        return None
    return Conversation(
        id=account.conversation.id,
        channel_id=account.channel_id,
        service_url=account.service_url or "",
        conversation_type=account.conversation.conversation_type,
        activity_id=account.conversation.activity_id,
        bot=account.bot,
        tenant_id=account.tenant_id,
        user_id=account.user_id,
    )
