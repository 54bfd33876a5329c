"""Clicks on the buttons of alerts, in every shape that channels give them, and what is answered."""

import json
import threading
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from urllib3 import HTTPConnectionPool

from ReceiveActivity.invoke_response import invoke_response
from ReceiveActivity.service import receive_activity
from shared.alerts.button_data import Click
from shared.alerts.question import AnswerMode
from shared.sending.alert_lifecycle import recall_alert
from shared.storage.tables import key_of
from shared.wire_models import ADAPTIVE_CARD
from shared.wiring import Services
from tests.ReceiveActivity.activities import TENANT_ID, inbound, read
from tests.ReceiveActivity.keeping import SERVICE_URL
from tests.support import asked
from tests.support.builders import NOWHERE, settings
from tests.support.waiting import PATIENCE_SECONDS

MESSAGE = "application/vnd.microsoft.activity.message"


@pytest.fixture(autouse=True)
def said(queue_reader):
    """Takes what is to be said, as all tests share its queue."""
    queue = queue_reader("send-activity")
    queue_reader("send-alert")
    queue.clear()
    return lambda: [each["activity"] for each in queue.take()]


@pytest.fixture
def alert(services):
    return asked.ask(services)


@pytest.fixture
def each(services):
    return asked.ask(services, AnswerMode.EACH)


@pytest.fixture
def reached(services):
    return partial(asked.reached, services)


def activity(person, **changes: Any):
    account = person.account
    told = inbound(SERVICE_URL, account.user_id, **{"text": None, **changes})
    return read({name: value for name, value in told.items() if value is not None})


def invoke(person, *, option="take", drawn=0, action=None, **changes: Any):
    """Action.Execute, as Teams and the Playground post it."""
    told = {
        "type": "Action.Execute",
        "title": "I take it",
        "verb": "answer",
        "data": Click(person.delivery.id, option, drawn).to_json(),
        **(action or {}),
    }
    value = {"action": told, "trigger": "manual"}
    return activity(person, type="invoke", name="adaptiveCard/action", value=value, **changes)


def answered(arrived, services) -> dict[str, Any]:
    """What an invoke is answered, which has a body."""
    answer = invoke_response(arrived, None, services)
    assert answer is not None
    return answer


def shapes(person) -> dict[str, dict[str, Any]]:
    """How the same click arrives, by channel and button."""
    click = Click(person.delivery.id, "take", 0)
    data, post_back = click.to_json(), click.to_post_back(1000)
    # Where there is little room, it is not said who clicks.
    short = f"?take:0:{click.delivery_id.removesuffix(person.account.key.id)}"
    action = {"type": "Action.Execute", "verb": "answer", "data": data}
    invoked = {"type": "invoke", "name": "adaptiveCard/action"}
    button = {"name": "take", "type": "button", "value": post_back}
    other = {"name": "later", "type": "button", "value": "?later:0:x:0:r1"}
    return {
        "Teams, Action.Execute": {**invoked, "value": {"action": action, "trigger": "manual"}},
        "Teams, beside inputs": {
            **invoked,
            "value": {"action": {**action, "data": {**data, "note": "x"}}},
        },
        "Teams, Action.Submit as an invoke": {
            **invoked,
            "value": {"action": {"type": "Action.Submit", "data": data}},
        },
        "an invoke whose value became text": {**invoked, "value": json.dumps({"action": action})},
        "somebody whose ids are the same": {
            **invoked,
            "value": {"action": action},
            "from": dict.fromkeys(("id", "aadObjectId"), person.account.user_id),
        },
        "an invoke with nothing around the data": {"type": "invoke", "value": data},
        "Action.Submit": {"value": data, "replyToId": "1:x"},
        "Action.Submit with inputs": {"value": {**data, "note": "x"}},
        "Action.Submit, text beside it": {"value": data, "text": "I take it"},
        "messageBack": {"value": {**data, "msteams": {"type": "messageBack"}}, "text": "stop"},
        "data that became text": {"value": json.dumps(data)},
        "Web Chat, postBack": {"text": json.dumps(data), "channelData": {"postBack": True}},
        "postBack": {"text": post_back},
        "postBack as a value": {"value": post_back, "text": "I take it"},
        "Slack": {
            "text": "I take it",
            "channelData": {
                "Payload": {
                    "original_message": {"attachments": [{"actions": [other, button]}]},
                    "actions": [button],
                },
                "ApiToken": "xoxb-secret",
            },
        },
        "Slack, block_actions": {
            "channelData": {"SlackMessage": {"type": "block_actions", "actions": [button]}}
        },
        "Facebook, quick reply": {
            "text": "I take it",
            "channelData": {"message": {"quick_reply": {"payload": post_back}}},
        },
        "Facebook, postBack": {"channelData": {"postback": {"payload": post_back}}},
        "Telegram": {"text": "I take it", "channelData": {"callback_query": {"data": short}}},
    }


def test_a_click_is_an_answer_in_whatever_shape_it_comes(services, said, each, reached):
    names = shapes(reached(each))
    for name in names:
        person = reached(each)
        arrived = activity(person, **shapes(person)[name])

        receive_activity(arrived, services)
        answer = answered(arrived, services) if arrived.type == "invoke" else None

        given = services.answers.find(person.delivery.id)
        assert (name, given.count, given.latest[0][:5]) == (name, 1, "take ")
        if answer is not None:
            assert answer["type"] == ADAPTIVE_CARD, name
        account = services.accounts.get("msteams", person.account.user_id).account
        assert account.preferences == {}, name
    # It is no message to the bot.
    assert said() == []


def test_a_click_in_a_thread_names_the_thread(services, each, reached):
    person = reached(each)
    chat = {**inbound(SERVICE_URL, person.account.user_id)["conversation"]}
    answered(invoke(person, conversation={**chat, "id": f"{chat['id']};messageid=17"}), services)

    assert services.answers.find(person.delivery.id).count == 1


def test_the_card_comes_back_as_it_is_then(services, alert, each, reached):
    first, late, own = reached(alert), reached(alert), reached(each)

    answers = [answered(invoke(who), services) for who in (first, late, own)]

    assert [(each["statusCode"], each["type"]) for each in answers] == [(200, ADAPTIVE_CARD)] * 3
    cards = [json.dumps(each["value"], ensure_ascii=False) for each in answers]
    assert ["Beantwortet von Alex: I take it" in card for card in cards] == [True, True, False]
    assert ["Action.Execute" in card for card in cards] == [False, False, True]
    assert "Ihre Antwort: I take it" in cards[2]
    # Its buttons say which card this is: the next click changes the answer, a repeat does not.
    assert '"drawn": 1' in cards[2]
    assert answered(invoke(own), services) == answers[2]
    assert services.answers.find(own.delivery.id).count == 1


def nobody(person, others) -> dict[str, Any]:
    data = Click(person.delivery.id, "take", 0).to_json()
    return {
        "another person's card": invoke(
            SimpleNamespace(account=person.account, delivery=others.delivery)
        ),
        "an option that was not offered": invoke(person, option="never"),
        "no data": invoke(person, action={"data": None}),
        "data that is not ours": invoke(person, action={"verb": "save", "data": {"a": 1}}),
        "no conversation": invoke(person, conversation={"id": 1}),
        "nobody": invoke(person, **{"from": {}}),
        "another conversation": invoke(person, conversation={"id": "a:2"}),
        "another tenant": invoke(person, channelData={"tenant": {"id": "0" * 36}}),
        "what the client does by itself": activity(
            person,
            type="invoke",
            name="adaptiveCard/action",
            value={"action": {"verb": "refresh", "data": data}, "trigger": "automatic"},
        ),
        "no action": activity(person, type="invoke", name="adaptiveCard/action", value={}),
    }


def test_whatever_is_no_answer_is_answered_with_a_text(services, said, alert, reached):
    person, others = reached(alert), reached(alert)
    for what, click in nobody(person, others).items():
        answer = answered(click, services)

        assert (what, answer["statusCode"], answer["type"]) == (what, 200, MESSAGE)
        again = "Das hat nicht geklappt. Bitte klicken Sie noch einmal."
        expected = again if what == "no data" else "Diese Schaltfläche tut hier nichts."
        assert (what, answer["value"]) == (what, expected)
    recall_alert(alert.id, services)
    answer = answered(invoke(person), services)
    assert answer["value"] == "Das ist vorbei, es wurde nichts beantwortet."
    services.storage.table("alerts").delete_entity(key_of("", alert.id), "alert")
    assert answered(invoke(person), services) == answer

    assert services.answers.find(person.delivery.id).count == 0
    assert said() == []


def test_each_kind_of_invoke_is_answered_in_its_own_form(services, alert, reached):
    # An empty one is an error there: https://github.com/microsoft/botbuilder-js/issues/4445
    text = "Diese Schaltfläche tut hier nichts."
    person = reached(alert)
    for name, expected in {
        "task/fetch": {"task": {"type": "message", "value": text}},
        "composeExtension/query": {"composeExtension": {"type": "message", "text": text}},
        "inventedTomorrow": {"statusCode": 200, "type": MESSAGE, "value": text},
        "message/submitAction": None,
        "handoff/action": None,
    }.items():
        arrived = activity(person, type="invoke", name=name, value={"action": {}})

        assert invoke_response(arrived, None, services) == expected, name


def test_a_message_that_is_no_answer_is_told_so_once(services, said, alert, reached):
    person = reached(alert)
    recall_alert(alert.id, services)
    click = Click(person.delivery.id, "take", 0).to_json()
    for number in range(2):
        # As a message of its own, which the queue of replies takes for the same.
        receive_activity(activity(person, id=str(number), value=click), services)

    assert {each["text"] for each in said()} == {"Das ist vorbei, es wurde nichts beantwortet."}


def test_a_message_that_comes_late_is_told_who_was_first(services, said, alert, reached):
    first, late = reached(alert), reached(alert)
    for person in (first, late, first):
        click = Click(person.delivery.id, "take", 0).to_json()
        receive_activity(activity(person, value=click), services)

    [told] = said()
    assert "Beantwortet von Alex Wilber: I take it" in json.dumps(told, ensure_ascii=False)


def test_who_was_erased_has_answered_nothing(services, said, each, reached):
    person = reached(each)
    services.accounts.erase("msteams", person.account.user_id)

    value = Click(person.delivery.id, "take", 0).to_json()
    receive_activity(activity(person, value=value), services)

    assert services.answers.find(person.delivery.id).count == 0
    # They write, so they are known anew, as somebody else.
    assert answered(invoke(person), services)["type"] == MESSAGE
    assert services.answers.find(person.delivery.id).count == 0


def test_storage_that_does_not_answer_is_an_error_that_teams_understands(alert, reached):
    person = reached(alert)
    unreachable = Services.of(settings(AzureWebJobsStorage=NOWHERE))

    answer = answered(invoke(person), unreachable)
    # What it reads beside is tried again for seconds, among the next tests.
    unreachable.threads.shutdown()

    assert (answer["statusCode"], answer["type"]) == (500, "application/vnd.microsoft.error")
    assert answer["value"]["message"].startswith("Das hat nicht geklappt")


class Rounds:
    """Sends requests to a host in rounds of a given size: each waits for the others of its own."""

    def __init__(self, host: str, *sizes: int):
        self._host = host
        self._barriers = [each for size in sizes for each in [threading.Barrier(size)] * size]
        self._send = HTTPConnectionPool.urlopen
        self.left = iter(self._barriers)

    def send(self, pool: HTTPConnectionPool, *request: Any, **options: Any) -> Any:
        if pool.host == self._host:
            next(self.left).wait(timeout=PATIENCE_SECONDS)
        return self._send(pool, *request, **options)


@pytest.mark.parametrize(
    ("mode", "is_late", "rounds"),
    [
        # The alert, the delivery, the account by either id, what they answered, and the key that
        # messages are marked with; the message and what the alert says; the answer.
        (AnswerMode.FIRST, False, (6, 2, 1)),
        (AnswerMode.EACH, False, (6, 2, 1)),
        # Nothing is put; but who was first is found by the delivery and their key.
        (AnswerMode.FIRST, True, (6, 3, 1)),
    ],
)
def test_an_invoke_waits_for_storage_three_times(
    azurite, services, reached, monkeypatch, mode, is_late, rounds
):
    alert = asked.ask(services, mode)
    person = reached(alert)
    if is_late:
        reached(alert).clicks()
    sender = {"id": person.account.user_id, "aadObjectId": TENANT_ID}
    click = invoke(person, **{"from": sender})
    # Somebody has answered the bot before; this process knows nothing of it yet.
    reached(asked.ask(services, mode)).clicks()
    # By a name that nobody else uses: what an earlier click, or a test before this one, still reads
    # in the background is not counted.
    storage = azurite.connection_string.replace("127.0.0.1", "localhost")
    started = Services.of(settings(AzureWebJobsStorage=storage))
    sent = Rounds("localhost", *rounds)
    monkeypatch.setattr(
        HTTPConnectionPool, "urlopen", lambda *given, **how: sent.send(*given, **how)
    )

    answer = answered(click, started)

    assert answer["type"] == ADAPTIVE_CARD
    assert next(sent.left, None) is None
