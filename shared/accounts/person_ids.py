"""Which row an id of a person leads to.

Table ``accounts``, a row for each person on each channel. PartitionKey: the hash of the bot's app
id, the channel's id and the user's id, so that rows spread evenly and one look-up by key finds all
that a message needs; RowKey: ``account``. The ids themselves are properties. The id of the bot's
account on a channel is no part of any key: one deployment serves one bot, however its id is
written.

On Teams a person has two ids, ``29:…`` and the Entra object id. The account stays under the one
that it was made under, whatever else becomes known; under the other one stands a row that points to
it (``pointsTo``), so that both ids find one account. Where accounts were made under both before
that was known, they are joined under the first.
"""

from dataclasses import replace
from typing import Any

from shared.accounts.account import Account
from shared.accounts.rows import to_properties
from shared.storage.clients import Storage
from shared.storage.tables import Row, Table, key_of, version_of
from shared.wire_models import canonical_id

_ROW_KEY = "account"
_POINTS_TO = "pointsTo"
# Of a pointer: it stands under the channel's own id, and leads to the object id.
_BY_USER_ID = "byUserId"


class AccountRows:
    """The rows of accounts, and those that point to them."""

    def __init__(self, storage: Storage, app_id: str) -> None:
        self.table = Table(storage, "accounts")
        self.app_id = app_id

    def find(self, channel_id: str, user_id: str) -> tuple[Row | None, Row | None]:
        """Return the row of a person's account, and the pointer that led there, if one did."""
        row = self.at(channel_id, user_id)
        if row is None or _POINTS_TO not in row:
            return row, None
        return self.at(channel_id, row[_POINTS_TO]), row

    def at(self, channel_id: str, user_id: str) -> Row | None:
        """Return the row of an id: that of an account, or a pointer."""
        return self.table.get(self._key(channel_id, user_id), _ROW_KEY)

    def write(self, account: Account, version: str | None) -> str | None:
        """Write an account, over a version of it or anew; return its version.

        Returns None, writing nothing, when somebody else has written it meanwhile.
        """
        keys = self._keys(account.channel_id, account.home_id)
        row = {**keys, "appId": self.app_id, **to_properties(account)}
        return self.table.replace(row, version) if version else self.table.insert(row)

    def point(self, account: Account, user_id: str, *, over: str | None = None) -> Row | None:
        """Have one more id lead to an account, unless an account of its own stands there.

        Returns that account's row. One that was joined with this is written ``over``, if it still
        is of that version.
        """
        pointer = {**self._keys(account.channel_id, user_id), _POINTS_TO: account.home_id}
        if user_id == account.user_id:
            pointer[_BY_USER_ID] = True
        found: Row | None = None

        def pointed(row: Row | None) -> Row:
            nonlocal found
            is_account = row is not None and _POINTS_TO not in row and version_of(row) != over
            found = row if is_account else None
            return found or pointer

        self.table.change(pointer, pointed, is_new=over is None)
        return found

    def delete_pointer(self, account: Account, user_id: str) -> None:
        """Delete the row of an id, if it points to the account."""
        row = self.at(account.channel_id, user_id)
        if row is not None and row.get(_POINTS_TO) == account.home_id:
            self.delete(row)

    def pointers(self, account: Account) -> dict[str, Row]:
        """Return the rows that point to an account, by the ids that they stand under."""
        rows = {canonical_id(each): self.at(account.channel_id, each) for each in account.ids}
        return {
            user_id: row
            for user_id, row in rows.items()
            if row is not None and row.get(_POINTS_TO) == account.home_id
        }

    def is_unchanged(self, row: Row, account: Account) -> bool:
        """Tell whether the row of an account is there as it was read."""
        current = self.at(account.channel_id, account.home_id)
        return current is not None and version_of(current) == version_of(row)

    def delete(self, row: Row) -> bool:
        """Delete a row, if nobody has changed it; tell whether it is gone."""
        return self.table.delete(row["PartitionKey"], _ROW_KEY, version_of(row))

    def _keys(self, channel_id: str, user_id: str) -> dict[str, Any]:
        return {"PartitionKey": self._key(channel_id, user_id), "RowKey": _ROW_KEY}

    def _key(self, channel_id: str, user_id: str) -> str:
        return key_of(self.app_id, channel_id, canonical_id(user_id))


def as_found(account: Account, user_id: str, pointer: Row | None) -> Account:
    """Return an account with what finding it by this id tells of the person's other id.

    Where the ``pointer`` does not lead to it, the pointer was written, and then not its account:
    this becomes the account.
    """
    is_by_user_id = pointer is None or _BY_USER_ID in pointer
    if pointer is not None and canonical_id(account.home_id) != canonical_id(pointer[_POINTS_TO]):
        object_id = account.aad_object_id if is_by_user_id else user_id
        account = replace(account, user_id=pointer[_POINTS_TO], aad_object_id=object_id)
    if is_by_user_id and account.made_under is None and not account.is_known_as(user_id):
        return account.with_user_id(user_id)
    return account
