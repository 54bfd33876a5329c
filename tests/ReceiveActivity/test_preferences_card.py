"""The card on which topics are ticked, and what is saved of it."""

from typing import Any

import pytest

from ReceiveActivity.preferences_card import Choices, card_activity, has_card, read_choices
from tests.ReceiveActivity.activities import inbound, read

OFFERED = ("Ferries", "Deep sea, whales")
Json = dict[str, Any]


def drawn(preferences: Json, channel_id: str = "msteams") -> Json:
    activity = card_activity(preferences, OFFERED, channel_id, "card-1", "en")
    card: Json = activity["attachments"][0]["content"]
    return card


def element(card: Json, type_: str) -> Json:
    found: list[Json] = [each for each in card["body"] if each["type"] == type_]
    return found[0]


def ticked(card: Json) -> list[str]:
    choices = element(card, "Input.ChoiceSet")
    return [
        each["title"] for each in choices["choices"] if each["value"] in choices["value"].split(",")
    ]


def saved(card: Json, *topics: str, stopped: Any = "false", **changes: Any) -> Choices | None:
    """Tick these topics and no others, as a client does, and save."""
    choices = element(card, "Input.ChoiceSet")["choices"]
    values = [each["value"] for each in choices if each["title"] in topics]
    action = element(card, "ActionSet")["actions"][0]
    data = {**action["data"], "topics": ",".join(values), "stopped": stopped}
    if not values:
        # Nothing is brought back of an input without a value.
        del data["topics"]
    value = {"action": {"type": action["type"], "verb": action.get("verb"), "data": data}}
    told = {"type": "invoke", "text": None, "value": value, **changes}
    return read_choices(read(inbound("http://127.0.0.1:9/", "29:user", **told)), OFFERED)


def after(before: Json, *topics: str, now: Json | None = None, stopped: bool = False) -> Json:
    """The preferences once the card was drawn, changed otherwise, and saved with these topics."""
    choices = saved(drawn(before), *topics, stopped=str(stopped).lower())
    assert choices is not None
    return choices.applied_to(before if now is None else now)


def test_the_card_has_what_is_offered_and_what_is_followed_as_the_channel_can_have_it():
    for channel_id, version, kind in [
        ("msteams", "1.4", "Action.Execute"),
        ("webchat", "1.3", "Action.Submit"),
        ("directline", "1.3", "Action.Submit"),
    ]:
        card = drawn({"interests": ["Rain", "FERRIES!"], "muted": True}, channel_id)

        titles = [each["title"] for each in element(card, "Input.ChoiceSet")["choices"]]
        assert titles == ["Ferries", "Deep sea, whales", "Rain"]
        assert ticked(card) == ["Ferries", "Rain"]
        assert element(card, "Input.Toggle")["value"] == "true"
        [action] = element(card, "ActionSet")["actions"]
        assert (card["version"], action["type"]) == (version, kind)
        if kind == "Action.Execute":
            assert action["verb"]
            assert action["fallback"]["type"] == "Action.Submit"
            assert action["fallback"]["data"] == action["data"]
    for channel_id in ("slack", "telegram", "sms", "email", "skype"):
        assert not has_card(channel_id)


def test_without_any_topic_alerts_can_still_be_stopped():
    activity = card_activity({}, (), "msteams", "card-1", "de")

    body = activity["attachments"][0]["content"]["body"]
    assert [each["type"] for each in body] == ["TextBlock", "Input.Toggle", "ActionSet"]
    assert "Sie folgen noch keinem Thema" in body[0]["text"]


def test_muted_topics_are_told_as_plain_text():
    [muted] = element(drawn({"mutedTopics": ["**x** {{DATE(2026)}}"]}), "RichTextBlock")["inlines"]

    assert "**x** {\u2060{DATE(2026)}}" in muted["text"]


def test_a_card_with_very_much_on_it_is_not_too_large():
    topics = [f"{number}".ljust(1024, "x") for number in range(500)]

    activity = card_activity({"interests": topics}, OFFERED, "msteams", "card-1", "en")

    assert len(str(activity).encode("utf-16-le")) < 80 * 1024


@pytest.mark.parametrize(
    ("before", "topics", "expected"),
    [
        ({}, ["Deep sea, whales"], {"interests": ["Deep sea, whales"]}),
        ({"interests": ["Rain"]}, ["Rain", "Ferries"], {"interests": ["Rain", "Ferries"]}),
        ({"interests": ["ferries", "Rain"]}, ["Ferries"], {"interests": ["ferries"]}),
        ({"interests": ["Rain"]}, [], {}),
        # A mute is for whoever wrote it to take back, and so is what other systems keep there.
        (
            {"mutedTopics": ["Ferries"], "muted": False, "colour": "red"},
            ["Ferries"],
            {
                "interests": ["Ferries"],
                "mutedTopics": ["Ferries"],
                "muted": False,
                "colour": "red",
            },
        ),
    ],
)
def test_what_was_ticked_or_unticked_is_saved(before: Json, topics: list[str], expected: Json):
    assert after(before, *topics) == expected


def test_what_is_unticked_and_a_stop_are_saved_where_there_is_no_room_for_what_is_ticked():
    many = [f"{number:0100}" for number in range(160)]

    saved = after({"interests": ["Rain", *many]}, *many, "Ferries", stopped=True)

    assert saved == {"interests": many, "muted": True}


def test_what_was_not_touched_on_an_old_card_stays_as_it_is_by_then():
    assert after({}, "Ferries", now={"interests": ["Fog"], "muted": True}) == {
        "interests": ["Fog", "Ferries"],
        "muted": True,
    }
    followed = {"interests": ["Ferries", "Rain"]}
    assert after(followed, "Ferries", "Rain", now={"interests": ["Rain"]}) == {
        "interests": ["Rain"]
    }
    # What is offered no more, and not followed, has no name any more.
    gone = saved(drawn({}), "Ferries")
    assert gone is not None
    assert Choices(ticked=gone.ticked, offered=("Rain",)).applied_to({}) == {}


def test_alerts_are_stopped_or_started_where_that_was_switched():
    for before, stopped, expected in [
        ({}, True, {"muted": True}),
        ({"muted": True}, False, {"muted": False}),
        ({"muted": True}, True, {"muted": True}),
        ({}, False, {}),
    ]:
        assert after(before, stopped=stopped) == expected
    assert after({}, stopped=False, now={"muted": True}) == {"muted": True}


def test_a_click_that_lost_what_was_put_in_changes_nothing():
    card = drawn({"interests": ["Rain"]})
    data = element(card, "ActionSet")["actions"][0]["data"]

    choices = saved(card, value={"action": {"data": data}})

    assert choices is not None
    assert choices.applied_to({"interests": ["Rain"]}) == {"interests": ["Rain"]}


def test_it_is_saved_as_clients_bring_it_and_in_ones_own_chat_alone():
    card = drawn({})
    expected = saved(card, "Ferries", stopped="true")
    data = element(card, "ActionSet")["actions"][0]["data"]
    [key] = expected.ticked if expected else []
    inputs = {**data, "topics": key, "stopped": "true"}

    assert expected == saved(card, type="message", value=inputs)
    assert expected == saved(card, type="message", value=inputs, text="Save")
    assert expected == saved(card, value={"action": {"data": {**inputs, "stopped": True}}})
    assert expected == saved(card, value={"action": {"data": {**inputs, "topics": [key]}}})
    group = {"id": "19:g@thread.v2", "conversationType": "groupChat"}
    assert saved(card, "Ferries", conversation=group) is None
    others: list[Any] = [None, "_preferences", [], {"_preferences": []}, {"action": {"data": "x"}}]
    for value in others:
        assert saved(card, value=value) is None
