"""Erasing a person: their account, and all that hangs on it.

First the account's row is marked as erased, whoever else changes it meanwhile: it is in no list any
more, and nobody's account. Then goes what hangs on it, and then the row. Whoever comes by the mark
finishes what a failure has left undone. So several may be at it, and the person may be back before
the last of them is done: each deletes only what it saw while the mark was there.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from shared.accounts.account import Account
from shared.accounts.conversations import ConversationStore
from shared.accounts.opt_outs import OptOuts
from shared.accounts.person_ids import AccountRows
from shared.accounts.rows import from_row
from shared.storage.personal_keys import PersonalKeys
from shared.storage.tables import Row
from shared.wire_models import canonical_id

IS_ERASED = "isErased"


@dataclass(frozen=True)
class Erasure:
    """Erases people, and deletes what does not lead to an account any more."""

    rows: AccountRows
    opt_outs: OptOuts
    keys: PersonalKeys
    conversations: ConversationStore

    def erase(self, channel_id: str, user_id: str) -> None:
        """Erase a person, by either of their ids; a stop is remembered, if they have said it."""
        row, pointer = self.rows.find(channel_id, user_id)
        while row is not None and not self.finish(row, user_id):
            self.rows.table.change(row, _marked)
            row, pointer = self.rows.find(channel_id, user_id)
        if row is None and pointer is not None:
            self.rows.delete(pointer)

    def finish(self, row: Row, found_by: str) -> bool:
        """Delete all that hangs on an account, and its row, if that is marked as erased.

        Tells whether it is. The row of the id that it was ``found_by`` goes last, so that it is
        found again after a failure.
        """
        if IS_ERASED not in row:
            return False
        account = from_row(row)
        pointers = self.rows.pointers(account)
        conversations = {
            each: self.conversations.version(each, account.channel_id)
            for each in account.conversation_ids
        }
        if not self.rows.is_unchanged(row, account):
            # Somebody else has finished, and the person may be back.
            return True
        if account.preferences.get("muted"):
            for user_id in account.ids:
                self.opt_outs.remember(account.channel_id, user_id, datetime.now(UTC))
        # Before the pointers: without them, an id of the person may have an account anew.
        gone = [
            self.conversations.delete(each, account.channel_id, version)
            for each, version in conversations.items()
            if version is not None
        ]
        if not all(gone):
            # One of them was changed meanwhile.
            return self.finish(row, found_by)
        last = pointers.pop(canonical_id(found_by), None)
        for pointer in pointers.values():
            self.rows.delete(pointer)
        for key_id in account.key_ids:
            self.keys.destroy(key_id)
        self.rows.delete(row)
        if last is not None:
            self.rows.delete(last)
        return True

    def drop_what_it_left(self, before: Account, after: Account) -> None:
        """Delete what leads to an account by ids and conversations that it has no more."""
        for user_id in before.ids:
            if not after.is_known_as(user_id):
                self.rows.delete_pointer(before, user_id)
        for conversation_id in before.conversation_ids - after.conversation_ids:
            self.conversations.delete(conversation_id, before.channel_id)


def _marked(row: Row | None) -> Row | None:
    # Without an appId it is in no list. Neither has a row that has become a pointer meanwhile.
    if row is None or "appId" not in row:
        return row
    return {name: value for name, value in row.items() if name != "appId"} | {IS_ERASED: True}
