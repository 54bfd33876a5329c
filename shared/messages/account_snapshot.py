"""What an alert takes along of an account, so that who sends need not look it up."""

import base64

from shared.accounts.account import Account, OneToOne
from shared.messages.envelope import AccountSnapshot
from shared.storage.personal_keys import PersonalKey


def snapshot_of(account: Account) -> AccountSnapshot | None:
    """Return what it takes to reach a person; None when there is no conversation with them yet."""
    if account.conversation is None or account.key is None:
        return None
    return AccountSnapshot(
        conversation_id=account.conversation.id,
        service_url=account.service_url,
        bot=account.bot,
        tenant_id=account.tenant_id,
        name=account.name,
        locale=account.locale,
        key_id=account.key.id,
        key=base64.b64encode(account.key.value).decode(),
    )


def account_in_snapshot(reference: AccountSnapshot, channel_id: str, user_id: str) -> Account:
    """Return as much of the account as was taken along."""
    return Account(
        channel_id=channel_id,
        user_id=user_id,
        name=reference.name,
        tenant_id=reference.tenant_id,
        bot=reference.bot,
        service_url=reference.service_url,
        locale=reference.locale,
        conversation=OneToOne(reference.conversation_id),
        key=PersonalKey(reference.key_id, base64.b64decode(reference.key)),
    )
