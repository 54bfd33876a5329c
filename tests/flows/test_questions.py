"""An alert that asks something, as people of each channel get it."""

import json
from collections.abc import Iterator
from uuid import uuid4

import pytest

from shared.wire_models import ADAPTIVE_CARD
from tests.flows.alerts import act, path_of, send_alert, wait_for_end
from tests.flows.listening_app import ListeningApp, listening_app
from tests.flows.people import message
from tests.flows.running_app import new_user
from tests.ReceiveActivity.activities import BOT, TENANT_ID
from tests.support.connector import conversation_of, is_send

HERO_CARD = "application/vnd.microsoft.card.hero"
ANSWERS = {
    "options": [
        {"id": "yes", "titles": {"en": "I take it", "de": "Ich übernehme"}},
        {"id": "no", "titles": {"en": "Not me", "de": "Ich nicht"}},
    ],
    "mode": "each",
}


@pytest.fixture(scope="module")
def module_app(folder, storage, connector, identity) -> Iterator[ListeningApp]:
    with listening_app(folder, storage, connector, identity) as app:
        yield app


@pytest.fixture
def people(app, user):
    """Somebody on each of four channels, and somebody who reads German; returns recipients."""
    people = {"msteams": {}, "webchat": {}, "slack": {"locale": "de-AT"}, "sms": {}}
    for channel_id, account in people.items():
        conversation = {"id": f"{channel_id}-{user}"}
        app.remember(channel_id, user, conversation=conversation, **account)
    return [{"channelId": channel_id, "userId": user} for channel_id in people]


def told(app, user):
    """What the last call said on each channel, without what every activity has."""
    said = {}
    for call in app.calls:
        channel_id = (conversation_of(call) or "").removesuffix(f"-{user}")
        said[channel_id] = {
            name: each
            for name, each in call.json.items()
            if name in ("text", "summary", "attachments")
        }
    return said


def titles(attachment):
    content = attachment["content"]
    if attachment["contentType"] == HERO_CARD:
        return [(each["type"], each["title"]) for each in content["buttons"]]
    assert attachment["contentType"] == ADAPTIVE_CARD
    return [(each["type"], each["title"]) for each in content["body"][-1]["actions"]]


def test_each_channel_gets_the_buttons_that_it_has_also_with_an_edit(app, people, user):
    alert_id = send_alert(app, recipients=people, activity={"text": "Disk full"}, answers=ANSWERS)
    wait_for_end(app, alert_id)

    assert all(is_send(call) for call in app.calls)
    said = told(app, user)
    assert said["sms"] == {"text": "Disk full", "summary": "Disk full"}
    assert {each: titles(said[each]["attachments"][0]) for each in said if each != "sms"} == {
        "msteams": [("Action.Execute", "I take it"), ("Action.Execute", "Not me")],
        "webchat": [("Action.Submit", "I take it"), ("Action.Submit", "Not me")],
        "slack": [("postBack", "Ich übernehme"), ("postBack", "Ich nicht")],
    }
    assert [said[each]["summary"] for each in ("msteams", "slack")] == ["Disk full"] * 2
    assert not [each for each in said if each != "sms" and "text" in said[each]]

    edited = act(app, "PUT", path_of(alert_id, "activity"), {"text": "Disk nearly full"})
    app.settle()

    assert edited.status == 202
    again = told(app, user)
    hero = again["slack"]["attachments"][0]["content"]
    assert hero.pop("text") == "Disk nearly full"
    assert hero == {"buttons": said["slack"]["attachments"][0]["content"]["buttons"]}
    before, after = (each["msteams"]["attachments"][0]["content"]["body"] for each in (said, again))
    assert (after[0]["text"], after[1]) == ("Disk nearly full", before[1])


def test_only_an_alert_that_has_room_for_buttons_asks_and_no_single_message_does(app, user):
    alert = {"audience": {}, "activity": {"attachments": [{"contentType": "image/png"}]}}
    answer = app.post("/api/alerts", {**alert, "answers": ANSWERS})
    message = {"recipient": {"channelId": "msteams", "userId": user}, "activity": {"text": "News"}}
    alert_id = f"queued-{uuid4().hex}"

    app.enqueue("send-activity", {**message, "answers": ANSWERS})
    app.enqueue("send-alert", {**alert, "id": alert_id, "answers": ANSWERS})
    app.settle()

    at = "activity.attachments[0].contentType"
    assert (answer.status, [each["field"] for each in answer.json()["errors"]]) == (400, [at])
    for queue, field in (("send-activity", "answers"), ("send-alert", at)):
        [poison] = app.storage.take_poison(queue)
        assert poison["failure"]["code"] == "InvalidRequest"
        assert field in poison["failure"]["detail"]
    assert app.calls == []


def cards(app):
    """The last card in each conversation: the data of its button, or who has taken it."""
    shown = {}
    for call in app.calls:
        [attachment] = call.json["attachments"]
        shown[conversation_of(call)] = taken_in(attachment["content"])
    return shown


def taken_in(card):
    last = card["body"][-1]
    if last["type"] == "ActionSet":
        return last["actions"][0]["data"]
    return last["inlines"][0]["text"]


def test_an_incident_is_taken_by_one_click_and_everybody_sees_who_it_was(app):
    topic, kim, alex = f"topic-{uuid4().hex}", new_user(), new_user()
    for user, name in ((kim, "Kim <b>"), (alex, "Alex")):
        app.remember(
            "msteams",
            user,
            name=name,
            tenantId=TENANT_ID,
            bot=BOT,
            serviceUrl=app.service_url,
            conversation={"id": f"a:{user}"},
            preferences={"interests": [topic]},
        )

    def say(status):
        event = {"key": topic, "status": status, "title": "Disk full", "topic": topic}
        body = json.dumps(event).encode()
        assert app.host.request("POST", "/api/events/generic?answers=take", body).status == 202
        app.settle()

    def click(user, name, data):
        action = {"type": "Action.Execute", "verb": "answer", "data": data}
        said = {
            "type": "invoke",
            "name": "adaptiveCard/action",
            "text": None,
            "value": {"action": action, "trigger": "manual"},
            "from": {"id": user, "name": name},
            "locale": "en",
        }
        answer = app.post_activity(
            message(app, user, **said), f"Bearer {app.forger().sign()}"
        ).json()
        assert answer["type"] == ADAPTIVE_CARD
        return taken_in(answer["value"])

    say("firing")
    asked = cards(app)
    clicked = click(kim, "Kim <b>", asked[f"a:{kim}"])
    late = click(alex, "Alex", asked[f"a:{alex}"])
    app.settle()
    seen = cards(app)
    say("resolved")
    over, last = cards(app), app.calls[-1].json["attachments"][0]["content"]["body"][0]
    [listed] = [
        each
        for each in app.get("/api/incidents?pageSize=1000").json()["incidents"]
        if each["key"] == topic
    ]

    by_kim = "Taken by Kim <b>"
    assert clicked == late == by_kim
    assert seen == over == {f"a:{kim}": by_kim, f"a:{alex}": by_kim}
    assert last["style"] == "good"
    assert listed["takenBy"] == {"channelId": "msteams", "userId": kim, "name": "Kim <b>"}
    assert listed["state"] == "resolved"
    assert sum(map(is_send, app.calls)) == 2
