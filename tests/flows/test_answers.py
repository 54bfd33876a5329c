"""People click on an alert, all at once, while hosts die and storage loses what it answers."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from types import SimpleNamespace
from typing import Any

import pytest

from shared.wire_models import ADAPTIVE_CARD
from tests.flows.alerts import path_of, progress, send_alert, wait_for_end
from tests.flows.listening_app import ListeningApp, listening_app
from tests.flows.running_app import AppStorage, new_user
from tests.ReceiveActivity.activities import TENANT_ID, inbound
from tests.support.connector import conversation_of, is_send
from tests.support.lossy_storage import LossyStorage
from tests.support.stub_server import ReceivedRequest

HOSTS = ("--lease-seconds", "6")
SETTINGS = {"OutcomeQueue": "outcomes", "ConnectorTimeoutSeconds": "10"}
EACH_LOST = 7
THREADS = 40


class ForgetfulStorage(LossyStorage):
    """Does all that it is asked, and loses the answer to each seventh write, but to no repeat."""

    is_forgetful = False

    def __init__(self, connection_string: str, service: str = "Table") -> None:
        self._written = Counter[tuple[str, bytes]]()
        super().__init__(connection_string, service)

    def receive(self, request: ReceivedRequest):
        write = request.path, request.body
        if self.is_forgetful and request.method != "GET":
            self._written[write] += 1
            number = len(self._written)
            if number % EACH_LOST == 0 and self._written[write] == 1:
                self.lose_answer(lambda each: each is request, is_cut=number % 2 == 0)
        return super().receive(request)


@pytest.fixture
def hosts(request, tmp_path, storage, connector, identity):
    """Starts hosts of one app, by number, on storage that is reliable or becomes forgetful."""
    with ExitStack() as running:
        used, services = storage, []
        if request.param == "forgetful":
            tables = running.enter_context(ForgetfulStorage(storage.connection_string))
            queues = ForgetfulStorage(tables.connection_string, "Queue")
            services = [tables, running.enter_context(queues)]
            used = running.enter_context(closing(AppStorage(queues.connection_string)))

        def forget() -> None:
            for service in services:
                service.is_forgetful = True

        def start(number: int) -> ListeningApp:
            folder = tmp_path / f"host-{number}"
            return running.enter_context(
                listening_app(folder, used, connector, identity, *HOSTS, **SETTINGS)
            )

        yield SimpleNamespace(start=start, forget=forget)


class Asked:
    """An alert, and the people who have got it: each one's name, and their card."""

    def __init__(self, app: ListeningApp, count: int, mode: str) -> None:
        self.names = {new_user(): f"Person {number}" for number in range(count)}
        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(lambda user: self._remember(app, user), self.names))
        app.begin()
        options = [{"id": "take", "title": "I take it"}, {"id": "later", "title": "Not now"}]
        self.alert_id = send_alert(
            app,
            recipients=[{"channelId": "msteams", "userId": user} for user in self.names],
            activity={"text": "Who takes it?"},
            answers={"options": options, "mode": mode},
        )
        wait_for_end(app, self.alert_id)
        self.cards = {user_of(call): card_in(call) for call in app.calls if is_send(call)}
        assert self.cards.keys() == self.names.keys()

    def _remember(self, app: ListeningApp, user: str) -> None:
        account = {"name": self.names[user], "tenantId": TENANT_ID}
        app.remember("msteams", user, conversation={"id": f"a:{user}"}, **account)

    def click(self, app: ListeningApp, user: str) -> dict[str, Any]:
        """Have somebody click the first button of their card; return what is answered."""
        [action, _] = self.cards[user]["body"][-1]["actions"]
        value = {"action": {**action, "data": action["data"]}, "trigger": "manual"}
        clicked = {"type": "invoke", "name": "adaptiveCard/action", "value": value}
        arrived = {**inbound(app.service_url, user), **clicked}
        answer = app.post_activity(arrived, f"Bearer {app.forger().sign()}")
        assert answer.status == 200, answer.body
        body: dict[str, Any] = answer.json()
        return body


def user_of(call: ReceivedRequest) -> str:
    return (conversation_of(call) or "").removeprefix("a:")


def card_in(call: ReceivedRequest) -> dict:
    [attachment] = call.json["attachments"]
    assert attachment["contentType"] == ADAPTIVE_CARD
    card: dict = attachment["content"]
    return card


def edits(connector, asked: Asked) -> dict[str, list[dict]]:
    """The cards that took the place of each person's, in their order."""
    found: dict[str, list[dict]] = {user: [] for user in asked.names}
    for call in connector.requests:
        if call.method == "PUT" and user_of(call) in found:
            found[user_of(call)].append(card_in(call))
    return found


def told(storage, asked: Asked) -> Counter[str]:
    """What other systems are told of answers: each by its id, and how often."""
    events = [each for each in storage.take("outcomes") if each["subject"] == asked.alert_id]
    return Counter(each["id"] for each in events if each["type"] == "alert.answered")


def at_once(call: Callable[..., dict], *given: Sequence[Any]) -> list[dict]:
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(call, *given))


@pytest.mark.parametrize(
    ("hosts", "people", "clickers"),
    [
        ("forgetful", 12, 8),
        pytest.param("reliable", 300, 40, marks=pytest.mark.soak),
        pytest.param("forgetful", 60, 20, marks=pytest.mark.soak),
    ],
    indirect=["hosts"],
)
def test_one_is_first_and_everybody_sees_who_although_a_host_dies(
    hosts, storage, connector, people, clickers
):
    one, other = hosts.start(1), hosts.start(2)
    asked = Asked(one, people, "first")
    hosts.forget()
    clicking = [*asked.names][:clickers]

    answers = at_once(asked.click, [one, other] * (clickers // 2), clicking)
    one.host.process.kill()
    one.host.process.wait()

    assert {(each["statusCode"], each["type"]) for each in answers} == {(200, ADAPTIVE_CARD)}
    [name] = {name_in(each["value"]) for each in answers}
    other.settle()
    restarted = hosts.start(3)
    late = asked.click(restarted, [*asked.names][-1])
    restarted.settle()

    assert name_in(late["value"]) == name
    seen = edits(connector, asked)
    assert {name_in(cards[-1]) for cards in seen.values()} == {name}
    assert max(map(len, seen.values())) <= 2
    assert len(told(storage, asked)) == 1
    assert progress(restarted, asked.alert_id)["answers"] == {"take": 1, "later": 0}
    [first] = restarted.get(path_of(asked.alert_id, "answers")).json()["answers"]
    assert asked.names[first["userId"]] == first["name"] == name
    assert first["userId"] in clicking


def name_in(card: dict) -> str:
    """Who has answered first, as a card says it."""
    told = json.dumps(card)
    assert "Answered by " in told
    assert "Action.Execute" not in told
    return told.split("Answered by ")[1].split(":")[0]


@pytest.mark.soak
@pytest.mark.parametrize(
    ("hosts", "people", "answering"), [("forgetful", 400, 200)], indirect=["hosts"]
)
def test_each_answers_for_themselves_alone(hosts, storage, connector, people, answering):
    app = hosts.start(1)
    asked = Asked(app, people, "each")
    hosts.forget()
    users = [*asked.names][:answering]
    before = storage.rows()

    # Twice each: the second comes of the same card, as Teams repeats what is slow.
    answers = [at_once(asked.click, [app] * answering, users) for _ in range(2)]
    app.settle()
    after = storage.rows()

    assert answers[0] == answers[1]
    seen = edits(connector, asked)
    assert {user: cards for user, cards in seen.items() if cards} == {
        user: [answer["value"]] for user, answer in zip(users, answers[0], strict=True)
    }
    assert len(told(storage, asked)) == answering
    listed = app.get(f"{path_of(asked.alert_id, 'answers')}?pageSize=1000").json()["answers"]
    assert {each["userId"] for each in listed} == set(users)
    assert progress(app, asked.alert_id)["answers"] == {"take": answering, "later": 0}
    # Nobody else's row was written for that, the alert's least of all.
    written = {key[0] for key in after if before.get(key) != after[key]}
    assert written <= {"answers", "leases"}
