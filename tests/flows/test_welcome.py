"""A person installs the bot, asks what it is for, and is told on the channel."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.flows.listening_app import ListeningApp, listening_app
from tests.flows.people import message, write
from tests.ReceiveActivity.activities import BOT


@pytest.fixture(scope="module")
def module_app(folder, storage, connector, identity) -> Iterator[ListeningApp]:
    with listening_app(
        folder, storage, connector, identity, AnswersPeople="true", Topics="Ferries, Lighthouses"
    ) as app:
        yield app


def texts(app: ListeningApp) -> list[str]:
    return [call.json["text"] for call in app.calls]


def test_an_install_that_is_told_in_every_way_at_once_is_welcomed_once(
    app: ListeningApp, user: str
):
    install: dict[str, Any] = {"type": "installationUpdate", "text": None}
    joined = {**install, "type": "conversationUpdate", "membersAdded": [BOT]}
    ways = [
        {**install, "action": "add"},
        joined,
        {**joined, "timestamp": "2026-01-01T10:00:00.500Z"},
        {**install, "action": "add", "timestamp": "2026-01-01T10:00:01Z"},
    ]

    with ThreadPoolExecutor(len(ways)) as connectors:
        list(connectors.map(lambda told: write(app, user, **told), ways))
    write(app, user, **install, action="upgrade", channelData=None)
    app.settle()

    [said] = texts(app)
    assert said.startswith("Hallo!")
    assert "Es gibt Meldungen zu: Ferries, Lighthouses." in said
    assert app.calls[0].json["conversation"] == {"id": f"a:{user}"}


def test_topics_are_ticked_on_a_card_that_shows_what_was_saved(app: ListeningApp, user: str):
    write(app, user, text="follow Rain", locale="en")
    write(app, user, id="2", text="interests", locale="en")
    app.settle()
    sent = next(call for call in app.calls if "attachments" in call.json)
    card = sent.json["attachments"][0]["content"]
    choices, _, actions = card["body"]
    ticked = [each["value"] for each in choices["choices"] if each["title"] != "Rain"]
    data = {**actions["actions"][0]["data"], "topics": ",".join(ticked), "stopped": "true"}
    clicked = {"verb": "savePreferences", "data": data}
    app.begin()

    invoke = {"type": "invoke", "name": "adaptiveCard/action", "value": {"action": clicked}}
    told = message(app, user, **invoke, id="f:3", timestamp="2026-01-01T10:01:00Z", locale="en")
    answers = [app.post_activity(told, f"Bearer {app.forger().sign()}") for _ in range(2)]
    app.settle()

    assert answers[0].body == answers[1].body
    answered = answers[0].json()
    assert (answered["statusCode"], answered["type"]) == (
        200,
        "application/vnd.microsoft.card.adaptive",
    )
    shown = answered["value"]["body"]
    assert (shown[0]["value"], shown[1]["value"]) == (",".join(ticked), "true")
    assert app.account("msteams", user)["preferences"] == {
        "interests": ["Ferries", "Lighthouses"],
        "muted": True,
    }
    # The person's other devices, and this one when it is opened again, show it too.
    [edited] = app.calls
    assert edited.method == "PUT"
    assert edited.json["attachments"][0]["content"] == answered["value"]

    # Older clients have Action.Submit, which comes as a message.
    app.begin()
    again = {**shown[-1]["actions"][0]["fallback"]["data"], "topics": "", "stopped": "true"}
    time = "2026-01-01T10:02:00Z"
    write(app, user, id="f:4", timestamp=time, text=None, value=again, locale="en")
    app.settle()
    said, edited = sorted(app.calls, key=lambda call: call.method)
    assert said.json["text"].startswith("Saved.\n")
    assert edited.json["attachments"][0]["content"]["body"][0]["value"] == ""


def test_what_is_saved_by_a_message_is_told_by_one(app: ListeningApp, user: str):
    chat: dict[str, Any] = {"channelId": "webchat", "channelData": None, "locale": "en"}
    write(app, user, **chat, text="interests")
    app.settle()
    [sent] = app.calls
    choices, _, actions = sent.json["attachments"][0]["content"]["body"]
    ferries = choices["choices"][0]["value"]
    value = {**actions["actions"][0]["data"], "topics": ferries, "stopped": "false"}
    app.begin()

    write(app, user, **chat, id="2", text=None, value=value)
    app.settle()

    assert texts(app) == ["Saved.\nYou follow: Ferries.\nThere is news on: Ferries, Lighthouses."]


def test_where_others_could_click_topics_are_listed(app: ListeningApp, user: str):
    write(app, user, text="hello", locale="en")
    group = {"id": f"19:{user}", "conversationType": "groupChat"}
    asked: dict[str, Any] = {"text": "interests", "conversation": group, "locale": "en"}
    mention = {"type": "mention", "text": "<at>Notify Bot</at>", "mentioned": BOT}
    app.settle()
    app.begin()

    # Where it is not mentioned, people talk with each other.
    write(app, user, **asked, id="2")
    write(app, user, **asked, id="3", entities=[mention])
    app.settle()

    [said] = texts(app)
    assert said.startswith("You follow no topic yet.")
