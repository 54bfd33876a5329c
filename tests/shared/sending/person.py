"""Somebody who has a conversation with the bot, and what the Connector was asked."""

from dataclasses import replace

from shared.accounts.account import Account, OneToOne
from shared.accounts.conversations import Conversation
from shared.wire_models import ChannelAccount
from tests.support.builders import unique

BOT = ChannelAccount(id="28:bot")

NEWS = {"activity": {"text": "News"}}


class Person:
    """Somebody who has an account, and a conversation with the bot."""

    def __init__(self, services, connector, **fields):
        self.services = services
        self.user_id = unique("29:alex")
        self.first_id = unique("a:first")
        connector.set_conversation_id(self.user_id, unique("a:next"))
        self.next_id = connector.conversation_id(self.user_id)
        account = Account(
            "msteams",
            self.user_id,
            **{
                "name": "Alex",
                "locale": "de",
                "preferences": {"interests": ["Rain"]},
                "bot": BOT,
                "tenant_id": "tenant",
                "service_url": f"{connector.url}/amer/",
                "conversation": OneToOne(self.first_id),
                **fields,
            },
        )
        services.accounts.change_or_make("msteams", self.user_id, lambda _stored: account)
        services.conversations.put(
            Conversation(
                self.first_id,
                "msteams",
                f"{connector.url}/amer/",
                bot=BOT,
                tenant_id="tenant",
                user_id=self.user_id,
            )
        )
        self.message = {"recipient": {"channelId": "msteams", "userId": self.user_id}}
        self.to_first = {"conversationId": self.first_id}
        self.start = {"bot": {"id": "28:bot"}, "members": [{"id": self.user_id}]}

    @property
    def account(self):
        stored = self.services.accounts.get("msteams", self.user_id)
        assert stored is not None
        return stored.account

    def change(self, **fields):
        self.services.accounts.change_or_make(
            "msteams", self.user_id, lambda stored: replace(stored.account, **fields)
        )


def paths(connector):
    return [request.path.partition("/v3/conversations")[2] for request in connector.requests]


def activities_of(conversation_id):
    return f"/{conversation_id.replace(':', '%3A')}/activities"
