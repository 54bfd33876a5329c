"""What people wrote, as each channel hands it over, and what of it is a command.

The forms are those of the channels' documentation and of public reports: see the module.
"""

from typing import Any

import pytest

from ReceiveActivity.commands import Command, read_command
from ReceiveActivity.written_text import written_text
from tests.ReceiveActivity.activities import inbound, read

TEAMS_BOT = {"id": "28:bot", "name": "Notify"}
BOTS: dict[str, dict[str, str]] = {
    "slack": {"id": "B33:T22", "name": "notify"},
    "telegram": {"id": "notify_bot", "name": "Notify"},
    "email": {"id": "notify@example.com", "name": "Notify"},
    "sms": {"id": "+15550100"},
    "facebook": {"id": "1234"},
}
CALLED = {"type": "mention", "mentioned": TEAMS_BOT, "text": "<at>Notify</at>"}
WITHOUT_TEXT = {"type": "mention", "mentioned": TEAMS_BOT}
OF_SKYPE = {**WITHOUT_TEXT, "text": '<at id="28:bot">Notify</at>'}
ON_SLACK = {"type": "mention", "mentioned": BOTS["slack"], "text": "@notify"}
ALWAYS_ON_TELEGRAM = {"type": "mention", "mentioned": BOTS["telegram"], "text": ""}
BOB = {"type": "mention", "mentioned": {"id": "29:bob", "name": "Bob"}, "text": "<at>Bob</at>"}
OUTLOOK = (
    "<html><head><style>p { margin: 0 }</style></head><body><div>Stop.</div>"
    "<div>Robin Vale</div><hr><div><b>From:</b> Notify</div></body></html>"
)


def written(channel_id: str, text: str, entities: list[dict[str, Any]]) -> str:
    bot = BOTS.get(channel_id, TEAMS_BOT)
    told = {"channelId": channel_id, "recipient": bot, "text": text, "entities": entities}
    return written_text(read(inbound("https://smba.trafficmanager.net/amer/", "29:a", **told)))


@pytest.mark.parametrize(
    ("channel_id", "text", "entities"),
    [
        ("msteams", "stop", []),
        ("msteams", "STOP", []),
        ("msteams", "<at>Notify</at> stop\n", [CALLED]),
        ("msteams", "\r\n<at>Notify</at>&nbsp;Stop\r\n", [CALLED]),
        ("msteams", '<at id="0">Notify Bot</at> stop', []),
        ("msteams", "<div><at>Notify</at>&nbsp;stop</div>", [CALLED]),
        ("msteams", "<p>stop</p>\n<p>&nbsp;</p>", []),
        ("msteams", '<quoted messageId="17"/>stop', []),
        ("msteams", "<blockquote>An alert</blockquote><p>stop</p>", []),
        ("msteams", "stop <at>Notify</at>", [CALLED]),
        ("msteams", "Notify stop", [WITHOUT_TEXT]),
        ("msteams", "\u200bstop\u00a0\ufeff", []),
        ("msteams", "st\u00adop", []),
        ("skype", "Notify  stop", [OF_SKYPE]),
        ("slack", "@notify stop", [ON_SLACK]),
        ("slack", "<@U0BOT> stop", []),
        ("slack", "<@U0BOT|notify>: *stop*", []),
        ("slack", "`stop`", []),
        ("slack", "stop\n&gt; An alert", []),
        ("telegram", "/stop", [ALWAYS_ON_TELEGRAM]),
        ("telegram", "/stop@notify_bot", []),
        ("telegram", "/STOP@Notify_Bot", [ALWAYS_ON_TELEGRAM]),
        ("telegram", "@notify_bot stop", []),
        ("email", "stop\r\n\r\n-- \r\nRobin Vale\r\nVale & Sons", []),
        ("email", "\n  Stop!\n\nSent from my phone\n\nOn Monday, Notify wrote:\n> An alert", []),
        ("email", OUTLOOK, []),
        ("sms", "Stop.", []),
        ("sms", "STOP!!!", []),
        ("sms", "\u201cstop\u201d", []),
        ("facebook", "stop \U0001f64f", []),
        ("webchat", "**stop**", []),
        ("directline", "stop\u2026\n\n", []),
        ("line", "\uff33\uff34\uff2f\uff30\uff01", []),
        ("line", "stop\u3002", []),
        ("webchat", "- stop", []),
    ],
)
def test_stop_is_heard_however_it_is_written(channel_id, text, entities):
    assert read_command(written(channel_id, text, entities)) == Command("stop")


@pytest.mark.parametrize(
    ("channel_id", "text", "entities"),
    [
        ("msteams", "please stop", []),
        ("msteams", "stop it", []),
        ("msteams", "Stop, look and listen", []),
        ("msteams", "don't stop", []),
        ("msteams", "bus stop", []),
        ("msteams", "non-stop", []),
        ("msteams", "stopwatch", []),
        ("msteams", "unstop", []),
        ("msteams", "stop5", []),
        ("msteams", "stop 5 minutes", []),
        ("msteams", "stop.it", []),
        ("msteams", "start/stop", []),
        ("msteams", "stop stop", []),
        ("msteams", "s t o p", []),
        ("msteams", "stop\nthe press", []),
        ("msteams", "https://example.com/stop", []),
        ("msteams", "<at>Bob</at> stop", [BOB]),
        ("msteams", "<at>Notify</at> <at>Bob</at> stop", [CALLED, BOB]),
        ("msteams", "<at>Notify</at> does stop work?", [CALLED]),
        ("msteams", "@Bob stop", []),
        ("msteams", "<blockquote>stop</blockquote>why?", []),
        ("msteams", "What does \u201cstop\u201d do?", []),
        ("slack", "> stop", []),
        ("slack", "&gt; stop", []),
        ("slack", "<https://example.com/stop>", []),
        ("slack", "does <https://example.com|stop> work", []),
        ("telegram", "/stop@another_bot", [ALWAYS_ON_TELEGRAM]),
        ("telegram", "/stopwatch", []),
        ("telegram", "/stop now", []),
        ("email", "Dear team,\nstop", []),
        ("email", "On Monday, Notify wrote:\n> stop", []),
        ("email", "Out of office\n\nstop", []),
        ("sms", "Stop at 5th Avenue", []),
    ],
)
def test_what_only_has_the_word_stop_in_it_is_none(channel_id, text, entities):
    assert read_command(written(channel_id, text, entities)) is None


@pytest.mark.parametrize(
    ("channel_id", "text", "command"),
    [
        ("msteams", "\u0130NTERESTS", Command("interests")),
        ("msteams", "\u0131nterests", Command("interests")),
        ("msteams", "/mute deep\u00a0 sea.", Command("mute", "deep sea")),
        ("msteams", "follow: C++", Command("follow", "C++")),
        ("msteams", "follow R&amp;D!", Command("follow", "R&D")),
        ("telegram", "/mute@notify_bot Rain", Command("mute", "Rain")),
        ("slack", "*mute <#C1|general>*", Command("mute", "general")),
        ("email", "unfollow Rain\n-- \nRobin", Command("unfollow", "Rain")),
        # A bot may be called as a command is.
        ("msteams", "Notify", None),
    ],
)
def test_other_commands_are_read_alike_and_a_topic_stays_as_it_is(channel_id, text, command):
    assert read_command(written(channel_id, text, [])) == command


def test_what_stands_for_a_mention_is_not_taken_for_another_one():
    mentions = [{**BOB, "text": text} for text in ("@", "o", "b", " ") * 6]

    assert written("directline", "@bob", mentions) == "@@@b@o@b"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Stop", "stop"),
        # What the bot's username is on Telegram is not known here.
        ("Notify", "/stop@notify_bot"),
    ],
)
def test_stop_is_heard_by_a_bot_of_any_name(name, text):
    bot = {"id": "4711", "name": name}
    told = inbound("https://smba.trafficmanager.net/amer/", "29:a", recipient=bot, text=text)

    entities = [{"type": "mention", "mentioned": bot}]
    assert read_command(written_text(read({**told, "entities": entities}))) == Command("stop")
