"""A person ticks topics on a card."""

from collections.abc import Iterator

import pytest

from tests.flows.listening_app import ListeningApp, listening_app
from tests.flows.people import message, write


@pytest.fixture(scope="module")
def module_app(folder, storage, connector, identity) -> Iterator[ListeningApp]:
    with listening_app(
        folder, storage, connector, identity, AnswersPeople="true", Topics="Ferries, Lighthouses"
    ) as app:
        yield app


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
