from dataclasses import replace

import pytest

from shared.accounts.conversations import Conversation, ConversationStore
from shared.errors import AmbiguousConversationError, UnknownConversationError
from shared.wire_models import ChannelAccount

SERVICE_URL = "https://smba.trafficmanager.net/teams/"
WHOLE = Conversation(
    "19:x@thread.tacv2;messageid=1/2?3#4",
    channel_id="msteams",
    service_url=SERVICE_URL,
    is_group=True,
    conversation_type="channel",
    activity_id="1",
    bot=ChannelAccount.model_validate({"id": "28:bot", "name": "Grüße 😀", "half": "\ud83d"}),
    tenant_id="t",
    user_id="29:alex",
)


@pytest.fixture
def conversations(services):
    return services.conversations


def conversation(conversation_id="a:1", channel_id="msteams", **fields):
    return Conversation(conversation_id, channel_id, SERVICE_URL, **fields)


def test_a_conversation_is_found_as_it_was_kept_in_one_round_trip(conversations, storage_calls):
    for kept in (WHOLE, conversation(), conversation("김😀 " * 200), conversation(WHOLE.id)):
        conversations.put(kept)
        for channel_id in (None, kept.channel_id):
            storage_calls()
            assert conversations.find(kept.id, channel_id) == kept
            assert len(storage_calls()) == 1


def test_a_conversation_that_nobody_knows_is_unknown(conversations, services):
    conversations.put(conversation("a:Abc"))

    with pytest.raises(UnknownConversationError, match="POST /api/conversations"):
        conversations.find("a:aBC")
    with pytest.raises(UnknownConversationError):
        conversations.find("a:Abc", "webchat")
    with pytest.raises(UnknownConversationError):
        ConversationStore(services.storage, "another bot").find("a:Abc")


def test_an_id_that_two_channels_share_needs_the_channel(conversations):
    conversations.put(conversation("+4930123", "sms"))
    conversations.put(conversation("+4930123", "skype"))

    with pytest.raises(AmbiguousConversationError) as caught:
        conversations.find("+4930123")

    assert "(skype, sms)" in caught.value.detail
    assert conversations.find("+4930123", "sms").channel_id == "sms"

    conversations.delete("+4930123", "sms")
    conversations.delete("+4930123", "sms")
    assert conversations.find("+4930123").channel_id == "skype"


def test_a_conversation_that_is_known_can_move(conversations):
    conversations.put(WHOLE)

    for channel_id in (WHOLE.channel_id, "webchat"):
        conversations.move(WHOLE.id, channel_id, "https://smba.example/")

    assert conversations.find(WHOLE.id) == replace(WHOLE, service_url="https://smba.example/")
