"""What the README tells to call and to send, done."""

import os
import re
import subprocess
import sys

from tests.flows.running_app import APP_ID, RunningApp
from tests.local.host_process import PROJECT

README = (PROJECT / "README.md").read_text()
USER = "29:1-alex"
CHAT = "c0e99c14-3c0b-4bea-ad1d-477dd327eb6f@test.user"


def blocks(language: str, containing: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    return [each for each in found if containing in each]


def made(command: str, app: RunningApp) -> tuple[int, str]:
    """What a call of curl is answered: the status and the body."""
    told = command.replace("curl -i", "curl -s -w '\\n%{http_code}'")
    script = f"APP=http://127.0.0.1:{app.host.port}/api\n{told}"
    done = subprocess.run(
        ["bash", "-euc", script], capture_output=True, text=True, check=True
    ).stdout
    body, _, status = done.rpartition("\n")
    return int(status), body


def make_known(app: RunningApp) -> None:
    bot = {"bot": {"id": f"28:{APP_ID}"}, "serviceUrl": app.connector.url}
    account = {**bot, "conversation": {"id": "a:1-alex"}}
    wishes = {"preferences": {"interests": ["Lighthouses"]}}
    answer = app.put(f"/api/accounts/msteams/{USER}", {**account, **wishes})
    assert answer.status in (200, 201), answer.body


def test_the_calls_of_the_readme_work(app):
    app.remember("msteams", "chat", conversation={"id": CHAT})
    make_known(app)
    script = "".join(blocks("sh", " $APP/"))
    commands = re.findall(r"^curl .*?(?=^curl |^#|\Z)", script, re.DOTALL | re.MULTILINE)
    assert len(commands) == script.count("curl ") >= 2

    for command in commands:
        status, body = made(command, app)
        assert status < 300, body
        # What comes next finds it done.
        app.settle()

    alert = app.get("/api/alerts/lighthouses-1").json()
    assert (alert["status"], alert["recalled"]) == ("recalled", 1)


def test_the_message_of_the_readme_is_sent(app):
    make_known(app)
    [block] = blocks("python", "send-activity")

    subprocess.run(
        [sys.executable, "-c", block],
        env={**os.environ, "AzureWebJobsStorage": app.storage.connection_string},
        check=True,
    )
    [call] = app.wait_for_calls(1)
    app.settle()

    assert call.json["text"] == "It shipped."
