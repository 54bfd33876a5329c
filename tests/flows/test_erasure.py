"""Who is forgotten leaves no trace, and gets nothing more if they had said stop."""

from typing import Any
from uuid import uuid4

from tests.flows.listening_app import ListeningApp
from tests.flows.people import write
from tests.flows.running_app import SENDING, new_user


class Person:
    """Somebody on Teams who talks with the bot: known by two ids, and for sure by the name."""

    def __init__(self, app: ListeningApp) -> None:
        self.ids = new_user(), str(uuid4())
        self.conversation_id = f"a:{uuid4().hex}"
        self.name = f"Alexandra Wilber {uuid4().hex}"
        self._app = app

    @property
    def traces(self) -> list[str]:
        """All that would tell of them, wherever it stood."""
        return [*self.ids, self.conversation_id, self.name]

    def tell(self, **activity: Any) -> None:
        """Have the Connector post an activity of theirs, and wait for what it leads to."""
        user_id, object_id = self.ids
        told: dict[str, Any] = {
            "timestamp": None,
            "id": uuid4().hex,
            "from": {"id": user_id, "name": self.name, "aadObjectId": object_id},
            "conversation": {"id": self.conversation_id, "conversationType": "personal"},
        }
        write(self._app, user_id, **told, **activity)
        self._app.settle()

    def are_written_to(self) -> None:
        """Have a message to either id be sent, or not, by the queue."""
        to = [{"channelId": "msteams", "userId": each} for each in self.ids]
        said = {"activity": {"text": "News"}}
        self._app.enqueue(SENDING, *({"recipient": each, **said} for each in to))
        self._app.settle()


def talkative(app: ListeningApp) -> Person:
    """Somebody of whom there is a trace in every table and queue that knows people."""
    person = Person(app)
    user_id, object_id = person.ids
    app.remember("msteams", object_id, conversation={"id": f"{person.conversation_id}-0"})
    app.start(members=[{"id": object_id}], startNew=True)
    person.tell(text="hello")
    person.tell(text="stop")
    app.start(members=[{"id": user_id}], startNew=True)
    person.are_written_to()
    return person


def account_path(user_id: str) -> str:
    return f"/api/accounts/msteams/-?userId={user_id}"


def test_who_is_forgotten_in_whatever_way_leaves_no_trace_but_that_they_said_stop(
    app: ListeningApp,
):
    def forget(user_id: str) -> None:
        assert app.host.request("DELETE", account_path(user_id)).status == 204

    people = [talkative(app) for _ in range(4)]
    kept = app.storage.dump()
    assert [each for person in people for each in person.traces if each not in kept] == []

    by_their_id, by_the_other_id, as_the_channel_asks, after_leaving = people
    forget(by_their_id.ids[0])
    forget(by_the_other_id.ids[1])
    as_the_channel_asks.tell(type="deleteUserData")
    after_leaving.tell(type="installationUpdate", action="remove")
    forget(after_leaving.ids[0])

    kept = app.storage.dump()
    assert [each for person in people for each in person.traces if each in kept] == []
    app.begin()
    for person in people:
        assert app.send(person.conversation_id, text="News").status == 404
        for user_id in person.ids:
            assert app.get(account_path(user_id)).status == 404
            started = app.start(members=[{"id": user_id}], activity={"text": "News"})
            assert (started.status, started.json()["code"]) == (403, "Suppressed")
        person.are_written_to()
    assert app.calls == []
    assert app.storage.take_poison(SENDING) == []
