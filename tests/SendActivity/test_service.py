import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from SendActivity.request import SendRequest
from SendActivity.service import send_activity, send_queued_activity
from shared.accounts.account import Account, OneToOne
from shared.accounts.conversations import Conversation
from shared.alerts.alert import Alert
from shared.alerts.store import AlertStore
from shared.deliveries.delivery import Status
from shared.deliveries.rows import id_in_alert
from shared.errors import (
    CancelledError,
    ConversationNotStartedError,
    RequestTooLargeError,
    SuppressedError,
    UnknownConversationError,
)
from shared.messages.account_snapshot import snapshot_of
from shared.messages.envelope import Envelope
from shared.messages.queue_names import SEND_ACTIVITY, START_CONVERSATION
from shared.messages.queued_message import QueuedMessage, StartFirst, UnsentError
from shared.throttling.lane import Lane
from shared.throttling.pacer import Pacer
from shared.wire_models import ChannelAccount
from tests.support.builders import on_its_way, unique
from tests.support.connector import is_send, is_start
from tests.support.worker import Worker

TO_ALEX = {"recipient": {"channelId": "msteams", "userId": "29:alex"}}
BOT = ChannelAccount(id="28:bot", name="News")
LANGUAGES = {"activities": {"fr": {"text": "Quoi"}, "en": {"text": "News"}, "de": {"text": "Neu"}}}


@pytest.fixture
def send(services):
    def run(**body):
        content = {} if "activities" in body else {"activity": {"text": "News"}}
        return send_activity(SendRequest.from_json({**content, **body}), services)

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
                "conversation": OneToOne("a:1"),
                **fields,
            },
        )
        services.accounts.change_or_make("msteams", "29:alex", lambda _stored: account)

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


def test_a_person_who_said_stop_and_was_forgotten_is_left_alone(services, send, know):
    know(preferences={"muted": True})
    services.accounts.erase("msteams", "29:alex")

    with pytest.raises(SuppressedError):
        send(**TO_ALEX)


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


def handle(message, services):
    """Have a message handled; raise the error that it meets."""
    try:
        return send_queued_activity(message, services)
    except UnsentError as unsent:
        raise unsent.error from unsent


START_FOR_ALEX = {"channelId": "msteams", "isGroup": False, "members": [{"id": "29:alex"}]}


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


# Of an alert


@pytest.fixture
def alert(services):
    """An alert that greets people by name."""
    now = datetime.now(UTC)
    said = {"activities": {"en": {"text": "Hello ${name}"}, "de": {"text": "Hallo ${name}"}}}
    alert = Alert(
        unique("alert"),
        now,
        now,
        fingerprint="",
        content_key=services.alerts.keep(said, None),
        topic="news",
    )
    services.alerts.create(alert)
    return alert


@pytest.fixture
def alex(services, know):
    """The account of Alex, who has told their name and language."""
    know(name="Alex", locale="de-AT", tenant_id="tenant")
    return services.accounts.get("msteams", "29:alex").account


def of_alert(alert, account=None, member="r1", **envelope):
    """A message of an alert, with a snapshot of the account when it is given."""
    delivery_id = id_in_alert(alert.id, 0, member)
    noted = Envelope(
        **{
            "id": delivery_id,
            "accepted_at": datetime.now(UTC),
            "posting": delivery_id,
            "alert": alert.id,
            "reference": snapshot_of(account) if account else None,
            **envelope,
        }
    )
    return QueuedMessage(SEND_ACTIVITY, {"id": delivery_id, **TO_ALEX}, noted)


@pytest.mark.parametrize("has_snapshot", [True, False])
def test_a_person_gets_their_share_of_an_alert(services, alert, alex, connector, has_snapshot):
    sent = handle(of_alert(alert, alex if has_snapshot else None), services)

    [request] = connector.requests
    assert request.path == "/amer/v3/conversations/a%3A1/activities"
    assert request.json == {
        "type": "message",
        "text": "Hallo Alex",
        "summary": "Hallo Alex",
        "locale": "de",
        "from": {"id": "28:bot", "name": "News"},
        "conversation": {"id": "a:1"},
    }
    assert (sent.activity_id, sent.alert_version) == ("activity-1", 1)
    to = sent.message.destination
    assert (to.tenant_id, to.key) == ("tenant", alex.key)


def test_a_snapshot_spares_the_look_up(services, alert, alex, storage_calls):
    handle(of_alert(alert, alex), services)
    storage_calls()

    handle(of_alert(alert, alex, member="r2"), services)

    # What is left is the claim, and now and then slots.
    calls = [call for call in storage_calls() if "/lanes" not in call]
    assert [call.split("(")[0] for call in calls] == ["POST /deliveries"]


def test_whether_a_person_wants_an_alert_was_asked_when_a_fresh_snapshot_was_made(
    services, alert, alex, know, connector
):
    know(preferences={"mutedTopics": ["NEWS"]})
    long_ago = datetime.now(UTC) - timedelta(minutes=1)

    for unknown in (of_alert(alert), of_alert(alert, alex, accepted_at=long_ago)):
        with pytest.raises(SuppressedError):
            handle(unknown, services)
    handle(of_alert(alert, alex), services)

    assert len(connector.requests) == 1


def test_a_start_for_an_alert_names_its_topic(services, alert):
    services.alerts.change(alert.id, lambda current: replace(current, topic_name="Orders"))

    handled = handle(of_alert(alert), services)

    assert handled.start == {**START_FOR_ALEX, "topicName": "Orders"}


def cancel(services, alert):
    services.alerts.change(
        alert.id, lambda current: replace(current, cancelled_at=datetime.now(UTC))
    )


def test_nothing_is_sent_of_what_was_cancelled(services, alert, alex, storage_calls):
    cancel(services, alert)
    storage_calls()

    with pytest.raises(CancelledError):
        handle(of_alert(alert, alex), services)

    assert not any("/deliveries" in call for call in storage_calls())


@pytest.fixture
def meanwhile(services, connector):
    """Services with which something happens while a message waits for its turn."""

    def arrange(happens):
        time = {"now": 1000.0}

        def sleep(_seconds):
            time["now"] += 1
            happens()

        pacer = Pacer(services.storage, unique("pace"), rate_per_second=1, sleep=sleep)
        alerts = AlertStore(
            services.storage,
            services.settings.app_id,
            services.queues.large_values,
            kept_days=30,
            clock=lambda: time["now"],
        )
        # The next slot is a second away.
        pacer.reserve(Lane.of(connector.url, "tenant"))
        return replace(services, pacer=pacer, alerts=alerts)

    return arrange


def test_what_is_edited_while_it_waits_its_turn_is_said_as_it_is_then(
    services, meanwhile, alert, alex, connector
):
    content_key = services.alerts.keep({"activity": {"text": "Edited"}}, None)

    def edit():
        services.alerts.change(
            alert.id, lambda current: replace(current, version=2, content_key=content_key)
        )

    sent = handle(of_alert(alert, alex), meanwhile(edit))

    assert [call.json["text"] for call in connector.requests] == ["Edited"]
    assert sent.alert_version == 2


def test_what_is_cancelled_while_it_waits_its_turn_is_not_sent(
    services, meanwhile, queue_reader, alert, alex, connector
):
    worker = Worker(meanwhile(lambda: cancel(services, alert)), queue_reader)
    message = of_alert(alert, alex)

    worker.handle(on_the_wire(worker, message))

    delivery = services.deliveries.find(message.envelope.id)
    assert (delivery.status, delivery.attempts) == (Status.CANCELLED, 0)
    assert connector.requests == []


def test_what_is_too_large_for_a_person_by_their_own_name_is_not_sent(
    services, alert, know, connector
):
    know(name="x" * 1000)
    content_key = services.alerts.keep({"activity": {"text": "${name}" * 60}}, None)
    services.alerts.change(alert.id, lambda current: replace(current, content_key=content_key))

    with pytest.raises(RequestTooLargeError):
        handle(of_alert(alert), services)

    assert connector.requests == []


# A snapshot is good for the first try alone


@pytest.fixture
def worker(services, queue_reader):
    return Worker(services, queue_reader)


def on_the_wire(worker, message):
    return on_its_way(worker.services, message.queue, message.body, message.envelope)


def secrets_of(account):
    """What must not stand in what lies about: the key, and what else is in a snapshot."""
    return ["keyId", "conversationId", account.conversation.id]


def test_what_comes_back_is_looked_up(worker, alert, alex, know, connector):
    connector.fail(503, "Busy", headers={"Retry-After": "0"})
    worker.handle(on_the_wire(worker, of_alert(alert, alex)))
    [back] = worker.waiting[SEND_ACTIVITY].take()
    assert not any(secret in json.dumps(back) for secret in secrets_of(alex))
    know(conversation=OneToOne("a:2"))

    worker.handle(back)

    assert connector.requests[-1].json["conversation"]["id"] == "a:2"


def test_a_start_for_a_person_who_was_reached_before_has_no_snapshot(
    worker, alert, alex, connector
):
    connector.fail(404, "ConversationNotFound", when=is_send)

    worker.handle(on_the_wire(worker, of_alert(alert, alex)))

    [start] = worker.waiting[START_CONVERSATION].take()
    assert not any(secret in json.dumps(start) for secret in secrets_of(alex))
    worker.handle(start, START_CONVERSATION)
    worker.run()
    assert [is_start(call) for call in connector.requests] == [False, True, False]
    assert connector.requests[-1].json["conversation"]["id"] == "a:chat-with-29:alex"
