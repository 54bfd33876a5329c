"""Short ways to tell something of a person, and to find them."""

from dataclasses import replace
from typing import Any

from shared.accounts.account import Account
from shared.accounts.store import AccountStore, StoredAccount

CHANNEL_ID = "msteams"


def tell(accounts: AccountStore, user_id: str, **changes: Any) -> StoredAccount:
    """Change some fields of an account, which is made for it under this id."""

    def change(stored: StoredAccount | None) -> Account:
        account = stored.account if stored else Account(CHANNEL_ID, user_id)
        return replace(account, **changes)

    return accounts.change_or_make(CHANNEL_ID, user_id, change)


def found(accounts: AccountStore, user_id: str) -> Account:
    stored = accounts.get(CHANNEL_ID, user_id)
    assert stored is not None
    return stored.account
