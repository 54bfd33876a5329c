"""Microsoft 365 Agents Playground: a chat in the browser that looks like Teams to a bot."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import requests

from local.node import FOLDER, node_command
from local.processes import Process, ProcessError, free_port, running, wait_until

CONFIGURATION = FOLDER / ".m365agentsplayground.yml"
TIMEOUT_SECONDS = 30
# Between two events in the recording. No JSON holds it: there, line ends are escaped.
SEPARATOR = "\n---\n"


@dataclass(frozen=True)
class Ids:
    """The bot, the user who chats with it, and their conversation."""

    tenant_id: str
    bot_id: str
    bot_name: str
    user_id: str
    user_name: str
    conversation_id: str


class PortTakenError(ProcessError):
    """Somebody else took the free port first."""


class Playground:
    """A running Agents Playground, and what its user can do in the personal chat."""

    def __init__(
        self, url: str, recording: Path, session: requests.Session, process: Process
    ) -> None:
        self.url = url
        self.process = process
        self.service_url = f"{url}/_connector"
        self._recording = recording
        self._session = session
        self.ids = self._read_ids()

    def install(self) -> None:
        """Let the user install the bot, which is told so; what it answers makes no difference."""
        self._post(f"/_debug/conversation/{self.ids.conversation_id}/installation", {})

    def say(self, text: str) -> None:
        """Let the user write to the bot."""
        message = {"from": {"id": self.ids.user_id}, "text": text, "textFormat": "plain"}
        self._post(f"/_conversation/v1/conversations/{self.ids.conversation_id}/messages", message)

    def click(self, activity: dict[str, Any], action: dict[str, Any]) -> dict[str, Any]:
        """Let the user click a button of a card; return what takes the card's place."""
        clicked = {
            "name": "adaptiveCard/action",
            "from": {"id": self.ids.user_id},
            "conversation": {"id": self.ids.conversation_id},
            "replyToId": activity["id"],
            "value": {"action": action},
        }
        shown: dict[str, Any] = self._post("/_conversation/v1/invoke", clicked).json()
        return shown

    def mock(self, activity: dict[str, Any]) -> None:
        """Send the bot an activity as it is, as "Mock an Activity" on the page does."""
        self._post("/_internal/v1/customActivities", activity)

    def received(self, conversation_id: str | None = None) -> list[dict[str, Any]]:
        """What the bot has sent into a chat, as it is after edits, with its ids.

        Unless told, that is the personal chat of the user who is at the page.
        """
        path = (
            f"/_connector/v3/conversations/{conversation_id or self.ids.conversation_id}/activities"
        )
        received: dict[str, dict[str, Any]] = {}
        for event in self._events():
            request, response = event["request"], event["response"]
            url, status = unquote(request["url"]), response["statusCode"]
            if (request["method"], url, status) == ("POST", path, requests.codes.created):
                received[response["body"]["id"]] = {**request["body"], **response["body"]}
            elif request["method"] == "PUT" and status == requests.codes.ok:
                activity_id = url.removeprefix(f"{path}/")
                if activity_id in received:
                    received[activity_id] = {**request["body"], "id": activity_id}
        return list(received.values())

    def conversations(self) -> list[str]:
        """The ids of the conversations that the bot has started so far."""
        return [
            event["response"]["body"]["id"]
            for event in self._events()
            if event["request"]["method"] == "POST"
            and event["request"]["url"] == "/_connector/v3/conversations"
            and event["response"]["statusCode"] == requests.codes.created
        ]

    def _events(self) -> list[dict[str, Any]]:
        if not self._recording.exists():
            return []
        # What follows the last separator is not written to its end yet.
        return [json.loads(event) for event in self._recording.read_text().split(SEPARATOR)[:-1]]

    def _read_ids(self) -> Ids:
        answer = self._session.get(f"{self.url}/_internal/v1/testConfig", timeout=TIMEOUT_SECONDS)
        answer.raise_for_status()
        configuration = answer.json()["config"]
        return Ids(
            tenant_id=configuration["tenantId"],
            bot_id=configuration["bot"]["id"],
            bot_name=configuration["bot"]["name"],
            user_id=configuration["currentUser"]["id"],
            user_name=configuration["currentUser"]["name"],
            conversation_id=configuration["personalChat"]["id"],
        )

    def _post(self, path: str, body: dict[str, Any]) -> requests.Response:
        answer = self._session.post(self.url + path, json=body, timeout=TIMEOUT_SECONDS)
        answer.raise_for_status()
        return answer


@contextmanager
def playground(messaging_endpoint: str, *, log: Path) -> Iterator[Playground]:
    """Run the Playground on a free port, for a bot that listens at the messaging endpoint."""
    with ExitStack() as stack:
        try:
            chat = stack.enter_context(_playground(messaging_endpoint, log))
        except PortTakenError:
            chat = stack.enter_context(_playground(messaging_endpoint, log))
        yield chat


@contextmanager
def _playground(messaging_endpoint: str, log: Path) -> Iterator[Playground]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    recording = log.with_suffix(".events")
    script = "@microsoft/m365agentsplayground/cli.js"
    command = [
        *node_command(script, preload=FOLDER / "loopback.cjs"),
        *("start", f"--app-endpoint={messaging_endpoint}", "--channel-id=msteams"),
        *(f"--port={port}", f"--service-url={url}/_connector"),
        *("--enable-events-recording", "--disable-telemetry"),
    ]
    environment = {
        "APPLICATION_INSIGHTS_NO_STATSBEAT": "1",
        "M365_AGENTS_PLAYGROUND_CONFIG_PATH": str(CONFIGURATION),
        "M365_AGENTS_PLAYGROUND_LOGFILE": str(log),
        "M365_AGENTS_PLAYGROUND_RECORDING_FILE": str(recording),
        # All that it talks to is here.
        "NO_PROXY": "*",
        "TEAMSAPPTESTER_BROWSER": "none",
    }
    recording.unlink(missing_ok=True)
    with (
        requests.Session() as session,
        running(
            "The Agents Playground", command, log=log, environment=environment, folder=log.parent
        ) as process,
    ):
        session.trust_env = False
        # If the port is taken, it takes another one and does not say so.
        if process.wait_for_output(r"Listening on (\d+)\n")[1] != str(port):
            raise PortTakenError(f"The Agents Playground cannot have port {port}; try again.")
        wait_until(lambda: _answers(session, url), process, what=process.name)
        yield Playground(url, recording, session, process)


def _answers(session: requests.Session, url: str) -> bool:
    try:
        return session.get(f"{url}/_debug/ping", timeout=TIMEOUT_SECONDS).ok
    except requests.RequestException:
        return False
