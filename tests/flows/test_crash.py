import math
from collections import Counter
from contextlib import closing

from tests.flows.alerts import send_alert
from tests.flows.running_app import AppStorage, new_user, running_app
from tests.support.connector import is_send, is_start
from tests.support.lossy_storage import LossyStorage
from tests.support.waiting import until

# It takes any number of messages for one conversation at once.
CHANNEL = "slack"
TEXTS = [f"message {number}" for number in range(60)]
NEW_USERS = [new_user(), new_user()]
ANSWERED = 20
# Long enough for a busy host to renew them.
SHORT_LEASES = ("--lease-seconds", "6")
# The host fetches more messages for as long as no more than these are being worked on.
FETCHES_AT = 8


def test_a_host_that_is_killed_in_the_middle_loses_no_message(folder, storage, connector, identity):
    known = new_user()
    # No start is answered, and no more than the first sends.
    connector.block(when=lambda call: is_start(call) or sends(connector)[ANSWERED:] != [])

    with running_app(folder, storage, connector, identity, *SHORT_LEASES) as app:
        app.remember(CHANNEL, known, conversation={"id": f"a:{known}"})
        app.enqueue("send-activity", *messages(known))
        connector.wait_for_waiting(len(NEW_USERS) + FETCHES_AT)
        # What was answered is settled: in flight is what waits, and nothing else.
        until(lambda: left(storage) == len(TEXTS) - ANSWERED, seeing=lambda: left(storage))
        app.host.process.kill()
        app.host.process.wait()
    connections = connector.connections
    connector.release()
    storage.let_leases_run_out()

    # What is given out twice comes back when the claim on it is over, which is soon.
    patience = {"ConnectorTimeoutSeconds": "10"}
    with running_app(folder, storage, connector, identity, *SHORT_LEASES, **patience) as app:
        app.settle()

    sent = Counter(call.json["text"] for call in sends(connector))
    starts = (call for call in connector.requests if is_start(call))
    started = Counter(call.json["members"][0]["id"] for call in starts)
    in_flight = {
        call.json["text"] for call in sends(connector)[ANSWERED:] if call.connection <= connections
    }
    assert {*sent} == {*TEXTS}
    # What waits for a start goes from one message to the next meanwhile, so it is in flight too.
    in_flight |= {*TEXTS[: 10 * len(NEW_USERS)]}
    assert {text for text, times in sent.items() if times > 1} <= in_flight
    assert max(sent.values()) <= 2
    assert started == dict.fromkeys(NEW_USERS, 2)
    assert storage.take_poison("send-activity") == []
    assert storage.take_poison("start-conversation") == []


def test_what_a_host_did_not_live_to_tell_other_systems_is_told_by_the_next(
    folder, storage, connector, identity
):
    user, alert_id = new_user(), "news"
    person = {"channelId": CHANNEL, "userId": user}
    told = {"OutcomeQueue": "outcomes"}
    connector.fail(400, "BadArgument", when=is_send)
    with LossyStorage(storage.connection_string, "Queue") as queues:
        # Both are recorded by then: what failed, and that the alert has ended.
        queues.answer(503, times=math.inf, when=tells)
        queues.block(when=tells)
        with (
            closing(AppStorage(queues.connection_string)) as watched,
            running_app(folder, watched, connector, identity, *SHORT_LEASES, **told) as app,
        ):
            app.remember(CHANNEL, user, conversation={"id": f"a:{user}"})
            send_alert(app, id=alert_id, recipients=[person], activity={"text": "News"})
            queues.wait_for_waiting(2)
            app.host.process.kill()
            app.host.process.wait()
        queues.release()
    storage.let_leases_run_out()

    with running_app(folder, storage, connector, identity, *SHORT_LEASES, **told) as app:
        app.settle()
        [delivery] = app.get(f"/api/alerts/{alert_id}/deliveries").json()["deliveries"]

    events = {each["subject"]: each for each in storage.take("outcomes")}
    failed, ended = events[delivery["id"]], events[alert_id]
    assert (failed["type"], failed["data"]["status"]) == ("delivery.failed", "permanent-failure")
    assert (ended["type"], ended["data"]["counts"]["permanent-failure"]) == ("alert.ended", 1)
    assert len(events) == 2


def tells(request):
    return request.method == "POST" and "/outcomes/messages" in request.path


def messages(known_user):
    """Ten for each new user, the rest for the conversation with the one who is known."""
    conversation = {"conversationId": f"a:{known_user}"}
    targets: list[dict] = [
        {"recipient": {"channelId": CHANNEL, "userId": user}} for user in NEW_USERS
    ] * 10
    targets += [conversation] * (len(TEXTS) - len(targets))
    return [
        {**target, "activity": {"text": text}} for target, text in zip(targets, TEXTS, strict=True)
    ]


def sends(connector):
    return [call for call in connector.requests if is_send(call)]


def left(storage):
    return storage.length("send-activity") + storage.length("start-conversation")
