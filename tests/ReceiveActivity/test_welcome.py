"""Who is welcomed, how often, and who else is answered; on real storage."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from CacheAccount.service import cache_account
from local.azurite import Azurite
from ReceiveActivity.service import receive_activity
from shared.errors import StorageUnavailableError
from shared.wiring import Services
from tests.ReceiveActivity.activities import BOT, inbound, read
from tests.ReceiveActivity.keeping import SERVICE_URL
from tests.support.builders import QueueReader, settings

Told = dict[str, Any]

ADD: Told = {"type": "installationUpdate", "action": "add"}
# https://github.com/microsoft/teams.py/issues/579
UPGRADE: Told = {"type": "installationUpdate", "action": "upgrade", "channelData": None}
REMOVE: Told = {"type": "installationUpdate", "action": "remove"}
BOT_ADDED: Told = {"type": "conversationUpdate", "membersAdded": [BOT]}
USER_ADDED: Told = {"type": "conversationUpdate", "membersAdded": [{"id": "$USER"}]}
BARE_ID_ADDED: Told = {**BOT_ADDED, "membersAdded": [{"id": "bot"}], "channelData": None}
TEAM: Told = {
    "conversation": {"id": "19:t@thread.tacv2", "conversationType": "channel", "isGroup": True},
    "channelData": {"team": {"id": "19:t@thread.tacv2"}},
}
GROUP: Told = {"conversation": {"id": "19:g@thread.v2", "conversationType": "groupChat"}}
MEETING: Told = {"conversation": {"id": "19:meeting_m@thread.v2"}}
COPILOT: Told = {"channelData": {"productContext": "COPILOT"}}


def tell(services: Services, user_id: str, *activities: Told) -> None:
    """Post activities, each a minute after the other."""
    for minute, changes in enumerate(activities):
        time = f"2026-01-01T10:{minute:02}:00Z"
        activity = inbound(SERVICE_URL, user_id, id=f"{minute}", timestamp=time, text=None)
        # Installs have nobody's name.
        nameless = {} if "text" in changes else {"from": {"id": user_id}}
        told = json.dumps({**activity, **nameless, **changes}).replace("$USER", user_id)
        receive_activity(read(json.loads(told)), services)


def welcomes(queue: QueueReader) -> list[Any]:
    said = queue.take()
    assert all(each["_flow"]["isReply"] for each in said)
    return [each for each in said if each["activity"]["text"].startswith("Hallo! Ich melde mich")]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([ADD], 1),
        ([BOT_ADDED], 1),
        ([BARE_ID_ADDED], 1),
        ([ADD, BOT_ADDED], 1),
        ([BOT_ADDED, UPGRADE, ADD, BOT_ADDED], 1),
        # https://github.com/microsoft/botbuilder-js/issues/4377
        ([USER_ADDED, ADD, USER_ADDED, BOT_ADDED], 1),
        ([BOT_ADDED, USER_ADDED, ADD], 1),
        ([{**BOT_ADDED, "membersAdded": [BOT, {"id": "29:colleague"}]}, ADD], 1),
        ([{**ADD, **GROUP}, {**ADD, **TEAM}, ADD], 1),
        ([REMOVE, ADD], 1),
        ([ADD, REMOVE, ADD, BOT_ADDED], 2),
        # These are no installs.
        ([USER_ADDED], 0),
        ([UPGRADE, ADD], 0),
        ([{**UPGRADE, "action": "add-upgrade"}, BOT_ADDED], 0),
        ([{"text": "stop"}, ADD], 0),
        ([{**BOT_ADDED, "membersAdded": [{"id": "29:colleague"}]}], 0),
        ([{**ADD, **TEAM}, {**BOT_ADDED, **TEAM}], 0),
        ([{**ADD, **GROUP}, {**BOT_ADDED, **GROUP}], 0),
        ([{**ADD, **MEETING}], 0),
        ([{**ADD, **COPILOT}], 0),
    ],
)
def test_an_install_is_welcomed_once_however_often_it_is_told(
    services: Services, user: str, queue: QueueReader, told: list[Told], expected: int
):
    tell(services, user, *told)

    said = welcomes(queue)

    assert len(said) == len({each["_flow"]["id"] for each in said}) == expected
    assert {each["conversationId"] for each in said} <= {f"a:{user}"}


@pytest.mark.parametrize(("installed", "expected"), [(None, 1), (False, 1), (True, 0)])
def test_what_another_system_says_of_an_install_is_none(
    services: Services, user: str, queue: QueueReader, installed: bool | None, expected: int
):
    known = {"bot": BOT, "serviceUrl": SERVICE_URL, "observedAt": "2025-12-31T00:00:00Z"}
    told = {"channelId": "msteams", "userId": user, **known, "installed": installed}
    cache_account(told, services)

    tell(services, user, ADD, BOT_ADDED)

    assert len(welcomes(queue)) == expected


@pytest.mark.parametrize("user_data", [[], [{"type": "deleteUserData"}]])
def test_whose_stop_still_holds_is_told_so(
    services: Services, user: str, queue: QueueReader, user_data: list[Told]
):
    tell(services, user, {"text": "stop"}, REMOVE, *user_data, ADD)

    [said] = welcomes(queue)
    assert "Alle Meldungen sind gestoppt. Mit „start“ bekommen" in said["activity"]["text"]
    buttons = [each["value"] for each in said["activity"]["suggestedActions"]["actions"]]
    assert buttons == ["interests", "start"]


@pytest.mark.parametrize(
    ("told", "answer"),
    [
        ({"text": "hi"}, "Hello! I tell you when"),
        ({"text": "<at>Notify Bot</at> HELP"}, "I tell you when"),
        ({"text": "help", "type": "messageUpdate"}, "I tell you when"),
        ({"text": "hilfe", "locale": "de"}, "Ich melde mich"),
        ({"text": "what?"}, "I did not understand that. I tell you when"),
        ({"text": "👍"}, "I did not understand that. I tell you when"),
        ({"text": "", "attachments": [{"contentType": "image/png"}]}, "I did not understand"),
        ({"text": "hi", "channelId": "directline", "channelData": None}, "Hello! I tell you when"),
        ({"text": "hello", "channelId": "email"}, "Hello! I tell you when"),
        # Nobody asks anything of the bot.
        ({"text": "what?", "type": "messageUpdate"}, None),
        ({"text": "<at>Notify Bot</at> "}, None),
        ({"text": "", "attachments": [{"contentType": "text/html", "content": "<p></p>"}]}, None),
        ({"text": None, "attachments": "none"}, None),
        ({"value": {"verb": "invented"}}, None),
        ({"text": "help", "value": {"verb": "invented"}}, None),
        ({"text": "I take it", "channelData": {"postBack": True}}, None),
        ({"text": "what?", "type": "messageDelete"}, None),
        ({"text": "I am out of office", "channelId": "email"}, None),
        # What is said among several is not for the bot.
        ({"text": "<at>Notify Bot</at> help", **TEAM}, None),
        ({"text": "help", **GROUP}, None),
        ({"text": "what?", **GROUP}, None),
        ({"text": "what?", **MEETING}, None),
        ({"text": "hi", **COPILOT}, None),
        # Bots would answer for ever.
        ({"text": "hi", "from": BOT}, None),
        ({"text": "hi", "from": {"id": "28:another", "name": "Bot"}}, None),
        ({"text": "hi", "from": {"id": "another", "role": "bot"}, "channelId": "webchat"}, None),
    ],
)
def test_help_and_what_is_not_understood_are_answered_in_personal_chats_alone(
    services: Services, user: str, queue: QueueReader, told: Told, answer: str | None
):
    # The Connector posts an activity again when it gets no answer in time.
    tell(services, user, {"locale": "en", **told})
    tell(services, user, {"locale": "en", **told})

    said = {each["_flow"]["id"]: each["activity"] for each in queue.take()}

    assert len(said) == (0 if answer is None else 1)
    for each in said.values():
        assert each["text"].startswith(str(answer))
        assert "stop" in each["text"]


def test_a_bot_that_leaves_people_to_another_one_says_nothing(
    azurite: Azurite, user: str, queue: QueueReader
):
    silent = settings(AzureWebJobsStorage=azurite.connection_string, AnswersPeople="false")

    tell(
        Services.of(silent),
        user,
        ADD,
        {"text": "hi"},
        {"text": "what?"},
        {"text": "stop"},
        REMOVE,
        ADD,
    )

    [confirmed] = queue.take()
    assert confirmed["activity"]["text"].startswith("Sie bekommen keine Meldungen mehr")


@pytest.mark.parametrize("comes_by", [[ADD, BOT_ADDED, UPGRADE], [{"text": "follow Rain"}]])
def test_a_crash_before_the_welcome_is_on_its_queue_neither_loses_nor_doubles_it(
    services: Services, azurite: Azurite, user: str, queue: QueueReader, comes_by: list[Told]
):
    # Port 9 of this machine: nothing listens there.
    without_queues = re.sub(
        r"(QueueEndpoint=http://[\d.]+):\d+", r"\1:9", azurite.connection_string
    )
    broken = Services.of(settings(AzureWebJobsStorage=without_queues))
    with pytest.raises(StorageUnavailableError):
        tell(broken, user, ADD)
    assert welcomes(queue) == []

    with ThreadPoolExecutor(3) as hosts:
        for _ in hosts.map(lambda told: tell(services, user, told), comes_by):
            pass

    assert len({each["_flow"]["id"] for each in welcomes(queue)}) == 1
    tell(services, user, ADD, BOT_ADDED, {"text": "stop"})
    assert welcomes(queue) == []
