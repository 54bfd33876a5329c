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
from shared.connector.errors import ConnectorError, ConnectorRejectedError
from shared.deliveries.delivery import Status
from shared.deliveries.rows import id_in_alert
from shared.errors import (
    CancelledError,
    ConversationNotStartedError,
    InvalidRequestError,
    RequestTooLargeError,
    SuppressedError,
    UnknownAlertError,
    UnknownConversationError,
    UntrustedServiceUrlError,
)
from shared.messages.account_snapshot import snapshot_of
from shared.messages.envelope import SEND_ACTIVITY, Envelope, QueuedMessage, Sent, StartFirst
from shared.throttling.lane import Lane
from shared.throttling.pacer import Pacer
from shared.wire_models import ChannelAccount
from tests.support.builders import unique
from tests.support.connector import is_send, is_start
from tests.support.worker import Worker

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
                "conversation": OneToOne("a:1"),
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


def test_a_person_without_a_conversation_has_none(send, know, connector):
    know(conversation=None)

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


def queued(body, **envelope):
    noted = Envelope(id="order-7", accepted_at=datetime.now(UTC), **envelope)
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


# Of an alert


@pytest.fixture
def alert(services):
    """An alert that greets people by name."""
    now = datetime.now(UTC)
    said = {"activities": {"en": {"text": "Hello ${name}"}, "de": {"text": "Hallo ${name}"}}}
    alert = Alert(
        unique("alert"), now, now, fingerprint="", content_key=services.alerts.keep(said, None)
    )
    services.alerts.create(alert)
    return alert


@pytest.fixture
def alex(services, know):
    """The account of Alex, who has told their name and language."""
    know(name="Alex", locale="de-AT", tenant_id="tenant")
    return services.accounts.get("msteams", "29:alex").account


def of_alert(alert, account=None, **envelope):
    """A message of an alert, with what was taken along of the account when it is given."""
    delivery_id = id_in_alert(alert.id, 0, "r1")
    noted = Envelope(
        id=delivery_id,
        accepted_at=datetime.now(UTC),
        posting=delivery_id,
        alert=alert.id,
        reference=snapshot_of(account) if account else None,
        **envelope,
    )
    return QueuedMessage(SEND_ACTIVITY, {"id": delivery_id, **TO_ALEX, "topic": "news"}, noted)


def edited(services, alert, text):
    """Have an alert say something else from now on."""
    content_key = services.alerts.keep({"activity": {"text": text}}, None)
    return services.alerts.change(
        alert.id,
        lambda current: replace(current, version=current.version + 1, content_key=content_key),
    )


@pytest.mark.parametrize("takes_along", [True, False])
def test_a_person_gets_their_share_of_an_alert(services, alert, alex, connector, takes_along):
    message = of_alert(alert, alex if takes_along else None)

    assert send_queued_activity(message, services) == Sent("activity-1")

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
    assert message.alert_version == 1
    assert (message.destination.tenant_id, message.destination.key) == ("tenant", alex.key)


def test_what_was_taken_along_spares_the_look_up(services, alert, alex, storage_calls):
    send_queued_activity(of_alert(alert, alex), services)
    another = of_alert(alert, alex)
    another.envelope = another.envelope.model_copy(update={"id": id_in_alert(alert.id, 0, "r2")})
    storage_calls()

    send_queued_activity(another, services)

    # Of who sends to one after the other: the claim, and now and then slots.
    calls = [call for call in storage_calls() if "/lanes" not in call]
    assert [call.split("(")[0] for call in calls] == ["POST /deliveries"]


def test_who_wants_it_no_more_was_asked_when_it_was_taken_along(services, alert, know, connector):
    know()
    account = services.accounts.get("msteams", "29:alex").account
    services.accounts.change(
        "msteams", "29:alex", lambda stored: replace(stored.account, preferences={"muted": True})
    )

    with pytest.raises(SuppressedError):
        send_queued_activity(of_alert(alert), services)
    assert connector.requests == []
    assert send_queued_activity(of_alert(alert, account), services) == Sent("activity-1")


def test_the_topic_of_an_alert_may_be_muted(services, alert, know, connector):
    know(preferences={"mutedTopics": ["NEWS"]})

    with pytest.raises(SuppressedError):
        send_queued_activity(of_alert(alert), services)

    assert connector.requests == []


@pytest.mark.parametrize("topic_name", [None, "Orders"])
def test_a_share_for_a_stranger_waits_for_a_start_that_names_the_topic(services, alert, topic_name):
    services.alerts.change(alert.id, lambda current: replace(current, topic_name=topic_name))

    handled = send_queued_activity(of_alert(alert), services)

    named = {"topicName": topic_name} if topic_name else {}
    assert handled == StartFirst({**START_FOR_ALEX.start, **named})


@pytest.mark.parametrize("stop", ["cancelled_at", "recalled_at"])
def test_nothing_is_sent_of_what_was_stopped(services, alert, alex, connector, stop):
    services.alerts.change(alert.id, lambda current: replace(current, **{stop: datetime.now(UTC)}))

    with pytest.raises(CancelledError):
        send_queued_activity(of_alert(alert, alex), services)

    assert connector.requests == []


def test_nothing_is_sent_of_what_nobody_knows(services, alert, alex):
    with pytest.raises(UnknownAlertError):
        send_queued_activity(of_alert(replace(alert, id="nothing"), alex), services)


def test_a_message_of_an_alert_says_nothing_of_its_own(services, alert, connector):
    message = of_alert(alert)
    message.body = {**message.body, "activity": {"text": "Mine"}}

    with pytest.raises(InvalidRequestError):
        send_queued_activity(message, services)

    assert connector.requests == []


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
    waiting = meanwhile(lambda: edited(services, alert, "Edited"))
    message = of_alert(alert, alex)

    send_queued_activity(message, waiting)

    assert [call.json["text"] for call in connector.requests] == ["Edited"]
    assert message.alert_version == 2


def test_what_is_cancelled_while_it_waits_its_turn_is_not_sent(
    services, meanwhile, alert, alex, connector
):
    def cancel():
        services.alerts.change(
            alert.id, lambda current: replace(current, cancelled_at=datetime.now(UTC))
        )

    with pytest.raises(CancelledError):
        send_queued_activity(of_alert(alert, alex), meanwhile(cancel))

    assert connector.requests == []


def test_what_is_too_large_for_a_person_by_their_own_name_is_not_sent(services, know, connector):
    know(name="x" * 1000)
    now = datetime.now(UTC)
    content_key = services.alerts.keep({"activity": {"text": "${name}" * 60}}, None)
    large = Alert(unique("alert"), now, now, fingerprint="", content_key=content_key)
    services.alerts.create(large)

    with pytest.raises(RequestTooLargeError):
        send_queued_activity(of_alert(large), services)

    assert connector.requests == []


# What was taken along is good for the first try alone


@pytest.fixture
def worker(services, queue_reader):
    return Worker(services, queue_reader)


def on_the_wire(message):
    return {**message.body, "_flow": message.envelope.to_json()}


def secrets_of(account):
    """What must not stand in what lies about: the key, and what was taken along."""
    reference = snapshot_of(account)
    assert reference is not None
    return [reference.key, "conversationId", account.conversation.id]


@pytest.mark.parametrize("status", [503, 429, 412])
def test_what_comes_back_is_looked_up(worker, alert, alex, connector, status):
    connector.fail(status, "Busy", headers={"Retry-After": "0"})
    worker.handle(on_the_wire(of_alert(alert, alex)))
    [back] = worker.waiting[SEND_ACTIVITY].take()
    assert not any(secret in json.dumps(back) for secret in secrets_of(alex))
    # They have moved on since.
    worker.services.accounts.change(
        "msteams",
        "29:alex",
        lambda stored: replace(stored.account, conversation=OneToOne("a:2")),
    )

    worker.handle(back)

    assert connector.requests[-1].json["conversation"]["id"] == "a:2"


@pytest.mark.parametrize("how", ["the Connector refuses it", "there is nothing to say any more"])
def test_what_failed_holds_nothing_of_what_was_taken_along(worker, alert, alex, connector, how):
    message = of_alert(alert, alex)
    if how == "the Connector refuses it":
        connector.fail(400, "BadSyntax")
    else:
        worker.services.alerts.drop(alert.content_key)

    worker.handle(on_the_wire(message))

    [poisoned] = worker.failures()
    failed = worker.services.deliveries.find(message.envelope.id)
    kept = worker.services.failures.find(failed.id, failed.failed_on)
    for text in (json.dumps(poisoned), json.dumps(kept.message)):
        assert not any(secret in text for secret in secrets_of(alex))
    assert kept.message["recipient"] == TO_ALEX["recipient"]


def test_a_start_for_who_was_reached_before_takes_nothing_along(worker, alert, alex, connector):
    connector.fail(404, "ConversationNotFound", when=is_send)

    worker.handle(on_the_wire(of_alert(alert, alex)))

    [start] = worker.waiting["start-conversation"].take()
    assert not any(secret in json.dumps(start) for secret in secrets_of(alex))
    worker.handle(start, "start-conversation")
    worker.run()
    assert [is_start(call) for call in connector.requests] == [False, True, False]
    assert connector.requests[-1].json["conversation"]["id"] == "a:chat-with-29:alex"


def test_the_version_that_was_said_is_recorded(worker, alert, alex):
    edited(worker.services, alert, "Edited")
    message = of_alert(alert, alex)

    worker.handle(on_the_wire(message))

    sent = worker.services.deliveries.find(message.envelope.id)
    assert (sent.status, sent.alert_version, sent.alert_id) == (Status.SENT, 2, alert.id)
    assert sent.destination.user_id == "29:alex"


def test_what_was_cancelled_is_recorded_so_and_is_no_failure(worker, alert, alex):
    worker.services.alerts.change(
        alert.id, lambda current: replace(current, cancelled_at=datetime.now(UTC))
    )
    message = of_alert(alert, alex)

    worker.handle(on_the_wire(message))

    cancelled = worker.services.deliveries.find(message.envelope.id)
    assert (cancelled.status, cancelled.code, cancelled.attempts) == (
        Status.CANCELLED,
        "Cancelled",
        0,
    )
    assert worker.failures() == []


def test_a_share_that_expired_is_not_sent(worker, alert, alex, connector):
    message = of_alert(alert, alex)
    late = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()

    worker.handle({**on_the_wire(message), "expiresAt": late})

    assert worker.services.deliveries.find(message.envelope.id).status is Status.EXPIRED
    assert connector.requests == []
