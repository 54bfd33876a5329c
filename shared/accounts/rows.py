"""Accounts as they stand in Table storage."""

import json
from typing import Any

from shared import json_text
from shared.accounts.account import Account, OneToOne
from shared.storage.personal_keys import PersonalKey
from shared.storage.tables import Row
from shared.wire_models import ChannelAccount


def to_properties(account: Account) -> dict[str, Any]:
    """Return the properties of the row of an account."""
    properties = {
        "channelId": account.channel_id,
        "userId": account.user_id,
        "name": account.name,
        "aadObjectId": account.aad_object_id,
        "tenantId": account.tenant_id,
        "bot": json_text.to_text(account.bot.to_json()) if account.bot else None,
        "serviceUrl": account.service_url,
        "locale": account.locale,
        "timeZone": account.time_zone,
        "preferences": json_text.to_text(account.preferences) if account.preferences else None,
        "conversations": json_text.to_text(
            {bot_id: vars(one) for bot_id, one in account.conversations.items()}
        )
        if account.conversations
        else None,
        "installed": account.installed,
        "blocked": account.blocked,
        "observedAt": account.observed_at,
        "preferencesAt": account.preferences_at,
        "mutedAt": account.muted_at,
        "pointerFrom": account.pointer_from,
        "formerConversationIds": json_text.to_text(account.former_conversation_ids)
        if account.former_conversation_ids
        else None,
        "probeAt": account.probe_at,
        "keyId": account.key.id if account.key else None,
        "key": account.key.value if account.key else None,
        "formerKeyIds": json_text.to_text(account.former_key_ids)
        if account.former_key_ids
        else None,
    }
    return {name: value for name, value in properties.items() if value is not None}


def from_row(row: Row) -> Account:
    """Return the account that a row holds."""
    bot = row.get("bot")
    return Account(
        channel_id=row["channelId"],
        user_id=row["userId"],
        name=row.get("name"),
        aad_object_id=row.get("aadObjectId"),
        tenant_id=row.get("tenantId"),
        bot=ChannelAccount.model_validate(json.loads(bot)) if bot else None,
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
        observed_at=row.get("observedAt"),
        preferences_at=row.get("preferencesAt"),
        muted_at=row.get("mutedAt"),
        pointer_from=row.get("pointerFrom"),
        former_conversation_ids=tuple(json.loads(row.get("formerConversationIds", "[]"))),
        probe_at=row.get("probeAt"),
        key=PersonalKey(row["keyId"], bytes(row["key"])) if "keyId" in row else None,
        former_key_ids=tuple(json.loads(row.get("formerKeyIds", "[]"))),
    )
