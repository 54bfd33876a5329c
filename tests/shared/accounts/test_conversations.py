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


@pytest.mark.parametrize("kept", [WHOLE, conversation(), conversation("김😀 " * 200)])
def test_a_conversation_is_found_as_it_was_kept(conversations, kept):
    conversations.put(kept)

    assert conversations.find(kept.id) == kept
    assert conversations.find(kept.id, kept.channel_id) == kept


def test_a_conversation_that_is_kept_again_is_replaced(conversations):
    conversations.put(WHOLE)
    conversations.put(conversation(WHOLE.id))

    assert conversations.find(WHOLE.id) == conversation(WHOLE.id)


def test_a_conversation_that_nobody_knows_is_unknown(conversations):
    conversations.put(conversation())

    with pytest.raises(UnknownConversationError, match="POST /api/conversations"):
        conversations.find("a:2")
    with pytest.raises(UnknownConversationError):
        conversations.find("a:1", "webchat")


def test_ids_are_told_apart_by_case(conversations):
    conversations.put(conversation("a:Abc"))

    with pytest.raises(UnknownConversationError):
        conversations.find("a:aBC")


def test_an_id_that_two_channels_share_needs_the_channel(conversations):
    conversations.put(conversation("+4930123", "sms"))
    conversations.put(conversation("+4930123", "skype"))

    with pytest.raises(AmbiguousConversationError) as caught:
        conversations.find("+4930123")

    assert "(skype, sms)" in caught.value.detail
    assert conversations.find("+4930123", "sms").channel_id == "sms"


def test_a_forgotten_conversation_is_unknown_and_others_are_not(conversations):
    conversations.put(conversation("+4930123", "sms"))
    conversations.put(conversation("+4930123", "skype"))

    conversations.delete("+4930123", "sms")
    conversations.delete("+4930123", "sms")

    assert conversations.find("+4930123").channel_id == "skype"


def test_bots_do_not_see_each_others_conversations(conversations, services):
    conversations.put(conversation())

    with pytest.raises(UnknownConversationError):
        ConversationStore(services.storage, "another bot").find("a:1")


@pytest.mark.parametrize("channel_id", [None, "msteams"])
def test_a_conversation_is_found_in_one_round_trip(conversations, storage_calls, channel_id):
    conversations.put(conversation())
    storage_calls()

    conversations.find("a:1", channel_id)

    assert len(storage_calls()) == 1
