"""An incident that somebody takes, by a click on its card."""

import json
from uuid import uuid4

from shared.wire_models import ADAPTIVE_CARD
from tests.flows.people import message
from tests.flows.running_app import new_user
from tests.ReceiveActivity.activities import BOT, TENANT_ID
from tests.support.connector import conversation_of, is_send


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
