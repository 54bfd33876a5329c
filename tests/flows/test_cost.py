"""What a person and a message cost: operations on storage, counted at the wire.

The only host on its queues is the one that is watched.
"""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from urllib.parse import quote

import pytest

from tests.flows.alerts import make_known, person, send_alert
from tests.flows.listening_app import ListeningApp, listening_app
from tests.flows.people import remember_all, write
from tests.flows.running_app import SENDING, AppStorage, RunningApp, new_tenant, new_user
from tests.support.lossy_storage import LossyStorage

MESSAGES = 50
AUDIENCE = 500
TENANTS = 10
ROUNDS = 8
SHARE_SECONDS = 30


@pytest.fixture(scope="module")
def tables(storage: AppStorage) -> Iterator[LossyStorage]:
    """What the app asks of Table storage."""
    with LossyStorage(storage.connection_string) as tables:
        yield tables


@pytest.fixture(scope="module")
def queues(tables: LossyStorage) -> Iterator[LossyStorage]:
    """What the app and its host ask of Queue storage."""
    with LossyStorage(tables.connection_string, "Queue") as queues:
        yield queues


@pytest.fixture(scope="module")
def module_app(folder, storage, queues, connector, identity) -> Iterator[ListeningApp]:
    """The app, seen from its storage, which has all that is missing at first."""
    with (
        closing(AppStorage(queues.connection_string)) as watched,
        listening_app(folder, watched, connector, identity) as app,
    ):
        ours = RunningApp(app.host, storage, connector, identity)
        user = new_user()
        write(app, user)
        send(ours, user)
        yield ListeningApp(ours, app.openid)


def send(app: RunningApp, *users: str) -> None:
    """Have a message sent to each user by the queue."""
    app.begin()
    app.enqueue(
        SENDING,
        *(
            {"recipient": {"channelId": "msteams", "userId": user}, "activity": {"text": user}}
            for user in users
        ),
    )
    app.settle()
    assert sorted(call.json["text"] for call in app.calls) == sorted(users)


@pytest.fixture
def operations(tables: LossyStorage) -> Callable[..., list[str]]:
    """Tells what tables were asked since it was last told, such as ``GET accounts``, pacing aside.

    With ``pacing`` that is told too.
    """
    earlier = len(tables.requests)

    def tell(*, pacing: bool = False) -> list[str]:
        nonlocal earlier
        asked = tables.requests[earlier:]
        earlier += len(asked)
        named = (re.match(r"/devstoreaccount1/(\w+)", each.path) for each in asked)
        told = [
            f"{each.method} {match[1] if match else each.path}"
            for each, match in zip(asked, named, strict=True)
        ]
        return [each for each in told if pacing or not each.endswith(" lanes")]

    return tell


@pytest.mark.parametrize(
    ("path", "reads"),
    [
        ("/api/accounts/msteams/{user}", ["accounts"]),
        # By way of the row that points to the account.
        ("/api/accounts/msteams/object-{user}", ["accounts", "accounts"]),
        ("/api/conversations/a%3A{user}", ["conversations"]),
        ("/api/conversations/a%3A{user}?channelId=msteams", ["conversations"]),
    ],
)
def test_a_look_up_takes_one_round_trip_or_two_by_the_object_id(
    app: ListeningApp, operations, user: str, path: str, reads: list[str]
):
    write(app, user)
    operations()

    found = app.get(path.format(user=quote(user, safe="")))

    assert found.status == 200
    assert operations() == [f"GET {table}" for table in reads]


def test_the_first_message_of_a_person_takes_five_writes_a_later_one_one_and_a_repeat_none(
    app: ListeningApp, operations, user: str
):
    operations()

    write(app, user)
    # Read: whether they are known, and whether they said stop without an account, by either id.
    # Written: what points from the object id, the person's key, the account, the conversation, and
    # in the account that all this is done.
    methods = [each.split()[0] for each in operations()]
    assert methods == ["GET", "POST", "PUT", "POST", "PUT", "GET", "GET", "PUT"]

    write(app, user)
    assert operations() == ["GET accounts"]

    write(app, user, timestamp="2026-01-02T10:00:00Z")
    assert operations() == ["GET accounts", "PUT accounts"]


def test_a_send_reads_the_account_and_writes_before_and_after_the_call(
    app: ListeningApp, operations, user: str
):
    write(app, user)
    operations()

    send(app, user)

    assert operations() == ["GET accounts", "POST deliveries", "PUT deliveries"]


def test_many_messages_cost_no_more_each(app: ListeningApp, operations, queues: LossyStorage):
    users = remember_all(app, MESSAGES)
    operations()
    earlier = len(queues.requests)

    send(app, *users)

    asked = operations()
    assert {each: asked.count(each) for each in asked} == dict.fromkeys(
        ("GET accounts", "POST deliveries", "PUT deliveries"), MESSAGES
    )
    methods = [each.method for each in queues.requests[earlier:]]
    # The host takes a batch, and deletes each message; neither it nor we put anything anywhere.
    assert {*methods} == {"GET", "DELETE"}
    assert methods.count("DELETE") == MESSAGES


def test_where_little_is_sent_to_each_of_many_tenants_a_message_costs_no_more(
    app: ListeningApp, operations
):
    users = [user for _ in range(TENANTS) for user in remember_all(app, 1, tenantId=new_tenant())]
    # Who comes again to an idle lane has a share of its pace from then on.
    for _ in range(2):
        send(app, *users)
    operations()
    begun_at = time.monotonic()

    for _ in range(ROUNDS):
        send(app, *users)

    asked = operations(pacing=True)
    # Where a machine is slow, shares run out meanwhile, and are taken anew.
    taken_anew = (time.monotonic() - begun_at) // SHARE_SECONDS
    assert len(asked) <= TENANTS * (3.2 * ROUNDS + 3 * taken_anew), Counter(asked)


def test_a_recipient_of_an_alert_costs_a_claim_a_result_and_a_put(
    app: ListeningApp, operations, queues: LossyStorage
):
    interest = f"topic-{new_user()}"
    preferences = {"interests": [interest]}
    alert = {"audience": preferences, "activity": {"text": "News"}}
    # To nobody yet: this makes the tables.
    send_alert(app, **alert)
    app.settle()
    people = [
        person("msteams", app.connector.url, preferences=preferences) for _ in range(AUDIENCE)
    ]
    make_known(app.storage, people, with_keys=True)
    app.begin()
    operations()
    earlier = len(queues.requests)

    send_alert(app, **alert)
    app.wait_for_calls(AUDIENCE)
    app.settle()

    asked = operations(pacing=True)
    puts = [each for each in queues.requests[earlier:] if each.method == "POST"]
    put = sum(f"/{SENDING}/" in each.path for each in puts)
    assert len(app.calls) == put == AUDIENCE
    # Where a machine is slow, an alert takes longer: it is read each second, and what was noted of
    # an account is good for a minute.
    by_time = [each for each in asked if each in ("GET alerts", "GET accounts")]
    assert len(by_time) <= AUDIENCE / 2, Counter(asked)
    assert len(asked) - len(by_time) + put <= 3.2 * AUDIENCE, Counter(asked)
