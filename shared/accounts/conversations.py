"""The cache of conversations: what it takes to send into one.

Table ``conversations``, a row for each conversation, groups and threads too. PartitionKey: the hash
of the bot's app id and the conversation's id, RowKey: the hash of the channel's id. So a
conversation is found by its id alone in one round trip, and two channels may use the same id. The
ids themselves are properties. A one-to-one conversation names the user whose account it belongs to.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared import json_text
from shared.accounts.address import Address
from shared.errors import AmbiguousConversationError, UnknownConversationError
from shared.storage.clients import Storage
from shared.storage.row_properties import to_fields, to_properties
from shared.storage.tables import Row, Table, key_of
from shared.wire_models import ChannelAccount, ConversationAccount


@dataclass(frozen=True)
class Conversation:
    """A conversation of the bot's, and what it takes to send into it.

    ``activity_id`` is that of the activity that it was started with. A one-to-one conversation has
    the ``user_id`` of its person. A group has the time when it was last seen: ``observed_at``.
    """

    id: str
    channel_id: str
    service_url: str
    is_group: bool = False
    conversation_type: str | None = None
    activity_id: str | None = None
    bot: ChannelAccount | None = None
    tenant_id: str | None = None
    user_id: str | None = None
    observed_at: datetime | None = None


def group_at(channel_id: str, told: ConversationAccount, address: Address) -> Conversation:
    """Return a group's conversation as somebody tells it."""
    return Conversation(
        id=told.id,
        channel_id=channel_id,
        service_url=address.service_url,
        is_group=True,
        conversation_type=told.conversation_type,
        bot=address.bot,
        tenant_id=address.tenant_id,
    )


class ConversationStore:
    """Finds, keeps and forgets conversations."""

    def __init__(self, storage: Storage, app_id: str) -> None:
        self._table = Table(storage, "conversations")
        self._app_id = app_id

    def find(self, conversation_id: str, channel_id: str | None = None) -> Conversation:
        """Return a conversation by its id; one round trip.

        Raises UnknownConversationError, and AmbiguousConversationError when several channels have
        a conversation with this id and ``channel_id`` does not say which is meant.
        """
        key = self._key(conversation_id)
        if channel_id is None:
            rows = self._table.partition(key)
        else:
            row = self._table.get(key, key_of(channel_id))
            rows = [row] if row is not None else []
        if not rows:
            raise UnknownConversationError(
                "No such conversation is cached here; start it first with POST /api/conversations"
            )
        if len(rows) > 1:
            channels = ", ".join(sorted(row["channelId"] for row in rows))
            raise AmbiguousConversationError(
                f"Several channels have a conversation with this id ({channels}); say which with "
                "channelId"
            )
        return _from_row(rows[0])

    def put(self, conversation: Conversation) -> None:
        """Keep a conversation."""
        self._table.put(
            _to_row(conversation, self._key(conversation.id), key_of(conversation.channel_id))
        )

    def move(self, conversation_id: str, channel_id: str, service_url: str) -> None:
        """Store another service URL for a conversation, if it is known."""
        keys = {"PartitionKey": self._key(conversation_id), "RowKey": key_of(channel_id)}
        self._table.change(keys, lambda row: row and {**row, "serviceUrl": service_url})

    def version(self, conversation_id: str, channel_id: str) -> str | None:
        """Return the version of a conversation as it is kept, None where there is none."""
        row = self._table.get(self._key(conversation_id), key_of(channel_id))
        return row.version if row is not None else None

    def delete(self, conversation_id: str, channel_id: str, version: str | None = None) -> bool:
        """Forget a conversation, if it is of the version, where one is given.

        Tells whether it is gone.
        """
        return self._table.delete(self._key(conversation_id), key_of(channel_id), version)

    def _key(self, conversation_id: str) -> str:
        return key_of(self._app_id, conversation_id)


def _to_row(conversation: Conversation, partition_key: str, row_key: str) -> dict[str, Any]:
    row = {
        "PartitionKey": partition_key,
        "RowKey": row_key,
        "conversationId": conversation.id,
        **to_properties(conversation, but=("id", "bot")),
    }
    if conversation.bot is not None:
        row["bot"] = json_text.to_text(conversation.bot.to_json())
    return row


def _from_row(row: Row) -> Conversation:
    known = to_fields(Conversation, row) | {"id": row["conversationId"]}
    if "bot" in row:
        known["bot"] = ChannelAccount.model_validate(json.loads(row["bot"]))
    return Conversation(**known)
