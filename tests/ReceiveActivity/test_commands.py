"""What people can write to the bot about alerts."""

import pytest

from ReceiveActivity.commands import Command, apply_command, read_command
from ReceiveActivity.texts import confirmation


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("stop", Command("stop")),
        ("  STOP \n", Command("stop")),
        ("start", Command("start")),
        ("interests", Command("interests")),
        ("follow Lighthouses", Command("follow", "Lighthouses")),
        ("Follow  deep sea fishing", Command("follow", "deep sea fishing")),
        ("unfollow Lighthouses", Command("unfollow", "Lighthouses")),
        ("mute Lighthouses", Command("mute", "Lighthouses")),
    ],
)
def test_a_command_is_read_whatever_its_case(text: str, command: Command):
    assert read_command(text) == command


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "stop it, please",
        "follow",
        "mute ",
        "stopwatch",
        "please stop",
        "follow " + "x" * 300,
    ],
)
def test_everything_else_is_no_command(text: str):
    assert read_command(text) is None


def test_stop_and_start_are_each_others_opposite():
    stopped = apply_command(Command("stop"), {"interests": ["Lighthouses"]})
    started = apply_command(Command("start"), stopped)

    assert stopped == {"interests": ["Lighthouses"], "muted": True}
    assert started == {"interests": ["Lighthouses"], "muted": False}


def test_following_a_topic_unmutes_it_and_names_it_once():
    preferences = {"interests": ["lighthouses"], "mutedTopics": ["LIGHTHOUSES", "Rain"]}

    wanted = apply_command(Command("follow", "Lighthouses"), preferences)

    assert wanted == {"interests": ["Lighthouses"], "mutedTopics": ["Rain"]}


def test_unfollowing_the_last_topic_leaves_nothing_behind():
    assert apply_command(Command("unfollow", "RAIN"), {"interests": ["Rain"]}) == {}


def test_muting_a_topic_keeps_the_others():
    assert apply_command(Command("mute", "Rain"), {"mutedTopics": ["Snow"]}) == {
        "mutedTopics": ["Snow", "Rain"]
    }


def test_a_confirmation_is_in_the_language_of_the_person():
    activity = confirmation(Command("stop"), {}, "de-AT", "en")

    assert activity["locale"] == "de"
    assert "keine Meldungen" in activity["text"]


def test_a_confirmation_in_a_language_that_we_do_not_speak_is_in_the_default_one():
    assert confirmation(Command("start"), {}, "fi", "en")["locale"] == "en"


def test_interests_come_with_at_most_three_buttons_to_unfollow_them():
    topics = ["Rain", "Snow", "Hail", "Fog"]

    activity = confirmation(Command("interests"), {"interests": topics}, "en")

    assert activity["text"] == "You follow: Rain, Snow, Hail, Fog."
    assert [action["value"] for action in activity["suggestedActions"]["actions"]] == [
        "unfollow Rain",
        "unfollow Snow",
        "unfollow Hail",
    ]


def test_a_topic_with_braces_is_only_text():
    activity = confirmation(Command("follow", "{topics}{0}"), {}, "en")

    assert activity["text"] == "You follow {topics}{0}."
