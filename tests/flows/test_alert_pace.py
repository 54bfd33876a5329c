"""Alerts flow as fast as the Connector takes them, leave room for others, and stop when told."""

from collections import Counter
from functools import partial

import pytest

from tests.flows.alerts import (
    act,
    counts,
    deliveries,
    make_known,
    path_of,
    person,
    send_alert,
    wait_for_end,
)
from tests.flows.running_app import AS_IN_AZURE, SENDING, THREADS, running_app
from tests.support.limited_connector import LimitedConnector, most_in_a_second
from tests.support.waiting import until

pytestmark = pytest.mark.soak

PEOPLE = 150
SINGLES = 10
# An alert is two pages, and takes a quarter of a minute: so a busy machine has put both of them,
# and something else, on the queue before most of it is due.
RATE = 12


@pytest.fixture(scope="module")
def connector():
    with LimitedConnector(most_in_a_second(RATE, THREADS)) as connector:
        yield connector


@pytest.fixture(scope="module")
def module_app(folder, storage, connector, identity):
    # What was under way when an alert was changed has ended soon, and is looked at again.
    settings = {**AS_IN_AZURE, "SendRatePerSecond": str(RATE), "ConnectorTimeoutSeconds": "5"}
    with running_app(folder, storage, connector, identity, **settings) as app:
        yield app


@pytest.fixture(scope="module")
def users(storage, connector):
    people = [person("msteams", connector.url) for _ in range(PEOPLE)]
    make_known(storage, people, with_keys=True)
    return [each.user_id for each in people]


def test_it_keeps_the_pace_and_lets_single_messages_pass(app, connector, users):
    alert_id = send_alert(app, activity={"text": "alert"})
    app.wait_for_calls(1)
    app.enqueue(
        SENDING,
        *(
            {"recipient": {"channelId": "msteams", "userId": user}, "activity": {"text": "single"}}
            for user in users[:SINGLES]
        ),
    )
    ended = wait_for_end(app, alert_id)
    app.settle()

    texts = [call.json["text"] for call in app.calls]
    assert Counter(texts) == {"alert": PEOPLE, "single": SINGLES}
    assert counts(ended) == {"sent": PEOPLE}
    assert connector.throttled == 0
    # They did not wait until everybody had got the alert.
    last_single = len(texts) - texts[::-1].index("single")
    assert "alert" in texts[last_single:]


def test_a_cancel_half_way_says_exactly_what_went_out(app, users):
    alert_id = send_alert(app, activity={"text": "alert"})
    app.wait_for_calls(PEOPLE // 3)

    answer = act(app, "POST", path_of(alert_id, "cancel"))

    went_out = len(app.calls)
    cancelled = answer.json()
    assert (answer.status, cancelled["status"]) == (200, "cancelled")
    assert counts(cancelled) == {"sent": went_out, "cancelled": PEOPLE - went_out}
    ended = wait_for_end(app, alert_id)
    until(partial(has_cancelled, app, alert_id, PEOPLE - went_out))
    app.settle()
    assert counts(ended) == counts(cancelled)
    assert len(app.calls) == went_out
    late = act(app, "POST", path_of(alert_id, "retry"))
    assert (late.status, late.json()["code"]) == (409, "AlertOver")


def test_after_two_edits_half_way_all_see_the_last_and_after_a_recall_nothing(app, users):
    alert_id = send_alert(app, activity={"text": "first"})
    app.wait_for_calls(PEOPLE // 3)

    for text in ("second", "third"):
        assert act(app, "PUT", path_of(alert_id, "activity"), {"text": text}).status == 202
    edited = wait_for_end(app, alert_id)

    seen = {}
    for call in app.calls:
        seen[call.json["conversation"]["id"]] = (call.method, call.json["text"])
    assert Counter(text for _, text in seen.values()) == {"third": PEOPLE}
    # Those who had got it, and those who had not.
    assert {method for method, _ in seen.values()} == {"POST", "PUT"}
    assert (counts(edited), edited["current"]) == ({"sent": PEOPLE}, PEOPLE)

    assert act(app, "DELETE", path_of(alert_id)).status == 202
    recalled = wait_for_end(app, alert_id)
    app.settle()

    deleted = Counter(call.path for call in app.calls if call.method == "DELETE")
    assert (len(deleted), set(deleted.values())) == (PEOPLE, {1})
    assert (counts(recalled), recalled["recalled"]) == ({"sent": PEOPLE}, PEOPLE)


def test_a_recall_half_way_deletes_what_was_delivered_once_and_stops_the_rest(app, users):
    alert_id = send_alert(app, activity={"text": "alert"})
    app.wait_for_calls(PEOPLE // 3)

    act(app, "DELETE", path_of(alert_id))
    ended = wait_for_end(app, alert_id)
    app.settle()

    methods = Counter(call.method for call in app.calls)
    assert methods["POST"] < PEOPLE
    assert methods == {"POST": methods["POST"], "DELETE": methods["POST"]}
    deleted = Counter(call.path for call in app.calls if call.method == "DELETE")
    assert set(deleted.values()) == {1}
    assert ended["recalled"] == methods["POST"]
    assert counts(ended) == {"sent": methods["POST"], "cancelled": PEOPLE - methods["POST"]}


def has_cancelled(app, alert_id, count: int) -> bool:
    """Whether so many messages were recorded as cancelled when their turn came."""
    listed = deliveries(app, alert_id, status="cancelled")
    return sum("code" in each for each in listed) == count
