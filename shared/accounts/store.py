"""Finding, changing, listing and erasing accounts: what the functions work with.

What is decided is decided by the write of the account's row, under the condition that nobody else
has changed it. What hangs on it follows: the row of the person's one-to-one conversation with the
bot, a stop that was said while there was no account, and when a person is erased, all the rest.
Until it has followed, the account's row says that it is to follow, to whoever comes by.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from shared.accounts.account import Account
from shared.accounts.conversations import Conversation, ConversationStore
from shared.accounts.erasure import IS_ERASED, Erasure
from shared.accounts.opt_outs import OptOuts
from shared.accounts.person_ids import AccountRows, as_found
from shared.accounts.rows import PROPERTIES_BUT_TIMES, from_row
from shared.errors import UnknownAccountError
from shared.json_text import without_none
from shared.storage.clients import Storage
from shared.storage.personal_keys import PersonalKeys
from shared.storage.tables import Pauses, Row, version_of


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
        self._rows = AccountRows(storage, app_id)
        self._erasure = Erasure(self._rows, opt_outs, keys, conversations)
        self._opt_outs = opt_outs
        self._keys = keys
        self._conversations = conversations
        self.erasures = 0
        """How often this process has erased somebody, so that nobody is named from memory then."""

    def get(self, channel_id: str, user_id: str) -> StoredAccount | None:
        """Return what is cached of a person, None when nothing is.

        One round trip; by the object id of an account that stands under another id, two.
        """
        stored, pointer = self._find(channel_id, user_id)
        if stored is None or pointer is None or stored.account.is_known_as(user_id):
            return stored
        # This id leads there, but the account does not know it yet, nor what was said by it.
        opt_out = self._opt_outs.find(channel_id, user_id)
        if opt_out is None:
            return stored
        return replace(stored, account=stored.account.with_earlier_stop(opt_out.said_at))

    def known_as(self, channel_id: str, *user_ids: str) -> list[Account]:
        """Return the accounts that these ids of a person lead to, most likely one.

        As fast as one round trip, where the id that an account was made under is among them.
        """
        first, *others = user_ids
        with ThreadPoolExecutor() as threads:
            found_by_others = threads.map(lambda each: self._rows.at(channel_id, each), others)
            rows = [self._rows.at(channel_id, first), *found_by_others]
        found = [account for row in rows if row and (account := self._own(row)) is not None]
        if found or not any(rows):
            return found
        stored = self.get(channel_id, user_ids[0])
        return [stored.account] if stored else []

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
        pauses = Pauses()
        while True:
            stored, pointer = self._find(channel_id, user_id)
            changed = as_found(change(stored), user_id, pointer)
            other = self._point_to(changed)
            if stored is None and other is not None:
                # What is told by a new id is told of the account that there is.
                stored, other = other, None
                changed = as_found(change(stored), user_id, None)
            lacks_row = changed.lacks_pointer or changed.lacks_conversation_row
            is_whole = not lacks_row and not changed.may_have_stopped
            if stored is not None and changed == stored.account and is_whole:
                return stored
            written = self._write(changed, stored, other)
            if written is not None:
                return written
            pauses.take()

    def stop(self, channel_id: str, user_id: str, said_at: datetime) -> bool:
        """Have a stop hold, also of somebody without an account; tell whether there was one."""

        def stopped(stored: StoredAccount) -> Account:
            wanted = {**stored.account.preferences, "muted": True}
            return stored.account.with_preferences(wanted, said_at, muted_at=said_at)

        if self.change(channel_id, user_id, stopped) is not None:
            return True
        self._opt_outs.remember(channel_id, user_id, said_at)
        # Whoever made the account meanwhile may have looked for a stop before.
        self.change(
            channel_id, user_id, lambda stored: replace(stored.account, may_have_stopped=True)
        )
        return False

    def page(
        self, size: int, token: str | None = None, **properties: str | None
    ) -> tuple[list[Account], str | None]:
        """Return a page of all accounts whose properties are these, and the token of the next page.

        There is a next page for as long as there is a token, whatever this one holds. Raises
        InvalidRequestError for a token that is none of ours.
        """
        # Rows that only point to an account have no appId.
        wanted = {"appId": self._rows.app_id, **without_none(properties)}
        query = " and ".join(f"{name} eq @{name}" for name in wanted)
        rows, next_token = self._rows.table.page(query, wanted, size=size, token=token)
        return [from_row(row) for row in rows], next_token

    def scan(
        self, size: int, *, after: str = "", up_to: str | None = None
    ) -> tuple[list[Scanned], bool]:
        """Return the next accounts in the order of their keys, and whether there may be more.

        They begin ``after`` one key and end with another, ``up_to``. The keys are hashes, so they
        are spread evenly: a key tells what part of all accounts lies before it. Of their times,
        the accounts have ``probe_at`` alone.
        """
        query, keys = "PartitionKey gt @after", {"after": after}
        if up_to is not None:
            query, keys = f"{query} and PartitionKey le @upTo", {**keys, "upTo": up_to}
        rows: list[Row] = []
        token: str | None = None
        while not rows:
            # A page may be empty and still not be the last.
            rows, token = self._rows.table.page(
                query, keys, size=size, token=token, select=PROPERTIES_BUT_TIMES
            )
            if token is None:
                break
        return [Scanned(row["PartitionKey"], self._own(row)) for row in rows], token is not None

    def erase(self, channel_id: str, user_id: str) -> None:
        """Erase a person, by either of their ids; a stop is remembered, if they have said it."""
        self._erasure.erase(channel_id, user_id)
        self.erasures += 1

    def _own(self, row: Row) -> Account | None:
        """Return the account of a row; rows that only point to an account have no appId."""
        if row.get("appId") != self._rows.app_id:
            return None
        account = from_row(row)
        if not account.may_have_stopped:
            return account
        stored = self.get(account.channel_id, account.home_id)
        return stored.account if stored else None

    def _find(self, channel_id: str, user_id: str) -> tuple[StoredAccount | None, Row | None]:
        """Return what is cached of a person, and the row that points there, if one does."""
        row, pointer = self._rows.find(channel_id, user_id)
        if row is not None and IS_ERASED in row:
            self._erasure.finish(row, user_id)
            return None, None
        stored = _stored(row) if row is not None else None
        if stored is not None and stored.account.may_have_stopped:
            # Whoever made the account has not looked for a stop yet, and nobody goes by it before.
            stored = self._settled(stored)
        return stored, pointer

    def _point_to(self, account: Account) -> StoredAccount | None:
        """Have the object id lead to an account.

        Returns the account that was made under that id, before the other was known. Where somebody
        else's stands, it stays.
        """
        object_id = account.aad_object_id or ""
        row = self._rows.point(account, object_id) if account.lacks_pointer else None
        if row is None:
            return None
        if self._erasure.finish(row, object_id):
            return self._point_to(account)
        other = _stored(row)
        return other if other.account.made_under is None else None

    def _write(
        self, account: Account, stored: StoredAccount | None, other: StoredAccount | None
    ) -> StoredAccount | None:
        """Write an account over the version that was read; None when it has changed since.

        ``other`` is the account of the same person that was made under their object id.
        """
        before = stored.account if stored else None
        new_ids = [each for each in account.ids if not (before and before.is_known_as(each))]
        is_pointer_needed = account.made_under is not None and account.user_id in new_ids
        if is_pointer_needed and self._rows.point(account, account.user_id) is not None:
            # An account was made there meanwhile: it is joined with the other.
            return None
        if other is not None:
            account = account.joined_with(other.account)
        conversation = _conversation_of(account)
        known = _conversation_of(before) if before else None
        is_to_follow = conversation != known or account.lacks_conversation_row
        account = replace(
            account,
            pointer_from=account.aad_object_id if other is None else None,
            key=account.key or self._keys.make(),
            lacks_conversation_row=True if conversation and is_to_follow else None,
            may_have_stopped=True if new_ids or account.may_have_stopped else None,
        )
        version = self._rows.write(account, stored.version if stored else None)
        if version is None:
            return None
        if other is not None:
            # Only now that its content is safe. If it has changed, it is joined once more; so the
            # next write notes the pointer.
            object_id = account.aad_object_id or ""
            if self._rows.point(account, object_id, over=other.version) is not None:
                return None
        if before is not None:
            self._erasure.drop_what_it_left(before, account)
        is_new = before is None or before.user_id != account.user_id
        current = StoredAccount(account, version, is_new)
        # Who is erased meanwhile has been told of all the same.
        return self._settled(current) or current

    def _settled(self, stored: StoredAccount) -> StoredAccount | None:
        """Have what hangs on an account follow it, and note in the account that it has.

        Only once the account is written, a stop is looked for. Whoever remembers one looks for the
        account only then. So one of the two sees the other. Returns the account as it is in the
        end, None where the person was erased meanwhile.
        """
        account, conversation = stored.account, _conversation_of(stored.account)
        if not account.lacks_conversation_row and not account.may_have_stopped:
            return stored
        if conversation is not None and account.lacks_conversation_row:
            self._conversations.put(conversation)
        ids = account.ids if account.may_have_stopped else []
        found = [self._opt_outs.find(account.channel_id, each) for each in ids]
        opt_outs = [each for each in found if each is not None]
        settled = replace(account, lacks_conversation_row=None, may_have_stopped=None)
        for each in opt_outs:
            settled = settled.with_earlier_stop(each.said_at)
        version = self._rows.write(settled, stored.version)
        if version is not None:
            for each in opt_outs:
                self._opt_outs.forget(each)
            return replace(stored, account=settled, version=version)
        current = self.get(account.channel_id, account.home_id)
        if current is not None:
            current = replace(current, is_new=stored.is_new)
        if conversation is None or not account.lacks_conversation_row:
            return current
        if current is None or conversation.id not in current.account.conversation_ids:
            # The person was erased meanwhile, or the conversation removed.
            self._conversations.delete(conversation.id, account.channel_id)
            return current
        # What was just written may be older than what somebody else has written meanwhile.
        lacking = replace(current.account, lacks_conversation_row=True)
        return self._settled(replace(current, account=lacking))


def _stored(row: Row) -> StoredAccount:
    return StoredAccount(from_row(row), version_of(row))


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
