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
from tests.support.waiting import until

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
    def traces(self) -> list[str]:
        """All that would tell of them, wherever it stood."""
        return [self.user_id, self.object_id, self.conversation_id, self.name]

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


@pytest.fixture(params=["user_id", "object_id"])
def either_id(request: pytest.FixtureRequest, person: Person) -> str:
    """One id of the person, and the other."""
    found: str = getattr(person, request.param)
    return found


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
def traces_of(storage: AppStorage) -> Callable[[Person], list[str]]:
    """Tells which traces of a person are in the tables and the queues, poison aside."""

    def tell(person: Person) -> list[str]:
        kept = all_that_is_kept(storage.connection_string)
        return [trace for trace in person.traces if trace in kept]

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


# Stop


def test_nothing_is_sent_from_the_queue_to_who_said_stop(
    app: ListeningApp, person: Person, either_id: str
):
    person.write("stop")
    app.begin()

    send(app, alert(either_id))

    assert app.calls == []
    assert app.storage.take_poison("send-activity") == []
    assert app.storage.take_poison("start-conversation") == []


def test_a_send_over_http_to_who_said_stop_is_refused_as_suppressed(
    app: ListeningApp, person: Person, either_id: str
):
    person.write("stop")
    app.begin()

    sent = app.send(person.conversation_id, text="News")
    started = app.start(members=[{"id": either_id}], activity={"text": "News"})

    for answer in (sent, started):
        assert (answer.status, answer.json()["code"]) == (403, "Suppressed")
    assert app.calls == []


def test_who_says_start_gets_alerts_again(app: ListeningApp, person: Person, either_id: str):
    person.write("stop")
    person.write("start")
    app.begin()

    send(app, alert(either_id))

    assert texts_of(app.calls) == ["News"]


def test_a_stop_that_was_told_under_the_object_id_holds_from_the_first_message_on(
    app: ListeningApp, person: Person, either_id: str
):
    app.remember("msteams", person.object_id, preferences={"muted": True})
    person.write("follow Lighthouses")
    app.begin()

    send(app, alert(either_id))

    assert app.calls == []
    assert app.get(account_path(either_id)).json()["preferences"] == {
        "interests": ["Lighthouses"],
        "muted": True,
    }


def test_a_block_that_was_told_under_the_object_id_holds_under_the_other(
    app: ListeningApp, person: Person, either_id: str
):
    app.remember("msteams", person.object_id, blocked=True)
    app.remember("msteams", person.user_id, aadObjectId=person.object_id)

    send(app, alert(either_id))

    assert app.calls == []
    assert app.get(account_path(either_id)).json()["blocked"] is True


# Topics


def test_who_mutes_a_topic_still_hears_of_the_others(
    app: ListeningApp, person: Person, either_id: str
):
    person.write("mute Lighthouses")
    app.begin()

    send(
        app,
        alert(either_id, "muted", topic="LIGHTHOUSES"),
        alert(either_id, "another topic", topic="Ferries"),
        alert(either_id, "no topic"),
    )

    assert sorted(texts_of(app.calls)) == ["another topic", "no topic"]
    assert app.storage.take_poison("send-activity") == []


@pytest.mark.parametrize(
    ("locale", "command", "said"),
    [
        ("de-AT", "follow Fähren", "Sie folgen Fähren."),
        ("de", "stop", "Sie bekommen keine Meldungen mehr."),
        ("en-GB", "mute Ferries", "You will get no more alerts on Ferries."),
        ("fi-FI", "interests", "You follow no topic yet."),
    ],
)
def test_a_command_is_confirmed_in_the_language_of_the_person(
    app: ListeningApp, person: Person, locale: str, command: str, said: str
):
    person.write(command, locale=locale)

    [confirmed] = app.calls
    assert confirmed.path.startswith("/amer/v3/conversations/a%3A")
    assert confirmed.json["text"].startswith(said)
    assert confirmed.json["conversation"] == {"id": person.conversation_id}
    assert confirmed.json["from"]["id"] == "28:bot"


# One person, two ids


def test_either_id_finds_the_language_and_the_conversation(
    app: ListeningApp, person: Person, either_id: str
):
    person.write("hello", locale="sv-SE")
    texts = {"en": {"text": "Hello"}, "sv": {"text": "Hej"}}
    recipient = {"channelId": "msteams", "userId": either_id}

    send(app, {"recipient": recipient, "activities": texts})
    started = app.start(members=[{"id": either_id}])

    [sent] = app.calls
    assert (sent.json["text"], sent.json["locale"]) == ("Hej", "sv")
    assert sent.json["conversation"] == {"id": person.conversation_id}
    assert (started.status, started.json()["id"]) == (200, person.conversation_id)


def test_what_is_told_of_either_id_is_told_of_the_person(
    app: ListeningApp, person: Person, either_id: str
):
    person.write("hello")

    changed = app.put(account_path(either_id), {"timeZone": "Europe/Vienna"})

    found = [app.get(account_path(each)) for each in (person.user_id, person.object_id)]
    assert changed.status == 200
    for answer in found:
        assert answer.json()["userId"] == person.user_id
        assert answer.json()["aadObjectId"] == person.object_id
        assert answer.json()["timeZone"] == "Europe/Vienna"
    assert found[0].headers["ETag"] == found[1].headers["ETag"] == changed.headers["ETag"]


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


@pytest.fixture
def talkative(app: ListeningApp, person: Person) -> Person:
    """Somebody of whom there is a trace in every table and queue that knows people."""
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


def forget_after_an_uninstall(app: ListeningApp, person: Person) -> None:
    assert person.post(type="installationUpdate", action="remove").status == 200
    forget(app, person.user_id)


@pytest.mark.parametrize(
    "forgetting",
    [
        forget_by_http,
        forget_by_object_id,
        forget_as_the_channel_asks,
        forget_after_an_uninstall,
    ],
)
def test_who_is_forgotten_leaves_no_trace(
    app: ListeningApp, traces_of: Callable[[Person], list[str]], talkative: Person, forgetting: Any
):
    before = traces_of(talkative)

    forgetting(app, talkative)
    app.settle()

    assert before == talkative.traces
    assert traces_of(talkative) == []
    for user_id in (talkative.user_id, talkative.object_id):
        assert app.get(account_path(user_id)).status == 404
    assert app.send(talkative.conversation_id, text="News").status == 404


def test_an_object_id_that_was_told_no_more_is_forgotten_too(
    app: ListeningApp, traces_of: Callable[[Person], list[str]], person: Person
):
    person.write("hello")
    app.put(account_path(person.user_id), {"aadObjectId": None})

    forget(app, person.user_id)

    assert traces_of(person) == []


def test_who_said_stop_and_was_forgotten_is_still_left_alone(
    app: ListeningApp, person: Person, either_id: str
):
    person.write("stop")
    forget(app, person.user_id)
    app.begin()

    send(app, alert(either_id))
    started = app.start(members=[{"id": either_id}], activity={"text": "News"})

    assert app.calls == []
    assert (started.status, started.json()["code"]) == (403, "Suppressed")
    assert app.storage.take_poison("send-activity") == []


def test_who_was_forgotten_without_a_stop_can_be_written_to(
    app: ListeningApp, person: Person, either_id: str
):
    person.write("hello")
    forget(app, person.user_id)
    app.begin()

    send(app, alert(either_id))
    until(lambda: texts_of(app.calls) == ["News"])


# What arrives late


def test_an_uninstall_that_arrives_after_a_new_install_takes_nothing_away(
    app: ListeningApp, person: Person
):
    person.write("hello", timestamp="2026-01-02T10:00:00Z")

    late = person.post(type="installationUpdate", action="remove", timestamp="2026-01-01T10:00:00Z")

    assert late.status == 200
    assert app.send(person.conversation_id, text="News").status == 201
    assert app.get(account_path(person.user_id)).json()["installed"] is True


def test_a_stop_outlives_an_account_that_claims_to_be_from_the_future(
    app: ListeningApp, person: Person
):
    person.write("hello")
    ahead = {"observedAt": "2099-01-01T00:00:00Z", "preferences": {"interests": ["Rain"]}}
    app.put(account_path(person.user_id), ahead)

    person.write("stop")

    assert app.get(account_path(person.user_id)).json()["preferences"]["muted"] is True
