"""Accounts as they stand in Table storage."""

import json
from typing import Any

from shared.accounts.account import Account, OneToOne
from shared.json_text import to_text, without_none
from shared.storage import row_properties
from shared.storage.personal_keys import PersonalKey
from shared.storage.tables import Row
from shared.wire_models import ChannelAccount, canonical_id

_WRITTEN_AS_JSON = (
    "bot",
    "preferences",
    "conversation",
    "former_conversation_ids",
    "former_key_ids",
)
_TIMES = ("observed_at", "started_at", "preferences_at", "muted_at", "welcome_due")
PROPERTIES_BUT_TIMES = (
    *("PartitionKey", "appId", "conversations", "keyId"),
    *row_properties.names(Account, but=_TIMES),
)
"""What is read of each row where many are read: it takes longer to read times than all else."""

_OF_ENTRA = ("tenant_id", "aad_object_id", "pointer_from")


def to_properties(account: Account) -> dict[str, Any]:
    """Return the properties of the row of an account."""
    one, bot_id = account.conversation, account.bot.id if account.bot else ""
    texts = {
        "bot": account.bot.to_json() if account.bot else None,
        "preferences": account.preferences,
        # In the form of the version before: while both run, each reads what the other wrote.
        "conversations": {bot_id: without_none(vars(one))} if one else None,
        "formerConversationIds": account.former_conversation_ids,
        "formerKeyIds": account.former_key_ids,
    }
    return {
        **row_properties.to_properties(account, but=(*_WRITTEN_AS_JSON, "key")),
        **{name: to_text(value) for name, value in texts.items() if value},
        **({"keyId": account.key.id, "key": account.key.value} if account.key else {}),
    }


def from_row(row: Row) -> Account:
    """Return the account that a row holds."""
    known = row_properties.to_fields(Account, row)
    known |= {name: canonical_id(known[name]) for name in _OF_ENTRA if name in known}
    known |= {name: json.loads(known[name]) for name in _WRITTEN_AS_JSON if name in known}
    bot, conversation = known.get("bot"), known.get("conversation")
    former_ids = known.get("former_conversation_ids", [])
    if "conversations" in row:
        conversation, *others = _own_first(json.loads(row["conversations"]), bot)
        former_ids = [*former_ids, *[one["id"] for one in others]]
    return Account(
        **known
        | {
            "bot": ChannelAccount.model_validate(bot) if bot else None,
            "conversation": OneToOne(**conversation) if conversation else None,
            "former_conversation_ids": tuple(former_ids),
            "former_key_ids": tuple(known.get("former_key_ids", ())),
            "key": PersonalKey(row["keyId"], bytes(row["key"])) if "keyId" in row else None,
        }
    )


def _own_first(
    conversations: dict[str, dict[str, Any]], bot: dict[str, Any] | None
) -> list[dict[str, Any]]:
    """Return the conversations of a row of the time when it had one for each id of the bot.

    The first is that with the account's own bot, by the same id, or by the same id with or without
    its prefix. Else it is the latest.
    """
    own_id = bot["id"] if bot else ""

    def fitness(bot_id: str) -> tuple[bool, bool]:
        return bot_id == own_id, bot_id.removeprefix("28:") == own_id.removeprefix("28:")

    latest_first = reversed(conversations)
    return [conversations[each] for each in sorted(latest_first, key=fitness, reverse=True)]
