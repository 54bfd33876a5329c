"""The whole product, as `make run` shows it: the real chat, the real storage, the real app."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import pytest
import requests

from local.processes import ProcessError
from local.run import ALERT, TOPIC, App, deliver, running_app
from shared.messages.queue_names import QUEUES
from tests.local.host_process import PROJECT
from tests.ReceiveEvent.recorded import PAYLOADS
from tests.support.waiting import PATIENCE_SECONDS, until


@pytest.fixture
def app() -> Iterator[App]:
    with running_app() as app:
        yield app


def in_the_chat(app: App, text: str) -> bool:
    return any(text in each.get("text", "") for each in app.chat.received())


def report(app: App, file: str) -> None:
    """Have Alertmanager report what it has recorded, to those who follow the topic."""
    url = f"{app.url}/events/alertmanager?interest={TOPIC}"
    answer = requests.post(url, data=(PAYLOADS / "alertmanager" / file).read_bytes(), timeout=30)
    assert answer.status_code == 202


def cards_of(app: App, instance: str) -> dict[str, str]:
    """What the cards in the chat that tell of an instance are headed by, by their ids."""
    return {
        each["id"]: each["attachments"][0]["content"]["body"][0]["items"][0]["text"]
        for each in app.chat.received()
        if instance in each.get("summary", "")
    }


def settle(app: App) -> None:
    """Wait until nothing is on the queues any more."""

    def is_drained() -> bool:
        clients = [app.queues.get_queue_client(queue) for queue in QUEUES]
        counts = [each.get_queue_properties().approximate_message_count for each in clients]
        return not any(counts)

    until(is_drained)


def activity_of_the_user(app: App, **changes: Any) -> dict[str, Any]:
    ids = app.chat.ids
    return {
        "id": "uninstall-1",
        "channelId": "msteams",
        "serviceUrl": app.chat.service_url,
        "from": {"id": ids.user_id, "name": ids.user_name},
        "recipient": {"id": ids.bot_id, "name": ids.bot_name},
        "conversation": {"id": ids.conversation_id, "conversationType": "personal"},
        **changes,
    }


def ask_who_takes_it(app: App) -> None:
    """Have the user click first on an alert; somebody else, in a chat of their own, sees that."""
    ids = app.chat.ids
    people = [ids.user_id, "29:1-blake"]
    known = {"bot": {"id": ids.bot_id}, "tenantId": ids.tenant_id}
    account = f"{app.url}/accounts/msteams/{quote(people[1], safe='')}"
    requests.put(
        account, json={**known, "serviceUrl": app.chat.service_url}, timeout=30
    ).raise_for_status()
    app.put(
        "send-alert",
        {
            "recipients": [{"channelId": "msteams", "userId": each} for each in people],
            "activity": {"text": "A tap drips."},
            "answers": {"mode": "first", "options": [{"id": "take", "title": "I take it"}]},
        },
    )

    def cards() -> list[dict[str, Any]]:
        chats = {ids.conversation_id, *app.chat.conversations()}
        received = [each for chat in chats for each in app.chat.received(chat)]
        return [each for each in received if each.get("summary") == "A tap drips."]

    until(lambda: len(cards()) == len(people))
    [own] = [each for each in app.chat.received() if each.get("summary") == "A tap drips."]
    shown = app.chat.click(own, own["attachments"][0]["content"]["body"][-1]["actions"][0])
    assert "Taken by Alex" in json.dumps(shown)
    until(lambda: ["Taken by Alex" in json.dumps(each) for each in cards()] == [True, True])


def test_what_the_chat_shows_until_its_user_says_stop_and_leaves(app: App):
    deliver(app)

    (alert,) = app.alerts()
    sent = json.loads(ALERT.read_text(encoding="utf-8"))["en"]
    [text], [shown] = (each["attachments"] for each in (sent, alert))
    assert (alert["summary"], alert["locale"]) == (sent["summary"], "en")
    # Its text, and what it asks below it.
    assert shown["content"]["body"][:-1] == text["content"]["body"]
    answered = app.chat.click(alert, shown["content"]["body"][-1]["actions"][0])
    assert "You answered I am going" in json.dumps(answered)
    until(lambda: app.alerts()[0]["attachments"][0]["content"] == answered["value"])
    ask_who_takes_it(app)

    report(app, "firing.json")
    until(lambda: cards_of(app, "web-1"))
    [(card_id, firing)] = cards_of(app, "web-1").items()
    report(app, "firing-one-resolved.json")
    until(lambda: cards_of(app, "web-1") != {card_id: firing})

    assert firing == "Warning"
    assert cards_of(app, "web-1") == {card_id: "Resolved after less than a minute"}

    app.chat.say("stop")
    until(lambda: in_the_chat(app, "You will get no more alerts"))
    app.send_alert()
    settle(app)

    assert len(app.alerts()) == 1

    app.chat.say("start")
    until(lambda: in_the_chat(app, "You will get alerts again"))
    app.send_alert()
    until(lambda: len(app.alerts()) == 2)

    app.chat.mock(activity_of_the_user(app, type="installationUpdate", action="remove"))
    app.send_alert()
    settle(app)

    assert len(app.alerts()) == 2
    assert app.failures() == []


@contextmanager
def run(*options: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "local", "run", *options],
        cwd=PROJECT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        try:
            yield program
        finally:
            program.terminate()


def test_run_once_delivers_and_leaves():
    # Storage of a deployment that the shell still names is left alone.
    with run("--once", AzureWebJobsStorage__accountName="production") as finished:
        output, errors = finished.communicate(timeout=PATIENCE_SECONDS)

    assert finished.returncode == 0, errors
    assert output.splitlines()[-1] == "The alert is in the chat."


def test_a_wrong_setting_is_told_in_the_words_of_the_app():
    with run("--once", BotCloud="Mars") as refused:
        _, errors = refused.communicate(timeout=PATIENCE_SECONDS)

    assert refused.returncode == 1
    # At once, and not only at the end of the patience for its answers.
    assert errors.startswith("The app is not well: ")
    assert "Setting BotCloud: must be one of Public, USGov, China" in errors
    assert "Traceback" not in errors


def test_what_ends_while_it_serves_is_told():
    with run() as serving:
        assert serving.stdout
        assert any("Ctrl-C" in line for line in serving.stdout)
        listed = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid=,command="], capture_output=True, text=True, check=True
        )
        [host] = re.findall(rf"(\d+) +{serving.pid} .* local host ", listed.stdout)
        os.kill(int(host), signal.SIGKILL)
        _, errors = serving.communicate(timeout=PATIENCE_SECONDS)

    assert serving.returncode == 1
    assert errors.startswith("The app ended by itself (SIGKILL). Its log, ")


def test_who_did_not_answer_as_it_has_ended_is_told():
    def send_without_storage() -> None:
        with running_app() as app:
            [storage] = [each for each in app.programs if each.name == "Azurite"]
            os.kill(storage._child.pid, signal.SIGKILL)
            app.send_alert()

    with pytest.raises(ProcessError, match=r"Azurite ended by itself \(SIGKILL\)"):
        send_without_storage()
