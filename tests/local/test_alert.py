"""`python -m local alert` and `send`: what they ask for, what they say, and how they exit."""

import math
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from local import __main__ as command_line
from local import alerts_client
from tests.local.host_process import PROJECT
from tests.support.alerts_api import AlertsApi, ended, is_poll, under_way
from tests.support.waiting import PATIENCE_SECONDS

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TEXT = ("--text", "A new article is out.")
ALERT = ("alert", *TEXT)
FOLLOW = (*ALERT, "--follow")
SEND = ("send", "--to", "msteams/29:1-alex", *TEXT)
RAIN, SNOW = ("--interest", "Rain"), ("--interest", "Snow")


@pytest.fixture
def api() -> Iterator[AlertsApi]:
    with AlertsApi() as api:
        yield api


@pytest.fixture
def run(api, monkeypatch, capsys):
    """Runs a command, and returns its exit status, its output and its errors."""
    for name, value in api.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(alerts_client, "POLL_SECONDS", 0)
    monkeypatch.setattr(alerts_client, "BACKOFF_SECONDS", 0)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["local", *arguments])
        status: object
        try:
            status = command_line.main()
        except SystemExit as exit_:
            status = exit_.code
        output, errors = capsys.readouterr()
        assert api.key not in output + errors
        return status, output, errors

    return run


def address(api):
    return f"{api.api}/alerts/{api.created[0]['id']}"


@pytest.mark.parametrize(
    ("arguments", "asked_for"),
    [
        (ALERT, {"audience": {}}),
        ((*ALERT, "--topic", "News"), {"audience": {}, "topic": "News"}),
        (
            (*ALERT, *RAIN, *SNOW),
            {"audience": {"interests": ["Rain", "Snow"]}, "topic": "Rain"},
        ),
        (
            (*ALERT, "--answer", "I take it"),
            {
                "audience": {},
                "answers": {"mode": "first", "options": [{"id": "1", "title": "I take it"}]},
            },
        ),
        (
            (*ALERT, "--answer", "Yes", "--answer", "No"),
            {
                "audience": {},
                "answers": {
                    "mode": "each",
                    "options": [{"id": "1", "title": "Yes"}, {"id": "2", "title": "No"}],
                },
            },
        ),
        (SEND, {"recipients": [{"channelId": "msteams", "userId": "29:1-alex"}]}),
        (
            ("send", *TEXT, "--to", "slack/a/b:c/"),
            {"recipients": [{"channelId": "slack", "userId": "a/b:c/"}]},
        ),
    ],
)
def test_what_is_asked_for(api, run, arguments, asked_for):
    status, output, errors = run(*arguments)

    (alert,) = api.created
    assert alert == {"id": alert["id"], "activity": {"text": TEXT[1]}, **asked_for}
    assert UUID.fullmatch(alert["id"])
    assert (status, errors) == (0, "")
    assert output.startswith(f"Accepted: {address(api)}\n")
    assert {each.headers["x-functions-key"] for each in api.requests} == {api.key}


@pytest.mark.parametrize(
    ("counts", "polls"), [([{"1": 0}, {"1": 1}], 2), ([{"1": 1, "2": 0}, {"1": 1, "2": 1}], 2)]
)
def test_one_that_asks_is_followed_until_it_is_answered(api, run, counts, polls):
    api.states = [ended({"sent": 2}, answers=each) for each in counts]
    api.answers = [{"option": "1", "name": "Alex", "userId": "29:1-alex"}, {"option": "2"}]

    status, output, errors = run(*FOLLOW, "--answer", "Yes")

    assert (status, errors) == (0, "")
    assert output.endswith("done: 2 sent.\n    1: Alex\n    2: somebody who was erased\n")
    assert sum(map(is_poll, api.requests)) == polls + 1


@pytest.mark.parametrize("command", [FOLLOW, SEND])
def test_it_is_followed_until_nothing_more_happens(api, run, command):
    api.states = [
        under_way(0, {}, status="accepted", isEstimate=True),
        under_way(0.5, {"sent": 8, "suppressed": 2, "accepted": 10}, ratePerSecond=1),
        under_way(1, {"sent": 20}, status="done"),
        ended({"sent": 20}),
    ]

    assert run(*command) == (0, f"Accepted: {address(api)}\nIt is done: 20 sent.\n", "")
    assert len(api.requests) == 5


@pytest.mark.parametrize(
    ("command", "state", "status", "said"),
    [
        (FOLLOW, ended({}), 0, "done: there was nobody to send it to"),
        (FOLLOW, ended({"sent": 1, "suppressed": 2}), 0, "done: 1 sent, 2 suppressed"),
        (SEND, ended({"suppressed": 1}), 1, "done: 1 suppressed"),
        (FOLLOW, ended({"temporary-failure": 1}), 1, "done: 1 temporary-failure"),
        (FOLLOW, ended({"technical-failure": 1}), 1, "done: 1 technical-failure"),
        (FOLLOW, ended({"sent": 2, "expired": 1}), 1, "done: 2 sent, 1 expired"),
        (FOLLOW, ended({"cancelled": 1}), 1, "done: 1 cancelled"),
        (SEND, ended({"sent": 1}, status="recalled"), 1, "recalled: 1 sent"),
    ],
)
def test_how_it_ended_is_told(api, run, command, state, status, said):
    api.states = [state]

    assert run(*command) == (status, f"Accepted: {address(api)}\nIt is {said}.\n", "")


def test_five_reasons_are_told(api, run):
    api.states = [ended({"permanent-failure": 3, "temporary-failure": 4, "suppressed": 1})]
    blocked = {"code": "ConversationBlockedByUser", "detail": "The person\x1b[2J blocked\nthe bot"}
    api.deliveries = {
        "suppressed": ([{"id": "g"}],),
        # A page may be empty, and yet not be the last.
        "permanent-failure": ([{"id": "a", **blocked}], [], [{"id": "b", "code": "BadSyntax"}]),
        "temporary-failure": ([{"id": each} for each in "cdef"],),
    }

    status, _, errors = run(*FOLLOW)

    assert status == 1
    assert errors.splitlines() == [
        "    a: The person [2J blocked the bot",
        "    b: BadSyntax",
        "    c: no reason is recorded",
        "    d: no reason is recorded",
        "    e: no reason is recorded",
    ]


def test_after_some_seconds_it_is_told_why_a_message_waits(api, run):
    soon = under_way(0, {"accepted": 1})
    api.states = [soon, *[under_way(0, {"retrying": 1})] * 9, ended({"sent": 1})]
    api.deliveries = {"retrying": ([{"id": "a", "detail": "No token\x1b[2J for the bot"}],)}

    status, output, errors = run(*SEND)

    assert (status, errors) == (0, "It waits: No token [2J for the bot\n")
    assert output.endswith("It is done: 1 sent.\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("alert",), "--text"),
        (("send", *TEXT), "--to"),
        ((*FOLLOW, "more"), "unrecognized"),
        (("alert", "--text", " \n"), "the text says nothing"),
        *(
            (("send", *TEXT, "--to", to), "expected channelId/userId")
            for to in ("alex", "a/", "/a")
        ),
        # The key is neither for those on the way nor for the screen.
        *(
            ((*ALERT, "--url", url), "--url is not a plain https address")
            for url in (
                "http://example.com/api",
                "ftp://127.0.0.1/api",
                "127.0.0.1:7071/api",
                "https://example.com/api?code=invented-function-key",
            )
        ),
    ],
)
def test_wrong_usage_is_told(api, run, arguments, said):
    status, _, errors = run(*arguments)

    assert status == 2
    assert errors.startswith("usage: ")
    assert said in errors
    assert api.requests == []


def test_the_help_tells_the_commands_and_that_of_one_its_exit_status(run):
    status, output, _ = run("--help")
    assert status == 0
    assert set(re.findall(r"^    (\w+)\b", output, re.MULTILINE)) >= set(command_line.COMMANDS)

    for command in ("alert", "send"):
        status, output, _ = run(command, "--help")
        assert status == 0
        assert {*re.findall(r"\b\d+\b", output)} >= {"0", "1", "2", "3", "130"}


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (400, {"detail": "userId: is too\x1b[2J\nlong"}, "(400): userId: is too [2J long\n"),
        (401, None, "(401): it gives no reason. Is this its address? Is the key right?\n"),
        (404, "<h1>No</h1>", "(404): it gives no reason. "),
        (307, None, "(307): it gives no reason. "),
        (200, "<h1>Hello</h1>", "(200): it gives no reason. "),
        (200, [], "(200): it gives no reason. "),
    ],
)
@pytest.mark.parametrize("command", [SEND, FOLLOW])
def test_a_refusal_is_told_and_not_tried_again(api, run, command, status, body, said):
    headers = {"Location": f"{api.url}/elsewhere"} if status == 307 else {}
    api.answer(status, body, headers)

    code, output, errors = run(*command)

    assert (code, output) == (3, "")
    assert f"The app at {api.api} refused the request {said}" in errors
    assert len(api.requests) == 1


def test_the_key_is_what_was_given_without_line_ends(api, run, monkeypatch):
    monkeypatch.setenv("SPEAK_FIRST_KEY", f"{api.key}\n")
    assert run(*SEND)[0] == 0

    assert run(*SEND, "--key", "another-key")[0] == 3
    assert api.requests[-1].headers["x-functions-key"] == "another-key"

    monkeypatch.delenv("SPEAK_FIRST_KEY")
    assert run(*SEND)[0] == 3
    assert api.requests[-1].headers["x-functions-key"] is None


def test_what_may_pass_is_tried_again_for_the_same_alert(api, run):
    api.cut(times=2)
    for status in (429, 500, 503):
        api.answer(status, headers={"Retry-After": "3600"})
        api.answer(status, when=is_poll)

    assert run(*SEND)[0] == 0
    assert len(api.created) == 6
    assert len({each["id"] for each in api.created}) == 1


@pytest.mark.parametrize(
    ("statuses", "said"),
    [
        ([504] * 6, "(504): it gives no reason. It"),
        ([503] * 6, "(503): Storage does not answer. It"),
        ([504, 404], "(404): Storage does not answer. It"),
    ],
)
def test_what_may_have_been_accepted_is_told_with_its_address(api, run, statuses, said):
    for status in statuses:
        api.answer(status, None if status == 504 else {"detail": "Storage does not answer"})

    status, output, errors = run(*SEND)

    assert (status, output) == (3, "")
    assert f"The app at {api.api} answered {said}" in errors
    assert errors.endswith(f" It may have been accepted: {address(api)}\n")


@pytest.mark.parametrize("fault", ["cut", "block"])
def test_an_app_that_does_not_answer_is_told(api, run, monkeypatch, fault):
    monkeypatch.setattr(alerts_client, "TIMEOUT_SECONDS", 0.05)
    getattr(api, fault)(times=math.inf)

    status, output, errors = run(*SEND)

    assert (status, output) == (3, "")
    assert f"The app at {api.api} does not answer (ConnectionError). It may" in errors
    assert len(api.wait_for(6)) == len(api.created) == 6
    assert errors.endswith(f" have been accepted: {address(api)}\n")


def test_an_app_that_is_not_there_is_told_at_once(api, run, monkeypatch):
    naps: list[float] = []
    monkeypatch.setattr(alerts_client, "BACKOFF_SECONDS", 1)
    monkeypatch.setattr(time, "sleep", naps.append)
    api.close()

    status, output, errors = run(*SEND)

    assert (status, output, naps) == (3, "", [])
    assert f"The app at {api.api} does not answer" in errors


@pytest.mark.parametrize(
    ("method", "known"), [("POST", "may have been accepted"), ("GET", "goes on")]
)
def test_ctrl_c_ends_the_waiting_and_not_the_alert(api, run, method, known):
    api.states = [under_way(0.5, {"sent": 1, "accepted": 1})]
    us = threading.get_ident()

    def press_ctrl_c(request):
        if request.method == method:
            signal.pthread_kill(us, signal.SIGINT)
        return False

    api.answer(200, when=press_ctrl_c)
    # In a job that a shell started in the background, SIGINT is ignored.
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        status, output, errors = run(*SEND)
    finally:
        signal.signal(signal.SIGINT, previous)

    assert (status, errors) == (130, "")
    assert output.endswith(f"\nStopped waiting. It {known}: {address(api)}\n")


def test_a_terminal_shows_how_far_it_is(api):
    large = {"total": 10_000_000, "isEstimate": True, "ratePerSecond": 123.456}
    api.states = [under_way(0.1, {"sent": 1_250_000, "expired": 9}, **large), ended({"sent": 2})]
    terminal, its_end = pty.openpty()

    with (
        os.fdopen(terminal, "rb", buffering=0) as screen,
        subprocess.Popen(
            [sys.executable, "-m", "local", *FOLLOW],
            cwd=PROJECT,
            env={**os.environ, **api.environment, "COLUMNS": "100", "TERM": "xterm"},
            stdout=its_end,
        ) as command,
    ):
        os.close(its_end)
        shown = read(screen)
        assert command.wait(timeout=PATIENCE_SECONDS) == 0

    assert "1250000 of about 10000000 sent, 9 failed, 123.5/s" in shown
    assert shown.endswith("It is done: 2 sent.\r\n")


def read(screen) -> str:
    """Read until nobody writes any more, which on Linux is an error of its own."""
    shown = b""
    try:
        while part := screen.read(1024):
            shown += part
    except OSError:
        pass
    return shown.decode()
