import socket
from urllib.parse import quote

import pytest
import requests

from local import playground as playground_module
from local.playground import playground as run_playground
from local.processes import free_port
from tests.support.stub_server import Answer, StubServer
from tests.support.waiting import until


class StubBot(StubServer):
    """Takes whatever it is told."""

    def default_answer(self, request):
        return Answer(200)

    def told(self):
        return [request.json["type"] for request in self.requests]


@pytest.fixture(scope="module")
def bot():
    with StubBot() as bot:
        yield bot


@pytest.fixture(scope="module")
def playground(bot, tmp_path_factory):
    log = tmp_path_factory.mktemp("playground") / "playground.log"
    with run_playground(f"{bot.url}/api/messages", log=log) as playground:
        yield playground


def send(playground, conversation_id, text):
    url = f"{playground.service_url}/v3/conversations/{quote(conversation_id)}/activities"
    return requests.post(url, json={"type": "message", "text": text}, timeout=30)


def test_installing_tells_the_bot_who_where_and_how_to_answer_also_one_that_refuses(
    playground, bot
):
    bot.answer(404)
    playground.install()
    until(lambda: {"installationUpdate", "conversationUpdate"} <= set(bot.told()), seeing=bot.told)

    [told] = [request.json for request in bot.requests if request.json.get("action") == "add"]
    ids = playground.ids
    assert told["channelId"] == "msteams"
    assert told["serviceUrl"] == playground.service_url
    assert told["conversation"]["tenantId"] == ids.tenant_id
    assert told["conversation"]["id"] == ids.conversation_id
    assert told["from"]["id"] == ids.user_id
    assert told["recipient"] == {"id": ids.bot_id, "name": ids.bot_name}


def test_what_the_user_says_reaches_the_bot(playground, bot):
    playground.say("Good morning")
    until(lambda: "message" in bot.told(), seeing=bot.told)

    [told] = [request.json for request in bot.requests if request.json["type"] == "message"]
    assert (told["text"], told["from"]["name"]) == ("Good morning", playground.ids.user_name)


def test_what_the_bot_sends_can_be_read_back(playground):
    before = playground.received()
    other = requests.post(
        f"{playground.service_url}/v3/conversations",
        json={"bot": {"id": playground.ids.bot_id}, "members": [{"id": "29:someone-else"}]},
        timeout=30,
    )
    send(playground, other.json()["id"], "Not for this chat")
    send(playground, "unknown", "For nobody")
    sent = send(playground, playground.ids.conversation_id, "News Alert\n---\nIt rains.")

    assert before == []
    assert playground.received() == [
        {"id": sent.json()["id"], "type": "message", "text": "News Alert\n---\nIt rains."}
    ]


def test_the_page_is_there_on_this_machine_only(playground):
    page = requests.get(playground.url, timeout=30)

    assert (page.status_code, page.headers["Content-Type"][:9]) == (200, "text/html")
    # Every address that begins with 127 is this machine's own; only one of them is listened on.
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", int(playground.url.rpartition(":")[2])), timeout=30)


def test_another_port_is_tried_where_somebody_takes_the_first(bot, tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = [free_port(), taken.getsockname()[1]]
        left = list(ports)
        monkeypatch.setattr(playground_module, "free_port", left.pop)
        with run_playground(f"{bot.url}/api/messages", log=tmp_path / "it.log") as playground:
            assert playground.url == f"http://127.0.0.1:{ports[0]}"
