"""The welcome of a person who has installed the bot: once for each install, however often told.

An install is an account's change to installed by what tells of an install. The write that makes the
change notes that a welcome is due; then the welcome is put on its queue, and the note removed. So
whatever comes by after a crash puts it again. Its id is that of the install, so one is sent.
"""

from dataclasses import replace
from datetime import UTC

from ReceiveActivity.commands import HELLO
from ReceiveActivity.replies import put_reply
from shared.accounts.account import Account
from shared.accounts.store import StoredAccount
from shared.storage.tables import key_of
from shared.wiring import Services


def welcome(account: Account, services: Services) -> None:
    """Put the welcome that is due to a person on its queue, if there is one."""
    due, conversation_id = account.welcome_due, account.conversation_id
    if due is None or conversation_id is None:
        return
    install = (account.channel_id, conversation_id, due.astimezone(UTC).isoformat())
    put_reply(HELLO, account, conversation_id, key_of("welcome", *install), services)

    def welcomed(stored: StoredAccount) -> Account:
        is_same = stored.account.welcome_due == due
        return replace(stored.account, welcome_due=None) if is_same else stored.account

    services.accounts.change(account.channel_id, account.user_id, welcomed)
