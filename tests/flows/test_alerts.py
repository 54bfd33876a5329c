"""Alerts, from the call that sends one to what people get, and what can be done about it then."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from tests.flows.alerts import (
    act,
    counts,
    deliveries,
    path_of,
    progress,
    send_alert,
    told,
    wait_for_end,
)
from tests.flows.running_app import new_tenant, new_user
from tests.support.connector import is_send, is_start
from tests.support.waiting import until


@pytest.fixture
def topic() -> str:
    """A topic that nobody is interested in yet."""
    return f"topic-{uuid4().hex}"


@pytest.fixture
def readers(app, topic):
    """Has so many people be known who are interested in the topic; each has a tenant of theirs."""

    def known(count: int, channel_id: str = "msteams", **account) -> list[str]:
        users = [new_user() for _ in range(count)]
        for user in users:
            told_of = {
                "tenantId": new_tenant(),
                "conversation": {"id": f"a:{user}"},
                "preferences": {"interests": [topic]},
                **account,
            }
            app.remember(channel_id, user, **told_of)
        return users

    return known


def test_an_alert_reaches_who_is_interested_in_their_language_and_nobody_else(app, topic, readers):
    english = readers(2, locale="en-GB", name="Alex")
    german = readers(2, locale="de-AT", name="Mia")
    readers(1, preferences={"interests": ["something else"]})
    stopped = readers(1, preferences={"interests": [topic], "muted": True})
    readers(1, preferences={"interests": [topic], "mutedTopics": [topic.upper()]})
    readers(1, installed=False)

    alert_id = send_alert(
        app,
        audience={"interests": [topic.upper()]},
        topic=topic,
        activities={"en": {"text": "Hello ${name}"}, "de": {"text": "Hallo ${name}"}},
    )
    ended = wait_for_end(app, alert_id)

    assert told(app.calls) == Counter(
        [(f"a:{user}", "Hello Alex") for user in english]
        + [(f"a:{user}", "Hallo Mia") for user in german]
    )
    assert counts(ended) == {"sent": 4, "suppressed": 3}
    assert (ended["status"], ended["total"], ended["topic"]) == ("done", 7, topic)
    [muted] = [
        each
        for each in deliveries(app, alert_id, status="suppressed")
        if each["recipient"]["userId"] == stopped[0]
    ]
    assert (muted["code"], muted["detail"]) == ("Suppressed", "The person wants no alerts")


def test_recipients_are_reached_by_either_id_once_and_started_with_where_need_be(app, user):
    object_id = str(uuid4())
    app.remember(
        "msteams", user, aadObjectId=object_id, name="Alex", conversation={"id": f"a:{user}"}
    )
    other_id, stranger = str(uuid4()), new_user()
    app.remember("msteams", f"{user}-2", aadObjectId=other_id, name="Mia")

    alert_id = send_alert(
        app,
        recipients=[
            {"channelId": "msteams", "userId": each}
            for each in (object_id, user, object_id.upper(), other_id, stranger)
        ],
        activity={"text": "Hello ${name}"},
        topicName="News",
    )
    ended = wait_for_end(app, alert_id)

    assert counts(ended) == {"sent": 3}
    assert ended["total"] == 3
    started = [call.json for call in app.calls if is_start(call)]
    assert sorted(each["members"][0]["id"] for each in started) == sorted([f"{user}-2", stranger])
    assert {each["topicName"] for each in started} == {"News"}
    sent = Counter(call.json["text"] for call in app.calls if is_send(call))
    assert sent == {"Hello Alex": 1, "Hello Mia": 1, "Hello ": 1}


def test_an_alert_comes_from_the_queue_too(app, topic, readers):
    [user] = readers(1)
    alert_id = f"queued-{uuid4().hex}"
    body = {"audience": {"interests": [topic]}, "activity": {"text": "News"}, "id": alert_id}

    app.enqueue("send-alert", body)
    until(lambda: app.get(path_of(alert_id)).status == 200)
    ended = wait_for_end(app, alert_id)
    app.enqueue("send-alert", body)
    app.settle()

    assert counts(ended) == {"sent": 1}
    assert told(app.calls) == {(f"a:{user}", "News"): 1}


def test_a_dry_run_counts_by_channel_and_locale_and_sends_nothing(app, topic, readers):
    readers(2, locale="de-AT")
    readers(1, "slack")
    readers(1, preferences={"interests": [topic], "muted": True})
    rows = app.storage.rows()

    answer = app.post(
        "/api/alerts",
        {"audience": {"interests": [topic]}, "activity": {"text": "News"}, "dryRun": True},
    )

    assert (answer.status, answer.json()) == (
        200,
        {
            "total": 3,
            "suppressed": 1,
            "isEstimate": False,
            "byChannel": {"msteams": 2, "slack": 1},
            "byLocale": {"de-AT": 2, "en": 1},
        },
    )
    app.settle()
    assert app.calls == []
    assert app.storage.rows() == rows


def test_the_same_alert_is_sent_once_and_another_with_its_id_is_refused(app, topic, readers):
    readers(1)
    alert_id = f"x-{topic}"
    alert = {"id": alert_id, "audience": {"interests": [topic]}, "activity": {"text": "News"}}

    answers = [app.post("/api/alerts", alert) for _ in range(3)]
    wait_for_end(app, alert_id)
    answers.append(app.post("/api/alerts", alert))
    other = app.post("/api/alerts", {**alert, "activity": {"text": "Other"}})

    assert [answer.status for answer in answers] == [202] * 4
    assert {answer.json()["id"] for answer in answers} == {alert_id}
    assert (other.status, other.json()["code"]) == (409, "AlertExists")
    assert len(app.calls) == 1


def test_what_is_scheduled_waits_and_can_be_cancelled_before(app, topic, readers):
    readers(1)
    send_at = datetime.now(UTC) + timedelta(days=20)
    alert_id = send_alert(
        app,
        audience={"interests": [topic]},
        activity={"text": "News"},
        sendAt=send_at.isoformat(),
    )

    assert progress(app, alert_id)["status"] == "scheduled"
    cancelled = act(app, "POST", path_of(alert_id, "cancel"))

    assert (cancelled.status, cancelled.json()["status"]) == (200, "cancelled")
    assert "endedAt" in cancelled.json()
    edited = act(app, "PUT", path_of(alert_id, "activity"), {"text": "Late"})
    assert edited.status == 202
    assert wait_for_end(app, alert_id)["status"] == "cancelled"
    assert app.calls == []
    # What is hidden until then is in nobody's way.
    app.storage.empty("send-alert")


def test_an_alert_is_sent_when_its_time_comes(app, topic, readers):
    [user] = readers(1)
    send_at = datetime.now(UTC) + timedelta(seconds=3)

    alert_id = send_alert(
        app,
        audience={"interests": [topic]},
        activity={"text": "News"},
        sendAt=send_at.isoformat(),
    )
    wait_for_end(app, alert_id)

    assert told(app.calls) == {(f"a:{user}", "News"): 1}
    sent_at = datetime.fromisoformat(deliveries(app, alert_id)[0]["updatedAt"])
    assert sent_at > send_at


def test_retry_touches_only_what_failed(app, connector, topic, readers):
    users = readers(5)
    broken = {f"a:{user}" for user in users[:2]}
    connector.fail(
        400, "BadSyntax", times=2, when=lambda call: call.json["conversation"]["id"] in broken
    )
    alert_id = send_alert(app, audience={"interests": [topic]}, activity={"text": "News"})
    assert counts(wait_for_end(app, alert_id)) == {"sent": 3, "permanent-failure": 2}
    failed = deliveries(app, alert_id, status="permanent-failure")
    assert {each["recipient"]["userId"] for each in failed} == {*users[:2]}
    assert {each["code"] for each in failed} == {"BadSyntax"}
    before = len(app.calls)

    retried = act(app, "POST", path_of(alert_id, "retry"))

    assert (retried.status, retried.json()["status"]) == (202, "sending")
    assert counts(wait_for_end(app, alert_id)) == {"sent": 5}
    assert {call.json["conversation"]["id"] for call in app.calls[before:]} == broken
    assert len(app.calls) == 7
    app.storage.take_poison("send-activity")


def test_an_edit_reaches_all_to_whom_it_was_delivered_and_the_last_one_wins(app, topic, readers):
    users = readers(4, name="Alex")
    alert_id = send_alert(app, audience={"interests": [topic]}, activity={"text": "Hi"})
    wait_for_end(app, alert_id)
    sent = {each["activityId"]: each["conversationId"] for each in deliveries(app, alert_id)}

    first = act(app, "PUT", path_of(alert_id, "activity"), {"text": "First ${name}"})
    second = act(
        app,
        "PUT",
        path_of(alert_id, "activity"),
        {"activities": {"en": {"text": "Last ${name}, ${when}"}}, "data": {"when": "today"}},
    )

    assert (first.status, second.status) == (202, 202)
    assert second.json()["version"] == 3
    ended = wait_for_end(app, alert_id)
    assert (ended["current"], counts(ended)) == (4, {"sent": 4})
    last = {}
    for call in app.calls:
        if call.method == "PUT":
            assert call.json["id"] == call.path.rpartition("/")[2]
            last[call.json["id"]] = (call.json["conversation"]["id"], call.json["text"])
    assert last == {
        activity: (conversation, "Last Alex, today") for activity, conversation in sent.items()
    }
    assert {conversation for conversation, _ in last.values()} == {f"a:{user}" for user in users}


def test_a_recall_deletes_each_delivered_message_once(app, topic, readers):
    readers(4)
    alert_id = send_alert(app, audience={"interests": [topic]}, activity={"text": "Hi"})
    wait_for_end(app, alert_id)
    sent = deliveries(app, alert_id)

    recalls = [act(app, "DELETE", path_of(alert_id)) for _ in range(2)]

    assert {(each.status, each.json()["status"]) for each in recalls} == {(202, "recalled")}
    ended = wait_for_end(app, alert_id)
    assert (ended["recalled"], counts(ended)) == (4, {"sent": 4})
    deleted = Counter(call.path.rpartition("/")[2] for call in app.calls if call.method == "DELETE")
    assert deleted == Counter(each["activityId"] for each in sent)
    assert all(each["recalled"] for each in deliveries(app, alert_id))
    refused = act(app, "PUT", path_of(alert_id, "activity"), {"text": "Late"})
    assert (refused.status, refused.json()["code"]) == (409, "AlertOver")


def test_what_cannot_be_edited_says_so_and_holds_up_nothing(app, connector, topic, readers):
    readers(2)
    alert_id = send_alert(app, audience={"interests": [topic]}, activity={"text": "Hi"})
    wait_for_end(app, alert_id)
    connector.fail(405, "MethodNotAllowed", when=lambda call: call.method == "PUT")

    act(app, "PUT", path_of(alert_id, "activity"), {"text": "Edited"})

    assert wait_for_end(app, alert_id)["current"] == 1
    [poisoned] = app.storage.take_poison("update-activity")
    assert poisoned["failure"]["code"] == "ActivityChangeNotSupported"
    act(app, "POST", path_of(alert_id, "retry"))
    assert wait_for_end(app, alert_id)["current"] == 2


def test_an_alert_that_nobody_knows_is_not_found(app):
    for method, *parts in [
        ("GET",),
        ("GET", "deliveries"),
        ("POST", "cancel"),
        ("POST", "retry"),
        ("DELETE",),
    ]:
        answer = act(app, method, path_of("nothing", *parts))
        assert (answer.status, answer.json()["code"]) == (404, "UnknownAlert")
    answer = act(app, "PUT", path_of("nothing", "activity"), {"text": "x"})
    assert answer.status == 404


HOSTILE = {
    "quotes": 'He said "no", \\"no\\" and \'no\'',
    "braces": "{}}{ ${topic} ${unknown} {{x}} \\${y}",
    "newlines": "one\ntwo\r\nthree\u2028four\x00five",
    "markup": "<b>**bold**</b> <at>you</at> &amp; [x](javascript:alert(1))",
    "long": "0123456789" * 1024,
    "emoji": "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f3f3\ufe0f\u200d\U0001f308 \ud83d",
}


def test_a_value_comes_out_as_the_text_that_it_is(app, topic, readers):
    # Half of a surrogate pair is in no name.
    names = {kind: value[:1000].replace("\ud83d", "") for kind, value in HOSTILE.items()}
    users = {readers(1, name=name)[0]: name for name in names.values()}
    blocks = [
        {"type": "TextBlock", "text": f"${{deep.{kind}.0}}", "${name}": kind} for kind in names
    ]
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "content": {"type": "AdaptiveCard", "body": blocks},
    }
    values = "|".join(f"${{{kind}}}|${{data.{kind}}}" for kind in names)

    alert_id = send_alert(
        app,
        audience={"interests": [topic]},
        topic=topic,
        activity={
            "text": f"${{name}}|${{topic}}|\\${{name}}|{values}",
            "attachments": [attachment],
        },
        data={
            **HOSTILE,
            "deep": {kind: [value] for kind, value in HOSTILE.items()},
            "name": "not the person's",
        },
    )
    assert counts(wait_for_end(app, alert_id)) == {"sent": len(users)}

    twice = "|".join(f"{value}|{value}" for value in HOSTILE.values())
    said = {call.json["conversation"]["id"]: call.json for call in app.calls}
    assert {each: activity["text"] for each, activity in said.items()} == {
        f"a:{user}": f"{name}|{topic}|${{name}}|{twice}" for user, name in users.items()
    }
    for activity in said.values():
        assert activity["attachments"][0]["content"]["body"] == [
            {"type": "TextBlock", "text": value, "${name}": kind} for kind, value in HOSTILE.items()
        ]
        assert activity["summary"]
