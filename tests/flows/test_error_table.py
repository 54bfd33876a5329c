"""Each row of the table of what the Connector can say, from the queue and over HTTP.

What is expected stands here as the contract says it. The messages of all rows are on their way at
once, each to a person and a tenant of its own, so that no pause holds up another row.
"""

import math
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from local.azurite import azurite
from shared.connector.errors import TABLE, NoAnswer
from tests.flows.running_app import (
    QUEUES,
    SENDING,
    AppStorage,
    RunningApp,
    new_tenant,
    new_user,
    running_app,
)
from tests.support.connector import StubConnector, is_send, is_start
from tests.support.stub_server import ReceivedRequest
from tests.support.waiting import until

STARTING = "start-conversation"
UPDATING = "update-activity"
DELETING = "delete-activity"
COMMUNITY = "smba.infra.gcc.teams.microsoft.com"
A_CODE = "SomethingElse"
Said = int | NoAnswer
FAILS = "permanent-failure"


@dataclass(frozen=True)
class Expected:
    """What becomes of a call that the Connector answers so, once.

    ``http`` and ``code`` are what an HTTP caller gets, ``waits`` whether they are told to come
    again. ``queue`` is how the message ends, after ``calls`` of which ``attempts`` count.
    """

    http: int
    code: str | None = None
    waits: bool = False
    queue: str = FAILS
    calls: int = 1
    attempts: int = 1
    is_ambiguous: bool = False
    account: Mapping[str, bool] = field(default_factory=dict)


SENT_AT_SECOND = Expected(503, waits=True, queue="sent", calls=2, attempts=2)
PERHAPS_SENT_BEFORE = replace(SENT_AT_SECOND, is_ambiguous=True)
BLOCKED = Expected(403, account={"blocked": True})
REDIRECTED = Expected(502, "ConnectorRedirected")

CONTRACT: dict[tuple[Said, str | None], Expected] = {
    (429, None): Expected(429, queue="sent", calls=2, attempts=1, waits=True),
    (412, None): SENT_AT_SECOND,
    (502, None): replace(PERHAPS_SENT_BEFORE, http=502),
    (503, None): replace(SENT_AT_SECOND, http=502),
    (504, None): replace(PERHAPS_SENT_BEFORE, http=504),
    (NoAnswer.TIMED_OUT, None): replace(PERHAPS_SENT_BEFORE, http=504, code="ConnectorTimeout"),
    (NoAnswer.CUT_OFF, None): replace(PERHAPS_SENT_BEFORE, http=502, code="ConnectorUnavailable"),
    (404, "ConversationNotFound"): Expected(404, queue="sent", calls=3, attempts=3),
    (403, "BotNotInConversationRoster"): Expected(403, account={"installed": False}),
    (403, "ConversationBlockedByUser"): BLOCKED,
    (403, "MessageWritesBlocked"): BLOCKED,
    (403, "ForbiddenOperationException"): BLOCKED,
    (403, "BotDisabledByAdmin"): Expected(403),
    # From a queue it goes on to where there is nobody here.
    (403, "InvalidBotApiHost"): Expected(403),
    (403, "NotEnoughPermissions"): Expected(403),
    (400, None): Expected(400),
    (403, None): Expected(403),
    (404, None): Expected(404),
    (413, None): Expected(413),
    (405, None): Expected(502),
    (409, None): Expected(502),
    (500, None): Expected(502),
    (501, None): Expected(502),
    **{(status, None): REDIRECTED for status in range(300, 400)},
}
# These have tests of their own: nobody answers, and everything pauses.
APART = {(NoAnswer.UNREACHABLE, None), (401, None)}
OTHERS = (405, 409, 500, 501)
# Enough of what is all the same.
REDIRECTS = (301, 302, 307, 308)

CASES = [
    (said, code)
    for row in TABLE
    for said in row.said or OTHERS
    for code in row.codes or (None,)
    if (said, code) not in APART and (said not in range(300, 400) or said in REDIRECTS)
]
# What may succeed later, and says so each time.
TEMPORARY = [412, 502, 503, 504]


def expected_of_change(case: tuple[Said, str | None], queue: str) -> Expected:
    """What becomes of an edit or a recall: no conversation is started again for it."""
    if case[0] == 404:
        return Expected(404, queue="sent" if queue == DELETING else FAILS)
    if case[0] in (405, 501):
        return Expected(422, "ActivityChangeNotSupported")
    return CONTRACT[case]


def name_of(case: tuple[Said, str | None]) -> str:
    said, code = case
    return " ".join([said.name if isinstance(said, NoAnswer) else str(said), code or ""]).strip()


CHANGES_HOST = (403, "InvalidBotApiHost")

each_case = pytest.mark.parametrize("case", CASES, ids=name_of)
each_case_but_one = pytest.mark.parametrize(
    "case", [case for case in CASES if case != CHANGES_HOST], ids=name_of
)


class Row:
    """One case on its way: a person in a tenant, and what the Connector says of them."""

    queue = SENDING

    def __init__(self, app: RunningApp, case: tuple[Said, str | None], *, is_start: bool) -> None:
        self.user = new_user()
        self.id = f"{name_of(case)} {self.user}"
        self.tenant = new_tenant()
        self._app = app
        self._case = case
        self._is_start = is_start
        known = {} if is_start else {"conversation": {"id": f"a:{self.user}"}}
        app.remember("msteams", self.user, tenantId=self.tenant, **known)

    def fits(self, call: ReceivedRequest) -> bool:
        """Whether a call is for this person."""
        if is_start(call):
            return self.user in call.body.decode()
        return self.user.split(":")[1] in call.path

    def is_first(self, call: ReceivedRequest) -> bool:
        """Whether a call is what the Connector is to refuse."""
        return self.fits(call) and is_start(call) == self._is_start

    @property
    def calls(self) -> list[ReceivedRequest]:
        return [call for call in self._app.connector.requests if self.fits(call)]

    def let_fail(self, retry_after: str | None = None, *, times: float = 1) -> None:
        """Have the Connector say once to this person's call what the case is."""
        said, code = self._case
        connector = self._app.connector
        if said is NoAnswer.TIMED_OUT:
            connector.block(times=times, when=self.is_first)
        elif said is NoAnswer.CUT_OFF:
            connector.cut(times=times, when=self.is_first)
        elif isinstance(said, int) and said in range(300, 400):
            moved = {"Location": f"{connector.url}/moved"}
            connector.answer(said, None, moved, times=times, when=self.is_first)
        else:
            assert isinstance(said, int)
            headers = {"MS-CV": self.tenant}
            if retry_after is not None:
                headers["Retry-After"] = retry_after
            connector.fail(
                said, code or A_CODE, "It failed.", headers, times=times, when=self.is_first
            )

    def message(self, **more: Any) -> dict[str, Any]:
        recipient = {"channelId": "msteams", "userId": self.user}
        return {"id": self.id, "recipient": recipient, "activity": {"text": "News"}, **more}

    def enqueue(self) -> None:
        soon = datetime.now(UTC) + timedelta(seconds=5)
        hopeless = self._case == CHANGES_HOST
        self._app.enqueue(
            self.queue, self.message(**({"expiresAt": soon.isoformat()} if hopeless else {}))
        )

    def call(self) -> Any:
        """Ask for the same over HTTP."""
        if self._is_start:
            return self._app.start(members=[{"id": self.user}])
        return self._app.send(f"a:{self.user}", text="News")


class Change(Row):
    """One case of an edit or a recall on its way."""

    def __init__(self, app: RunningApp, case: tuple[Said, str | None], queue: str) -> None:
        super().__init__(app, case, is_start=False)
        self.queue = queue

    def message(self, **more: Any) -> dict[str, Any]:
        edit = {"activity": {"text": "News"}} if self.queue == UPDATING else {}
        sent = {"conversationId": f"a:{self.user}", "activityId": "7"}
        return {"id": self.id, **sent, **edit, **more}

    def call(self) -> Any:
        path = f"/api/conversations/a:{self.user}/activities/7"
        if self.queue == UPDATING:
            return self._app.put(path, {"text": "News"})
        return self._app.host.request("DELETE", path)


class Rows:
    """All cases, each of which is over; and the poison that they left."""

    def __init__(self, app: RunningApp) -> None:
        self.sends = {case: Row(app, case, is_start=False) for case in CASES}
        self.starts = {case: Row(app, case, is_start=True) for case in CASES}
        self.always = {status: Row(app, (status, None), is_start=False) for status in TEMPORARY}
        self.changes = {
            (case, queue): Change(app, case, queue)
            for case in CASES
            for queue in (UPDATING, DELETING)
            if case != CHANGES_HOST
        }
        for row in (*self.sends.values(), *self.starts.values()):
            row.let_fail("0")
            row.enqueue()
        for row in self.always.values():
            row.let_fail("0", times=math.inf)
            row.enqueue()
        until(app.storage.is_drained, seconds=90)
        # By themselves, so that the first ones get their turns before their time is over.
        for row in self.changes.values():
            row.let_fail("0")
            row.enqueue()
        until(app.storage.is_drained, seconds=90)
        app.connector.release()
        self.poison = {
            queue: {entry["_flow"]["id"]: entry for entry in app.storage.take_poison(queue)}
            for queue in QUEUES
        }


@pytest.fixture(scope="module")
def proxy() -> Iterator[StubConnector]:
    """Where all goes that is not on this machine: nowhere."""
    with StubConnector() as proxy:
        yield proxy


@pytest.fixture(scope="module")
def nowhere() -> Iterator[str]:
    """A service URL where nobody listens."""
    with closing(socket.socket()) as nobody:
        nobody.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{nobody.getsockname()[1]}"


@pytest.fixture(scope="module")
def module_app(folder, storage, connector, identity, proxy, nowhere) -> Iterator[RunningApp]:
    """The app with little patience, which reaches nothing but the stubs."""
    changes = {
        "ConnectorTimeoutSeconds": "1",
        "HTTPS_PROXY": proxy.url,
        "TrustedServiceUrls": f"{connector.url},{nowhere}",
    }
    with running_app(folder, storage, connector, identity, **changes) as app:
        yield app


@pytest.fixture(scope="module")
def rows(module_app: RunningApp) -> Rows:
    return Rows(module_app)


def test_the_contract_has_each_row():
    said = {
        (said, code)
        for row in TABLE
        for said in row.said or OTHERS
        for code in row.codes or (None,)
    }

    assert said == CONTRACT.keys() | APART


def check_poison(rows: Rows, queue: str, row: Row, delivery: dict[str, Any]) -> None:
    entry = rows.poison[queue][row.id]
    assert entry["failure"]["code"] == delivery["code"]
    assert entry["failure"]["detail"] == delivery["detail"]
    assert entry["failure"]["attempts"] == delivery["attempts"]


@each_case_but_one
def test_a_send_from_the_queue(app: RunningApp, rows: Rows, case):
    expected, row = CONTRACT[case], rows.sends[case]

    delivery = app.delivery(row.id)

    assert (delivery["status"], delivery["attempts"]) == (expected.queue, expected.attempts)
    assert delivery.get("ambiguous", False) == expected.is_ambiguous
    assert len(row.calls) == expected.calls
    assert delivery.get("recreated", False) == (case[1] == "ConversationNotFound")
    flags = {name: app.account("msteams", row.user).get(name) for name in ("installed", "blocked")}
    assert {name: value for name, value in flags.items() if name in expected.account} == (
        expected.account
    )
    assert flags["blocked"] in (None, False) or "blocked" in expected.account
    assert flags["installed"] in (None, True) or "installed" in expected.account
    if expected.queue == "sent":
        assert row.id not in rows.poison[SENDING]
    else:
        check_poison(rows, SENDING, row, delivery)
    if expected.queue == FAILS:
        assert delivery["code"] == (expected.code or case[1] or A_CODE)
        assert case[0] in range(300, 400) or delivery["correlationId"] == row.tenant


@each_case_but_one
def test_a_start_from_the_queue(app: RunningApp, rows: Rows, case):
    expected, row = CONTRACT[case], rows.starts[case]
    # There is no conversation that could be started again, or that could have been left.
    is_refused = expected.queue == FAILS or case[1] == "ConversationNotFound"

    delivery = app.delivery(row.id)

    if is_refused:
        not_supported = case[0] in (405, 501)
        code = "ConversationNotSupported" if not_supported else expected.code or case[1] or A_CODE
        assert (delivery["status"], delivery["code"]) == (FAILS, code)
        assert [is_start(call) for call in row.calls] == [True]
        check_poison(rows, STARTING, row, delivery)
    else:
        # The start took what a send takes, and then there is the send.
        assert (delivery["status"], delivery["attempts"]) == ("sent", expected.attempts + 1)
        assert [is_send(call) for call in row.calls] == [False, False, True]
        assert delivery.get("ambiguous", False) == expected.is_ambiguous
        assert row.id not in rows.poison[STARTING]
    account = app.account("msteams", row.user)
    assert {name: account.get(name) for name in expected.account} == expected.account


@each_case_but_one
@pytest.mark.parametrize("queue", [UPDATING, DELETING])
def test_a_change_from_the_queue(app: RunningApp, rows: Rows, case, queue):
    expected, row = expected_of_change(case, queue), rows.changes[case, queue]

    delivery = app.delivery(row.id)

    assert (delivery["status"], delivery["attempts"]) == (expected.queue, expected.attempts)
    assert delivery.get("ambiguous", False) == expected.is_ambiguous
    assert "recreated" not in delivery
    assert len(row.calls) == expected.calls
    account = app.account("msteams", row.user)
    assert account["conversation"]["id"] == f"a:{row.user}"
    for name in ("installed", "blocked"):
        assert account.get(name) == expected.account.get(name)
    if expected.queue == "sent":
        assert delivery["activityId"] == "7"
        assert row.id not in rows.poison[queue]
    else:
        assert delivery["code"] == (expected.code or case[1] or A_CODE)
        check_poison(rows, queue, row, delivery)


@pytest.mark.parametrize("status", TEMPORARY)
def test_six_calls_are_made_at_most(app: RunningApp, rows: Rows, status):
    row = rows.always[status]

    delivery = app.delivery(row.id)

    assert (delivery["status"], delivery["attempts"]) == ("temporary-failure", 6)
    assert delivery["code"] == A_CODE
    assert len(row.calls) == 6
    check_poison(rows, SENDING, row, delivery)


@each_case
@pytest.mark.parametrize("queue", [SENDING, STARTING, UPDATING, DELETING])
def test_over_http(app: RunningApp, connector: StubConnector, case, queue):
    expected, is_start, is_change = CONTRACT[case], queue == STARTING, queue in (UPDATING, DELETING)
    if is_change:
        expected = expected_of_change(case, queue)
    elif is_start and case[0] in (405, 501):
        expected = Expected(422, "ConversationNotSupported")
    row = Change(app, case, queue) if is_change else Row(app, case, is_start=is_start)
    row.let_fail()

    answer = row.call()
    connector.release()

    problem = answer.json()
    status, code = expected.http, expected.code or case[1] or A_CODE
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.status, problem["status"], problem["code"]) == (status, status, code)
    assert ("Retry-After" in answer.headers) == expected.waits
    assert len(row.calls) == 1
    # It is for the caller to decide: nothing is marked, nothing is forgotten.
    account = app.account("msteams", row.user)
    assert account.get("blocked") in (None, False)
    assert account.get("installed") in (None, True)
    assert ("conversation" in account) != is_start


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if CONTRACT[case].account],
    ids=name_of,
)
def test_who_is_out_of_reach_gets_no_more(app: RunningApp, rows: Rows, case):
    row = rows.sends[case]
    calls = len(row.calls)

    app.enqueue(SENDING, {**row.message(), "id": f"later {row.id}"})
    app.settle()
    over_http = row.call()

    assert app.delivery(f"later {row.id}")["status"] == "suppressed"
    assert (over_http.status, over_http.json()["code"]) == (403, "Suppressed")
    assert len(row.calls) == calls


@pytest.mark.parametrize("is_start", [False, True], ids=["send", "start"])
def test_a_tenant_in_which_the_bot_is_disabled_is_left_alone(app: RunningApp, rows: Rows, is_start):
    case = (403, "BotDisabledByAdmin")
    row = (rows.starts if is_start else rows.sends)[case]
    colleague = Row(app, case, is_start=False)
    app.put(f"/api/accounts/msteams/{colleague.user}", {"tenantId": row.tenant})
    soon = datetime.now(UTC) + timedelta(seconds=2)

    app.enqueue(SENDING, colleague.message(expiresAt=soon.isoformat()))
    app.settle()
    over_http = colleague.call()

    assert app.delivery(colleague.id)["status"] == "temporary-failure"
    assert app.delivery(colleague.id)["attempts"] == 0
    assert (over_http.status, over_http.json()["code"]) == (429, "Throttled")
    assert 3000 < int(over_http.headers["Retry-After"]) <= 3600
    assert colleague.calls == []
    app.storage.take_poison(SENDING)


@pytest.mark.parametrize("is_start", [False, True], ids=["send", "start"])
def test_the_service_url_of_the_community_cloud_is_tried(app: RunningApp, rows: Rows, is_start):
    row = (rows.starts if is_start else rows.sends)[CHANGES_HOST]

    account, delivery = app.account("msteams", row.user), app.delivery(row.id)

    assert account["serviceUrl"] == f"https://{COMMUNITY}/teams"
    assert ("conversation" in account) != is_start
    # There was nobody until its time was over.
    assert delivery["status"] in ("temporary-failure", "expired")
    assert delivery["attempts"] >= 2
    assert len(row.calls) == 1


def test_a_start_that_is_throttled_pauses_its_tenant(app: RunningApp):
    row, elsewhere = (Row(app, (429, None), is_start=True) for _ in range(2))
    row.let_fail("60")

    throttled = row.call()
    held_back = row.call()
    other_tenant = elsewhere.call()

    assert (throttled.status, throttled.headers["Retry-After"]) == (429, "60")
    assert (held_back.status, held_back.json()["code"]) == (429, "Throttled")
    assert 50 < int(held_back.headers["Retry-After"]) <= 60
    assert len(row.calls) == 1
    assert other_tenant.status == 201


def test_two_conversations_that_are_throttled_pause_their_tenant(app: RunningApp):
    first, second, third = (Row(app, (429, None), is_start=False) for _ in range(3))
    for row in (second, third):
        app.put(f"/api/accounts/msteams/{row.user}", {"tenantId": first.tenant})
    for row in (first, second):
        row.let_fail("60")

    one = first.call()
    unharmed = third.call()
    two = second.call()
    held_back = third.call()

    assert [each.status for each in (one, unharmed, two, held_back)] == [429, 201, 429, 429]
    assert [len(row.calls) for row in (first, second, third)] == [1, 1, 1]
    assert held_back.json()["code"] == "Throttled"


def test_where_nobody_listens_is_tried_again(app: RunningApp, connector, nowhere: str):
    row = Row(app, (NoAnswer.UNREACHABLE, None), is_start=False)
    path = f"/api/accounts/msteams/{row.user}"
    app.put(path, {"serviceUrl": nowhere})

    # What is cached of a conversation has the service URL that it was cached with.
    unreachable = app.start(members=[{"id": new_user()}], serviceUrl=nowhere)
    row.enqueue()
    until(lambda: '"retrying"' in app.get(f"/api/deliveries/{quote(row.id)}").body.decode())
    app.put(path, {"serviceUrl": connector.url})
    app.settle()

    delivery = app.delivery(row.id)
    assert (unreachable.status, unreachable.json()["code"]) == (502, "ConnectorUnavailable")
    assert "Retry-After" in unreachable.headers
    assert delivery["status"] == "sent"
    assert delivery["attempts"] >= 2
    assert "ambiguous" not in delivery
    assert len(row.calls) == 1


def test_a_refused_token_from_the_queue_is_renewed_and_the_message_sent(
    tmp_path, connector, identity
):
    with (
        azurite(log=tmp_path / "azurite.log") as running,
        closing(AppStorage(running.connection_string)) as storage,
        running_app(tmp_path / "app", storage, connector, identity) as app,
    ):
        for queue in QUEUES:
            storage.make_queue(queue)
        app.begin()
        row = Row(app, (401, None), is_start=False)
        row.let_fail()

        row.enqueue()
        app.settle()

        tokens = [call.headers["Authorization"] for call in row.calls]
        delivery = app.delivery(row.id)
        assert len(tokens) == len(set(tokens)) == 2
        assert (delivery["status"], delivery["attempts"]) == ("sent", 1)
        assert row.call().status == 201
        assert storage.take_poison(SENDING) == []


@pytest.mark.parametrize("is_start", [False, True], ids=["send", "start"])
def test_a_refused_token_over_http(app: RunningApp, is_start):
    row = Row(app, (401, None), is_start=is_start)
    row.let_fail()

    refused = row.call()
    again = row.call()

    assert (refused.status, refused.json()["code"]) == (500, "BotCredentialError")
    assert "Retry-After" not in refused.headers
    assert again.status == 201
    assert len(row.calls) == 2
