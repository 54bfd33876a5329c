"""What the Connector can say instead of yes: each kind of consequence, as it is seen from outside.

Which code is of which kind stands in a table of the app, and that has a test of its own. Here the
messages of all kinds are on their way at once, each to a person and a tenant of its own, so that no
pause holds up another.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.flows.running_app import QUEUES, SENDING, RunningApp, new_tenant, new_user
from tests.support.connector import is_start
from tests.support.stub_server import ReceivedRequest

STARTING, UPDATING, DELETING = "start-conversation", "update-activity", "delete-activity"
SECRET = "Zephyr-7 is only for Alex"
CUT_OFF = 0


@dataclass(frozen=True)
class Outcome:
    """What becomes of a message that the Connector refuses once."""

    status: str
    calls: int = 1
    attempts: int = 1
    code: str | None = None
    ambiguous: bool = False
    blocked: bool | None = None
    installed: bool | None = None


def failed(code: str, **more: Any) -> Outcome:
    return Outcome("permanent-failure", code=code, **more)


THROTTLED = Outcome("sent", calls=2, attempts=1)
SENT_AT_SECOND = Outcome("sent", calls=2, attempts=2)
PERHAPS_SENT_TWICE = replace(SENT_AT_SECOND, ambiguous=True)
# By status and code.
OF_A_SEND: Mapping[tuple[int, str], Outcome] = {
    (429, "Throttled"): THROTTLED,
    (412, "PreconditionFailed"): SENT_AT_SECOND,
    (503, "ServiceUnavailable"): SENT_AT_SECOND,
    (504, "GatewayTimeout"): PERHAPS_SENT_TWICE,
    (CUT_OFF, ""): PERHAPS_SENT_TWICE,
    (403, "ConversationBlockedByUser"): failed("ConversationBlockedByUser", blocked=True),
    (403, "BotNotInConversationRoster"): failed("BotNotInConversationRoster", installed=False),
    (403, "BotDisabledByAdmin"): failed("BotDisabledByAdmin", blocked=True),
    (403, "AnythingElse"): failed("AnythingElse"),
    # It is started again, and sent there.
    (404, "ThreadNotFound"): Outcome("sent", calls=3, attempts=3),
    (404, "AnythingElse"): failed("AnythingElse"),
    (400, "BadArgument"): failed("BadArgument"),
    (413, "MessageSizeTooBig"): failed("MessageSizeTooBig"),
    (500, "ServiceError"): failed("ServiceError"),
    (307, "Moved"): failed("ConnectorRedirected"),
}
# The start took what a send takes, and then there is the send.
OF_A_START: Mapping[tuple[int, str], Outcome] = {
    (429, "Throttled"): Outcome("sent", calls=3, attempts=2),
    (503, "ServiceUnavailable"): Outcome("sent", calls=3, attempts=3),
    (504, "GatewayTimeout"): Outcome("sent", calls=3, attempts=3, ambiguous=True),
    (403, "ForbiddenOperationException"): failed("ForbiddenOperationException", blocked=True),
    (403, "BotNotInConversationRoster"): failed("BotNotInConversationRoster", installed=False),
    (403, "BotDisabledByAdmin"): failed("BotDisabledByAdmin", blocked=True),
    # There is none that could be started again.
    (404, "ConversationNotFound"): failed("ConversationNotFound"),
    (400, "BadArgument"): failed("BadArgument"),
}
OF_AN_EDIT: Mapping[tuple[int, str], Outcome] = {
    (503, "ServiceUnavailable"): SENT_AT_SECOND,
    (504, "GatewayTimeout"): PERHAPS_SENT_TWICE,
    (403, "ConversationBlockedByUser"): failed("ConversationBlockedByUser", blocked=True),
    (400, "BadArgument"): failed("BadArgument"),
}


class Person:
    """Somebody in a tenant of their own, and what the Connector says of them."""

    def __init__(self, app: RunningApp, *, is_known: bool) -> None:
        self.user = new_user()
        self.tenant = new_tenant()
        self.id = f"message for {self.user}"
        self.recipient = {"channelId": "msteams", "userId": self.user}
        self._app = app
        self._is_known = is_known
        known = {"conversation": {"id": f"a:{self.user}"}} if is_known else {}
        app.remember("msteams", self.user, tenantId=self.tenant, **known)

    @property
    def calls(self) -> list[ReceivedRequest]:
        """All calls that are for this person."""
        return [call for call in self._app.connector.requests if self.is_called(call)]

    def refuse(self, status: int, code: str) -> "Person":
        """Have the Connector say this of what it is asked first."""
        connector = self._app.connector
        if status == CUT_OFF:
            connector.cut(when=self._is_refused)
            return self
        headers = {"MS-CV": self.tenant}
        if status == 429:
            headers["Retry-After"] = "0"
        if status == 307:
            headers["Location"] = f"{connector.url}/moved"
        said = f"It failed: {SECRET}"
        connector.fail(status, code, said, headers, when=self._is_refused)
        return self

    def enqueue(self, queue: str) -> None:
        to: dict[str, Any] = {"conversationId": f"a:{self.user}", "activityId": "7"}
        if queue == SENDING:
            to = {"recipient": self.recipient}
        what = {} if queue == DELETING else {"activity": {"text": SECRET}}
        self._app.enqueue(queue, {"id": self.id, **to, **what})

    @property
    def outcome(self) -> Outcome:
        delivery, account = self._app.delivery(self.id), self._app.account("msteams", self.user)
        if delivery["status"] == "permanent-failure" and delivery["code"] != "ConnectorRedirected":
            assert delivery["correlationId"] == self.tenant
        return Outcome(
            status=delivery["status"],
            calls=len(self.calls),
            attempts=delivery["attempts"],
            code=delivery.get("code"),
            ambiguous=delivery.get("ambiguous", False),
            blocked=account.get("blocked"),
            installed=account.get("installed"),
        )

    def is_called(self, call: ReceivedRequest) -> bool:
        """Tell whether a call is for this person."""
        if is_start(call):
            return self.user in call.body.decode()
        return self.user.split(":")[1] in call.path

    def _is_refused(self, call: ReceivedRequest) -> bool:
        return self.is_called(call) and is_start(call) != self._is_known


@pytest.fixture
def app(module_app: RunningApp) -> Iterator[RunningApp]:
    """The app, which must keep texts and tokens out of its log whatever happens."""
    module_app.begin()
    yield module_app
    log = module_app.host.log()
    assert SECRET not in log
    assert "identity-token" not in log
    assert "Traceback" not in log


@pytest.mark.parametrize(
    ("queue", "expected"),
    [
        (SENDING, OF_A_SEND),
        (STARTING, OF_A_START),
        (UPDATING, OF_AN_EDIT),
        (DELETING, OF_AN_EDIT),
    ],
    ids=["send", "start", "edit", "recall"],
)
def test_what_becomes_of_a_message(app: RunningApp, queue, expected):
    people = {said: Person(app, is_known=queue != STARTING) for said in expected}
    for said, person in people.items():
        person.refuse(*said).enqueue(SENDING if queue == STARTING else queue)
    app.settle()

    assert {said: person.outcome for said, person in people.items()} == expected
    poison = {
        entry["_flow"]["id"]: entry for queue in QUEUES for entry in app.storage.take_poison(queue)
    }
    failures = {said for said, person in people.items() if person.id in poison}
    assert failures == {said for said, each in expected.items() if each.status != "sent"}
    for said in failures:
        delivery = app.delivery(people[said].id)
        failure = poison[people[said].id]["failure"]
        assert failure.keys() == {"code", "detail", "failedAt", "attempts"}
        assert {name: delivery[name] for name in ("code", "detail", "attempts")}.items() <= (
            failure.items()
        )
        assert SECRET not in failure["detail"]
