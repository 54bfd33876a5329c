"""What people say to the bot holds, whichever of their ids a caller knows them by."""

import base64
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from azure.data.tables import TableServiceClient
from azure.storage.queue import QueueServiceClient

from tests.flows.listening_app import ListeningApp, listening_app
from tests.flows.running_app import AppStorage
from tests.local.host_process import Answer
from tests.ReceiveActivity.activities import inbound
from tests.support.connector import StubConnector, is_send
from tests.support.stub_server import ReceivedRequest

NAME = "Alexandra Wilber"


@pytest.fixture(scope="module")
def module_app(folder, storage, connector, identity) -> Iterator[ListeningApp]:
    with listening_app(folder, storage, connector, identity) as app:
        yield app


class Person:
    """Somebody on Teams who talks with the bot: known by two ids, and for sure by the name."""

    def __init__(self, app: ListeningApp) -> None:
        self.user_id = f"29:{uuid4().hex}"
        self.object_id = str(uuid4())
        self.conversation_id = f"a:{uuid4().hex}"
        self.name = f"{NAME} {uuid4().hex}"
        self._app = app
        self._authorization = f"Bearer {app.forger().sign()}"

    @property
    def ids(self) -> tuple[str, str]:
        """Either of which a caller may know them by."""
        return self.user_id, self.object_id

    @property
    def traces(self) -> list[str]:
        """All that would tell of them, wherever it stood."""
        return [*self.ids, self.conversation_id, self.name]

    def activity(self, **changes: Any) -> dict[str, Any]:
        """A message from them, written now."""
        return {
            **inbound(self._app.service_url, self.user_id),
            "timestamp": None,
            "id": uuid4().hex,
            "from": {"id": self.user_id, "name": self.name, "aadObjectId": self.object_id},
            "conversation": {"id": self.conversation_id, "conversationType": "personal"},
            **changes,
        }

    def post(self, **changes: Any) -> Answer:
        """Have the Connector post an activity of theirs, rightly signed for their chat."""
        return self._app.post_activity(self.activity(**changes), self._authorization)

    def write(self, text: str, **changes: Any) -> None:
        """Write to the bot, and read its answer, if it gives one."""
        answer = self.post(text=text, **changes)
        assert answer.status == 200, answer.body
        self._app.settle()


@pytest.fixture
def person(app: ListeningApp) -> Person:
    """Somebody who has said nothing yet."""
    return Person(app)


def alert(user_id: str, text: str = "News", **message: Any) -> dict[str, Any]:
    recipient = {"channelId": "msteams", "userId": user_id}
    return {"recipient": recipient, "activity": {"text": text}, **message}


def send(app: ListeningApp, *messages: dict[str, Any]) -> None:
    """Send through the queue, and wait until all of it is sent or not going to be."""
    app.enqueue("send-activity", *messages)
    app.settle()


def account_path(user_id: str) -> str:
    return f"/api/accounts/msteams/-?userId={user_id}"


def forget(app: ListeningApp, user_id: str) -> None:
    answer = app.host.request("DELETE", account_path(user_id))
    assert answer.status == 204


def texts_of(calls: list[ReceivedRequest]) -> list[str]:
    return [call.json["text"] for call in calls if is_send(call)]


@pytest.fixture
def traces_of(storage: AppStorage) -> Callable[..., list[str]]:
    """Tells which traces of people are in the tables and the queues, poison aside."""

    def tell(*people: Person) -> list[str]:
        kept = all_that_is_kept(storage.connection_string)
        return [trace for person in people for trace in person.traces if trace in kept]

    return tell


def all_that_is_kept(connection_string: str) -> str:
    """All rows and all messages, as text in clear."""
    kept: list[object] = []
    with TableServiceClient.from_connection_string(connection_string) as tables:
        for table in tables.list_tables():
            kept += tables.get_table_client(table.name).list_entities()
    with QueueServiceClient.from_connection_string(connection_string) as queues:
        for queue in queues.list_queues():
            if not queue.name.endswith("-poison"):
                waiting = queues.get_queue_client(queue.name).peek_messages(32)
                kept += [base64.b64decode(each.content).decode() for each in waiting]
    return "\n".join(map(str, kept))


# Wishes


def test_who_said_stop_gets_nothing_until_they_say_start(app: ListeningApp, person: Person):
    person.write("stop")
    app.begin()

    send(app, alert(person.user_id), alert(person.object_id))
    refused = [app.send(person.conversation_id, text="News")]
    for user_id in person.ids:
        refused.append(app.start(members=[{"id": user_id}], activity={"text": "News"}))

    assert [(each.status, each.json()["code"]) for each in refused] == [(403, "Suppressed")] * 3
    assert app.calls == []
    assert app.storage.take_poison("send-activity") == []
    assert app.storage.take_poison("start-conversation") == []

    person.write("start")
    app.begin()
    send(app, alert(person.user_id), alert(person.object_id))

    assert texts_of(app.calls) == ["News", "News"]


# Forged service URLs


def test_a_forged_service_url_never_gets_the_token(app: ListeningApp, person: Person):
    with StubConnector() as evil:
        person.write("hello")
        app.begin()

        refused = person.post(serviceUrl=f"{evil.url}/amer/")
        told = app.put(account_path(person.user_id), {"serviceUrl": f"{evil.url}/amer/"})
        app.enqueue(
            "cache-account",
            {"channelId": "msteams", "userId": person.user_id, "serviceUrl": evil.url},
        )
        send(app, alert(person.user_id))
        app.send(person.conversation_id, text="News")

    assert (refused.status, refused.json()["code"]) == (403, "Forbidden")
    assert (told.status, told.json()["code"]) == (400, "UntrustedServiceUrl")
    [poison] = app.storage.take_poison("cache-account")
    assert poison["failure"]["code"] == "UntrustedServiceUrl"
    assert evil.requests == []
    assert [call.path.split("/")[1] for call in app.calls] == ["amer", "amer"]


# Erasure


def talkative(app: ListeningApp) -> Person:
    """Somebody of whom there is a trace in every table and queue that knows people."""
    person = Person(app)
    app.remember("msteams", person.object_id, conversation={"id": f"{person.conversation_id}-0"})
    app.start(members=[{"id": person.object_id}], startNew=True)
    person.write("hello")
    person.write("stop")
    app.start(members=[{"id": person.user_id}], startNew=True)
    send(app, alert(person.user_id), alert(person.object_id))
    return person


def forget_by_http(app: ListeningApp, person: Person) -> None:
    forget(app, person.user_id)


def forget_by_object_id(app: ListeningApp, person: Person) -> None:
    forget(app, person.object_id)


def forget_as_the_channel_asks(app: ListeningApp, person: Person) -> None:
    assert person.post(type="deleteUserData").status == 200


def forget_after_leaving(app: ListeningApp, person: Person) -> None:
    assert person.post(type="installationUpdate", action="remove").status == 200
    forget(app, person.user_id)


def test_who_is_forgotten_leaves_no_trace(app: ListeningApp, traces_of: Callable[..., list[str]]):
    ways = (forget_by_http, forget_by_object_id, forget_as_the_channel_asks, forget_after_leaving)
    people = [talkative(app) for _ in ways]
    assert traces_of(*people) == [trace for person in people for trace in person.traces]

    for forget_them, person in zip(ways, people, strict=True):
        forget_them(app, person)
    app.settle()

    assert traces_of(*people) == []
    for person in people:
        for user_id in person.ids:
            assert app.get(account_path(user_id)).status == 404
        assert app.send(person.conversation_id, text="News").status == 404


def test_who_said_stop_and_was_forgotten_is_still_left_alone(app: ListeningApp, person: Person):
    person.write("stop")
    forget(app, person.user_id)
    app.begin()

    send(app, alert(person.user_id), alert(person.object_id))
    for user_id in person.ids:
        started = app.start(members=[{"id": user_id}], activity={"text": "News"})
        assert (started.status, started.json()["code"]) == (403, "Suppressed")

    assert app.calls == []
    assert app.storage.take_poison("send-activity") == []
