"""`python -m local run`: the app with storage and a chat to look at, and a News Alert in it."""

import argparse
import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests
from azure.core.exceptions import AzureError
from azure.storage.queue import (
    QueueServiceClient,
    TextBase64DecodePolicy,
    TextBase64EncodePolicy,
)

from local.azurite import azurite
from local.playground import Playground, playground
from local.processes import Process, ProcessError, leaving_on_signals, running, wait_until
from shared.messages.queue_names import QUEUES

ALERT = Path(__file__).with_name("alert.json")
TOPIC = "Lighthouses"
ANSWERS = {
    "mode": "each",
    "options": [
        {"id": "yes", "titles": {"en": "I am going", "de": "Ich gehe hin"}},
        {"id": "no", "titles": {"en": "I am not", "de": "Ich nicht"}},
    ],
}
_RECORDED = "tests/ReceiveEvent/payloads/alertmanager"
DELIVERY_SECONDS = 300.0
# By then, whoever did not answer because it was about to end has ended.
END_SECONDS = 2.0
INTERRUPTED = 130
NoAnswer = (requests.RequestException, AzureError)


@dataclass(frozen=True)
class App:
    """The running app: where it answers, its storage, and the chat of its user."""

    url: str
    connection_string: str
    queues: QueueServiceClient
    chat: Playground
    programs: tuple[Process, ...]

    def put(self, queue: str, message: dict[str, Any]) -> None:
        """Put a message on a queue, as other systems do."""
        client = self.queues.get_queue_client(queue, message_encode_policy=TextBase64EncodePolicy())
        client.send_message(json.dumps(message))

    def send_alert(self) -> None:
        """Put the News Alert on its queue, in all its languages, for those who follow its topic."""
        to = {"audience": {"interests": [TOPIC]}, "topic": TOPIC}
        self.put("send-alert", {**to, "activities": _alert(), "answers": ANSWERS})

    def alerts(self) -> list[dict[str, Any]]:
        """The News Alerts in the chat so far."""
        summaries = {activity["summary"] for activity in _alert().values()}
        return [each for each in self.chat.received() if each.get("summary") in summaries]

    def failures(self) -> list[str]:
        """What went to the poison queues."""
        return [
            message.content
            for queue in self.queues.list_queues()
            if queue.name.endswith("-poison")
            for message in self.queues.get_queue_client(
                queue, message_decode_policy=TextBase64DecodePolicy()
            ).peek_messages()
        ]


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command and its options."""
    parser = commands.add_parser(
        "run", help="run the app with a chat to look at", description=__doc__
    )
    parser.add_argument(
        "--once", action="store_true", help="send one alert and exit: 0 when it was delivered"
    )
    parser.set_defaults(main=main)


def main(arguments: argparse.Namespace) -> int:
    """Run everything until Ctrl-C, or with --once until the alert was delivered; 0 then."""
    # All calls stay on this machine, so no proxy is needed.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
    try:
        with leaving_on_signals(), running_app() as app:
            deliver(app)
            if arguments.once:
                return 0
            _say_what_to_do(app)
            wait_until(lambda: None, *app.programs, what="Ctrl-C", seconds=math.inf)
    except KeyboardInterrupt:
        print("\nEverything is stopped.")
        return INTERRUPTED if arguments.once else 0
    except (ProcessError, *NoAnswer) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


@contextmanager
def running_app() -> Iterator[App]:
    """Run the app with storage of its own, and a chat that is connected to it."""
    with tempfile.TemporaryDirectory(prefix="speak-first-") as name:
        folder = Path(name)
        _say("Starting storage (Azurite) ...")
        with azurite(log=folder / "azurite.log") as storage:
            queues = QueueServiceClient.from_connection_string(
                storage.connection_string, retry_total=0
            )
            for queue in QUEUES:
                queues.create_queue(queue)
            _say("Starting the app ...")
            with _host(storage.connection_string, folder) as (url, host):
                _say("Starting the chat (Microsoft 365 Agents Playground) ...")
                with playground(f"{url}/messages", log=folder / "playground.log") as chat:
                    programs = (host, storage.process, chat.process)
                    try:
                        yield App(url, storage.connection_string, queues, chat, programs)
                    except NoAnswer as error:
                        what = f"an answer ({type(error).__name__})"
                        wait_until(lambda: None, *programs, what=what, seconds=END_SECONDS)


@contextmanager
def _host(connection_string: str, folder: Path) -> Iterator[tuple[str, Process]]:
    # No name of other storage reaches the app, from the environment or local.settings.json.
    by_identity = ("accountName", "queueServiceUri", "tableServiceUri")
    environment = {
        **{f"AzureWebJobsStorage__{name}": "" for name in by_identity},
        "AzureWebJobsStorage": connection_string,
        "AZURE_FUNCTIONS_ENVIRONMENT": "Development",
        # The Playground asks for no token and gives none. local.settings.json may name a bot.
        "MicrosoftAppId": "",
    }
    command = [sys.executable, "-m", "local", "host", "--port", "0", "--end-with-stdin"]
    with running("The app", command, log=folder / "app.log", environment=environment) as process:
        url = process.wait_for_output(r"Listening on (\S+)")[1]
        health = requests.get(f"{url}/health", timeout=DELIVERY_SECONDS)
        if not health.ok:  # a setting is wrong
            raise ProcessError(f"The app is not well: {health.text}.{process.tail()}")
        yield url, process


def deliver(app: App) -> None:
    """Have the chat's user install the bot, and the News Alert get into the chat.

    Raises ProcessError, which says why not.
    """
    user_id = app.chat.ids.user_id
    account = f"{app.url}/accounts/msteams/{quote(user_id, safe='')}"
    _say(f"{app.chat.ids.user_name} installs the bot ...")
    app.chat.install()
    _wait_until(app, lambda: requests.get(account, timeout=10).ok, "the bot to know its user")
    _say("The bot starts the conversation (queue start-conversation) ...")
    start = {"channelId": "msteams", "members": [{"id": user_id}], "startNew": True}
    app.put("start-conversation", {**start, "topicName": "News Alert"})
    _wait_until(app, lambda: bool(app.chat.conversations()), "the conversation")
    _say(f"{app.chat.ids.user_name} follows {TOPIC} ...")
    app.chat.say(f"follow {TOPIC}")
    _wait_until(app, lambda: _follows(account), "the bot to know what its user follows")
    _say("A News Alert for all who follow it goes to the queue send-alert ...")
    app.send_alert()
    _wait_until(app, lambda: bool(app.alerts()), "the alert to be in the chat")
    _say("The alert is in the chat.")


def _follows(account: str) -> bool:
    preferences = requests.get(account, timeout=10).json().get("preferences", {})
    return TOPIC in preferences.get("interests", [])


def _alert() -> dict[str, Any]:
    activities: dict[str, Any] = json.loads(ALERT.read_text(encoding="utf-8"))
    return activities


def _wait_until(app: App, done: Callable[[], bool], what: str) -> None:
    def is_done() -> bool:
        # Whoever does not answer is busy, or has ended, which is noticed.
        with suppress(*NoAnswer):
            if done():
                return True
            if failures := app.failures():
                raise ProcessError(f"Not delivered; this went to a poison queue: {failures[0]}")
        return False

    wait_until(is_done, *app.programs, what=what, seconds=DELIVERY_SECONDS)


def _say_what_to_do(app: App) -> None:
    conversation_id = quote(app.chat.ids.conversation_id, safe="")
    print(
        f"""
Open {app.chat.url} to see it, and click an answer. In the chat, write
"interests", "follow Trains" or "stop". Send the next alert, or a message to
everybody or to one conversation:

    export APP={app.url} SPEAK_FIRST_URL={app.url}
    .venv/bin/python -m local alert --interest {TOPIC} --text 'Another article is out.' --follow
    .venv/bin/python -m local alert --text 'Hello everybody.' --follow
    curl $APP/conversations/{conversation_id}/activities -d '{{"text": "Hello."}}'

Let Alertmanager report something that is wrong; then it is over, and something else is wrong:

    curl "$APP/events/alertmanager?interest={TOPIC}" -d @{_RECORDED}/firing.json
    curl "$APP/events/alertmanager?interest={TOPIC}" -d @{_RECORDED}/firing-one-resolved.json

The chat's user is {app.chat.ids.user_id}. Its queues are in

    export AzureWebJobsStorage="{app.connection_string}"

Ctrl-C stops everything.""",
        flush=True,
    )


def _say(sentence: str) -> None:
    print(sentence, flush=True)
