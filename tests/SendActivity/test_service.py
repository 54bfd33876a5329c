from datetime import UTC, datetime

import pytest

from SendActivity.request import SendRequest
from SendActivity.service import send_activity, send_queued_activity
from shared.accounts import Account, OneToOne
from shared.connector_errors import ConnectorError, ConnectorRejectedError
from shared.conversations import Conversation
from shared.errors import (
    ConversationNotStartedError,
    RequestTooLargeError,
    UnknownConversationError,
    UntrustedServiceUrlError,
)
from shared.models import ChannelAccount
from shared.queues import SEND_ACTIVITY, Flow, QueuedMessage, Sent, StartFirst

TO_ALEX = {"recipient": {"channelId": "msteams", "userId": "29:alex"}}
BOT = ChannelAccount(id="28:bot", name="News")
LANGUAGES = {"activities": {"fr": {"text": "Quoi"}, "en": {"text": "News"}, "de": {"text": "Neu"}}}


@pytest.fixture
def send(services):
    def run(**body):
        content = {} if "activities" in body else {"activity": {"text": "News"}}
        request = SendRequest.from_json({**content, **body})
        return send_activity(request, services)

    return run


@pytest.fixture
def know(services, connector):
    """Caches an account of Alex, with a conversation."""

    def run(**fields):
        account = Account(
            "msteams",
            "29:alex",
            **{
                "bot": BOT,
                "service_url": f"{connector.url}/amer/",
                "conversations": {"28:bot": OneToOne("a:1")},
                **fields,
            },
        )
        services.accounts.change("msteams", "29:alex", lambda _stored: account)

    return run


@pytest.fixture
def keep(services, connector):
    """Caches a conversation."""

    def run(conversation_id="a:1", channel_id="msteams", **fields):
        service_url = fields.pop("service_url", f"{connector.url}/emea/")
        services.conversations.put(
            Conversation(conversation_id, channel_id, service_url, bot=BOT, **fields)
        )

    return run


# Into a conversation


def test_an_activity_goes_into_its_conversation(send, keep, connector):
    keep("19:x@thread.tacv2;messageid=1", is_group=True)

    sent = send(conversationId="19:x@thread.tacv2;messageid=1")

    [request] = connector.requests
    assert sent.id == "activity-1"
    assert request.path == "/emea/v3/conversations/19%3Ax%40thread.tacv2%3Bmessageid%3D1/activities"
    assert request.json == {
        "type": "message",
        "text": "News",
        "from": {"id": "28:bot", "name": "News"},
        "conversation": {"id": "19:x@thread.tacv2;messageid=1"},
    }


def test_the_channel_says_which_of_two_conversations_is_meant(send, keep, connector):
    keep("+49", "sms")
    keep("+49", "skype", service_url=f"{connector.url}/skype")

    send(conversationId="+49", channelId="skype")

    assert connector.requests[0].path.startswith("/skype/v3/")


def test_an_unknown_conversation_is_one(send, connector):
    with pytest.raises(UnknownConversationError):
        send(conversationId="a:1")

    assert connector.requests == []


def test_a_conversation_at_a_place_no_longer_trusted_gets_nothing(send, keep, identity):
    keep(service_url="https://was-trusted.example/")

    with pytest.raises(UntrustedServiceUrlError):
        send(conversationId="a:1")

    assert identity.requests == []


def test_a_channel_that_gives_no_id_has_still_sent_it(send, keep, connector):
    keep()
    connector.answer(202)

    assert send(conversationId="a:1").id is None


@pytest.mark.parametrize("status", [400, 403, 404, 413, 429, 500, 502, 503, 504])
def test_one_send_is_one_call_whatever_comes_of_it(send, keep, connector, status):
    keep()
    connector.fail(status, "SomeCode")

    with pytest.raises(ConnectorError):
        send(conversationId="a:1")

    assert len(connector.requests) == 1


@pytest.mark.parametrize(
    ("channel_id", "fits"), [("msteams", False), ("webchat", True), ("my-own", True)]
)
def test_what_a_channel_does_not_take_is_not_sent(send, keep, connector, channel_id, fits):
    keep(channel_id=channel_id)

    if fits:
        send(conversationId="a:1", activity={"text": "x" * 60_000})
    else:
        with pytest.raises(RequestTooLargeError):
            send(conversationId="a:1", activity={"text": "x" * 60_000})

    assert len(connector.requests) == fits


# To a person


def test_an_activity_reaches_a_person_in_their_own_conversation(send, know, connector):
    know()

    sent = send(**TO_ALEX)

    [request] = connector.requests
    assert sent.id == "activity-1"
    assert request.path == "/amer/v3/conversations/a%3A1/activities"
    assert request.json["from"] == {"id": "28:bot", "name": "News"}
    assert request.json["conversation"] == {"id": "a:1"}


def test_all_that_a_message_needs_is_found_in_one_look_up(send, know, storage_calls):
    know()
    storage_calls()

    send(**TO_ALEX)

    assert len([call for call in storage_calls() if "/lanes" not in call]) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"conversations": {}},
        {"conversations": {"28:another": OneToOne("a:2")}},
        {"bot": None},
    ],
)
def test_a_person_without_a_conversation_has_none(send, know, connector, fields):
    know(**fields)

    with pytest.raises(ConversationNotStartedError):
        send(**TO_ALEX)

    assert connector.requests == []


def test_a_person_who_told_no_service_url_is_reached_at_the_default_one(send, know, connector):
    know(service_url=None)

    send(**TO_ALEX)

    assert connector.requests[0].path.startswith("/teams/v3/")


# In their language


@pytest.mark.parametrize(
    ("locale", "text", "sent_locale"),
    [
        ("de-CH", "Neu", "de"),
        ("FR-ca", "Quoi", "fr"),
        ("nl", "News", "en"),
        (None, "News", "en"),
    ],
)
def test_a_person_gets_the_text_they_read_best(send, know, connector, locale, text, sent_locale):
    know(locale=locale)

    send(**TO_ALEX, **LANGUAGES)

    [request] = connector.requests
    assert (request.json["text"], request.json["locale"]) == (text, sent_locale)


def test_a_text_that_is_in_none_of_the_languages_is_the_first(send, know, connector):
    know(locale="nl")

    send(**TO_ALEX, activities={"fr": {"text": "Quoi", "locale": "xx"}, "de": {"text": "Neu"}})

    [request] = connector.requests
    assert (request.json["text"], request.json["locale"]) == ("Quoi", "fr")


def test_the_language_is_that_of_the_person_whose_conversation_it_is(send, keep, know, connector):
    know(locale="de-CH")
    keep(user_id="29:alex")

    send(conversationId="a:1", **LANGUAGES)

    assert connector.requests[0].json["text"] == "Neu"


def test_a_group_reads_the_default_language(send, keep, connector):
    keep(is_group=True)

    send(conversationId="a:1", **LANGUAGES)

    assert connector.requests[0].json["text"] == "News"


def test_the_locale_of_a_single_activity_is_left_alone(send, know, connector):
    know(locale="de-CH")

    send(**TO_ALEX, activity={"text": "News", "locale": "en-GB"})

    assert connector.requests[0].json["locale"] == "en-GB"


# From the queue


def queued(body, **flow):
    noted = Flow(id="order-7", accepted_at=datetime.now(UTC), **flow)
    return QueuedMessage(SEND_ACTIVITY, {**TO_ALEX, "activity": {"text": "News"}, **body}, noted)


def test_a_queued_message_to_somebody_with_a_conversation_is_sent(services, know, connector):
    know()

    assert send_queued_activity(queued({}), services) == Sent("activity-1")

    assert connector.requests[0].json["text"] == "News"


START_FOR_ALEX = StartFirst(
    {"channelId": "msteams", "isGroup": False, "members": [{"id": "29:alex"}]}
)


def test_a_queued_message_to_somebody_without_one_waits_for_a_start(services, connector):
    assert send_queued_activity(queued({}), services) == START_FOR_ALEX
    assert connector.requests == []


def test_a_message_that_comes_back_from_a_start_does_not_go_in_circles(services):
    with pytest.raises(ConversationNotStartedError):
        send_queued_activity(queued({}, started=True), services)


def test_nothing_is_started_for_a_conversation_that_is_unknown(services):
    with pytest.raises(UnknownConversationError):
        send_queued_activity(queued({"recipient": None, "conversationId": "a:1"}), services)


def test_nothing_is_started_for_a_send_that_failed(services, know, connector):
    know()
    connector.fail(404, "ActivityNotFoundInConversation")

    with pytest.raises(ConnectorRejectedError):
        send_queued_activity(queued({}), services)
