"""What people can write to the bot about alerts."""

from typing import Any

from ReceiveActivity.commands import HELLO, Command, read_command
from ReceiveActivity.texts import _TEXTS, reply


def test_a_command_is_read_whatever_its_case_and_everything_else_is_none():
    for text, command in {
        "  STOP \n": Command("stop"),
        "start": Command("start"),
        "interests": Command("interests"),
        "Follow  deep sea\nfishing": Command("follow", "deep sea fishing"),
        "unfollow Lighthouses": Command("unfollow", "Lighthouses"),
        "mute " + "x" * 200: Command("mute", "x" * 200),
        "": None,
        "Hi!": HELLO,
        "Hallo": HELLO,
        "/help": Command("help"),
        "help me": None,
        "stop it, please": None,
        "follow": None,
        "mute ": None,
        "stopwatch": None,
        "please stop": None,
        "follow " + "x" * 201: None,
        "Unmute Rain.": Command("unmute", "Rain"),
        "mute \u201cyahoo\u201d": Command("mute", "Yahoo!"),
        # So long that no pattern may begin anew at each mark.
        "a" + "!" * 300_000 + "a": None,
        "mute a" + "." * 300_000 + "a": None,
        "!" * 300_000 + "stop" + "\u2057" * 300_000: Command("stop"),
    }.items():
        assert read_command(text, ["Rain", "Yahoo!"]) == command, text[:20]


def test_a_command_changes_its_part_of_the_preferences():
    cases: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
        ("stop", "", {"interests": ["Rain"]}, {"interests": ["Rain"], "muted": True}),
        ("start", "", {"muted": True}, {"muted": False}),
        (
            "follow",
            "Rain",
            {"interests": ["rain", "Fog"], "mutedTopics": ["RAIN", "Snow"]},
            {"interests": ["rain", "Fog"], "mutedTopics": ["Snow"]},
        ),
        ("unfollow", "RAIN", {"interests": ["Rain"]}, {}),
        ("mute", "rain", {"mutedTopics": ["Rain", "Snow"]}, {"mutedTopics": ["Rain", "Snow"]}),
        ("mute", "x", {"interests": ["X?"]}, {"interests": ["X?"], "mutedTopics": ["X?"]}),
        ("unfollow", "x", {"interests": ["Rain", "X?"]}, {"interests": ["Rain"]}),
        ("unmute", "RAIN", {"mutedTopics": ["Rain", "Snow"]}, {"mutedTopics": ["Snow"]}),
        ("interests", "", {"interests": ["Rain"]}, {"interests": ["Rain"]}),
    ]
    for verb, topic, before, after in cases:
        assert Command(verb, topic).applied_to(before) == after, verb


def test_a_confirmation_is_in_the_language_of_the_person_or_the_default_one():
    german = reply(Command("stop"), {}, (), "de-AT", "en")
    english = reply(Command("start"), {}, (), "fi", "en")

    assert (german["locale"], english["locale"]) == ("de", "en")
    assert "keine Meldungen" in german["text"]
    assert [action["value"] for action in german["suggestedActions"]["actions"]] == ["start"]


def test_interests_come_with_at_most_three_buttons_to_unfollow_them():
    topics = ["Rain", "Snow", "Hail", "Fog"]

    activity = reply(Command("interests"), {"interests": topics}, (), "en")

    assert activity["text"] == "You follow: Rain, Snow, Hail, Fog."
    assert [action["value"] for action in activity["suggestedActions"]["actions"]] == [
        "unfollow Rain",
        "unfollow Snow",
        "unfollow Hail",
    ]
    without = reply(Command("interests"), {}, (), "en")
    assert "no topic yet" in without["text"]


def test_a_topic_is_only_text():
    activity = reply(Command("follow", "{topics}{0} *x*"), {}, (), "en")

    assert activity["text"] == "You follow {topics}{0} *x*."
    assert activity["textFormat"] == "plain"


def test_every_language_has_every_text():
    assert len({frozenset(texts) for texts in _TEXTS.values()}) == 1
