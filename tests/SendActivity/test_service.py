"""An activity goes into its conversation, or to a person in theirs."""

from datetime import UTC, datetime

import pytest

from SendActivity.request import SendRequest
from SendActivity.service import send_activity
from shared.accounts.account import OneToOne
from shared.accounts.conversations import Conversation
from shared.errors import (
    ConversationNotStartedError,
    RequestTooLargeError,
    SuppressedError,
    UnknownConversationError,
)
from shared.messages.envelope import Envelope
from shared.messages.queue_names import SEND_ACTIVITY
from shared.messages.queued_message import QueuedMessage, StartFirst
from tests.SendActivity.sending import BOT, START_FOR_ALEX, TO_ALEX, handle

LANGUAGES = {"activities": {"fr": {"text": "Quoi"}, "en": {"text": "News"}, "de": {"text": "Neu"}}}


@pytest.fixture
def send(services):
    def run(**body):
        content = {} if "activities" in body else {"activity": {"text": "News"}}
        return send_activity(SendRequest.from_json({**content, **body}), services)

    return run


@pytest.fixture
def keep(services, connector):
    """Caches a conversation."""

    def run(conversation_id="a:1", channel_id="msteams", **fields):
        service_url = f"{connector.url}/emea/"
        services.conversations.put(
            Conversation(conversation_id, channel_id, service_url, bot=BOT, **fields)
        )

    return run


# Into a conversation


def test_an_activity_goes_into_its_conversation(send, keep, connector):
    keep("19:x@thread.tacv2;messageid=1", is_group=True)

    sent = send(conversationId="19:x@thread.tacv2;messageid=1")

    [request] = connector.requests
    assert sent.activity_id == "activity-1"
    assert request.path == "/emea/v3/conversations/19%3Ax%40thread.tacv2%3Bmessageid%3D1/activities"
    assert request.json == {
        "type": "message",
        "text": "News",
        "from": {"id": "28:bot", "name": "News"},
        "conversation": {"id": "19:x@thread.tacv2;messageid=1"},
    }


def test_what_a_channel_does_not_take_is_not_sent(send, keep, connector):
    keep("a:1", "msteams")
    keep("a:2", "webchat")

    with pytest.raises(RequestTooLargeError):
        send(conversationId="a:1", activity={"text": "x" * 60_000})
    send(conversationId="a:2", activity={"text": "x" * 60_000})

    assert len(connector.requests) == 1


# To a person


def test_an_activity_reaches_a_person_in_their_conversation_by_one_look_up(
    send, know, connector, storage_calls
):
    know()
    storage_calls()

    send(**TO_ALEX)

    assert len([call for call in storage_calls() if "/lanes" not in call]) == 1
    [request] = connector.requests
    assert request.path == "/amer/v3/conversations/a%3A1/activities"
    assert request.json["from"] == {"id": "28:bot", "name": "News"}
    know(service_url=None)
    send(**TO_ALEX)
    assert connector.requests[1].path.startswith("/teams/v3/")


def test_a_person_without_a_conversation_has_none(send, know, connector):
    know(conversation=None)

    with pytest.raises(ConversationNotStartedError):
        send(**TO_ALEX)

    assert connector.requests == []


def test_a_person_who_muted_the_topic_hears_of_others(send, know, connector):
    know(preferences={"mutedTopics": ["NEWS"]})

    with pytest.raises(SuppressedError):
        send(**TO_ALEX, topic="news")
    send(**TO_ALEX, topic="orders")

    assert len(connector.requests) == 1


# In their language


@pytest.mark.parametrize(
    ("locale", "text", "sent_locale"), [("de-CH", "Neu", "de"), ("nl", "News", "en")]
)
def test_a_person_gets_the_text_they_read_best(
    send, know, keep, connector, locale, text, sent_locale
):
    know(locale=locale)
    keep(user_id="29:alex")

    send(**TO_ALEX, **LANGUAGES)
    send(conversationId="a:1", **LANGUAGES)

    said = [(call.json["text"], call.json["locale"]) for call in connector.requests]
    assert said == [(text, sent_locale)] * 2


def test_a_group_reads_the_default_language(send, keep, connector):
    keep(is_group=True)

    send(conversationId="a:1", **LANGUAGES)

    assert connector.requests[0].json["text"] == "News"


def test_a_conversation_that_a_person_has_left_leads_to_the_one_they_have_now(
    send, know, keep, connector
):
    know(conversation=OneToOne("a:2"), former_conversation_ids=("a:1",))
    keep("a:1", user_id="29:alex")

    send(conversationId="a:1")

    assert connector.requests[0].json["conversation"]["id"] == "a:2"


def test_the_locale_of_a_single_activity_is_left_alone(send, know, connector):
    know(locale="de-CH")

    send(**TO_ALEX, activity={"text": "News", "locale": "en-GB"})

    assert connector.requests[0].json["locale"] == "en-GB"


# From the queue


def queued(body, **envelope):
    noted = Envelope(id="order-7", accepted_at=datetime.now(UTC), **envelope)
    return QueuedMessage(SEND_ACTIVITY, {**TO_ALEX, "activity": {"text": "News"}, **body}, noted)


def test_a_queued_message_to_a_person_without_a_conversation_waits_for_a_start(services, connector):
    handled = handle(queued({}), services)

    assert isinstance(handled, StartFirst)
    assert handled.start == START_FOR_ALEX
    assert connector.requests == []
    # When it comes back, it does not go in circles.
    with pytest.raises(ConversationNotStartedError):
        handle(queued({}, started=True), services)


def test_nothing_is_started_for_a_conversation_that_is_unknown(services):
    with pytest.raises(UnknownConversationError):
        handle(queued({"recipient": None, "conversationId": "a:1"}), services)


def test_what_a_person_just_wrote_is_answered_though_they_want_no_alerts(services, know, connector):
    know(preferences={"muted": True})

    with pytest.raises(SuppressedError):
        handle(queued({}), services)
    handle(queued({}, is_reply=True), services)

    assert len(connector.requests) == 1
    # No conversation is started with somebody who has left since.
    know(installed=False, conversation=None)
    with pytest.raises(SuppressedError):
        handle(queued({}, is_reply=True), services)
