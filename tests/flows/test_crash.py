from collections import Counter

from tests.flows.running_app import new_user, running_app
from tests.support.connector import is_send, is_start
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
