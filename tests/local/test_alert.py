"""`python -m local alert`: what it asks the app for, how it is followed, how it exits."""

import math
import os
import pty
import signal
import sys
from collections.abc import Iterator

import pytest

from local import __main__ as command_line
from local import alerts_client
from tests.support.alerts_api import AlertsApi, ended, is_poll, under_way

TEXT = ("--text", "A new article is out.")
FOLLOW = (*TEXT, "--follow")


def asks_for_deliveries(request):
    return "/deliveries" in request.path


def cut_off(api):
    return f"The app at {api.api} cannot be reached: the connection was cut off."


@pytest.fixture
def api() -> Iterator[AlertsApi]:
    with AlertsApi() as api:
        yield api


@pytest.fixture
def send_alert(api, monkeypatch, capsys):
    """Runs the command, and returns its exit status, its output and its errors."""
    for name, value in api.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(alerts_client, "POLL_SECONDS", 0)
    monkeypatch.setattr(alerts_client, "RETRY_SECONDS", 0)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["local", "alert", *arguments])
        status: object
        try:
            status = command_line.main()
        except SystemExit as exit_:
            status = exit_.code
        output, errors = capsys.readouterr()
        assert api.key not in output + errors
        assert "Traceback" not in errors
        return status, output, errors

    return run


@pytest.mark.parametrize(
    ("arguments", "asked_for"),
    [
        ((), {"audience": {}}),
        (("--topic", "News"), {"audience": {}, "topic": "News"}),
        (
            ("--interest", "Rain"),
            {"audience": {"interests": ["Rain"]}, "topic": "Rain"},
        ),
        (
            ("--interest", "Rain", "--interest", "Snow"),
            {"audience": {"interests": ["Rain", "Snow"]}, "topic": "Rain"},
        ),
        (
            ("--interest", "Rain", "--topic", "Weather"),
            {"audience": {"interests": ["Rain"]}, "topic": "Weather"},
        ),
    ],
)
def test_an_alert_is_sent_to_whom_it_interests(api, send_alert, arguments, asked_for):
    status, output, errors = send_alert(*arguments, *TEXT)

    (alert,) = api.created
    assert alert == {"id": alert["id"], "activity": {"text": TEXT[1]}, **asked_for}
    assert (status, errors) == (0, "")
    assert output == f"The alert is accepted: {api.api}/alerts/{alert['id']}\n"
    (request,) = api.requests
    assert request.headers["x-functions-key"] == api.key


def test_each_alert_has_an_id_of_its_own(api, send_alert):
    send_alert(*TEXT)
    send_alert(*TEXT)

    first, second = api.created
    assert first["id"] != second["id"]


def test_an_alert_is_followed_until_it_is_done(api, send_alert):
    api.tell(
        under_way(0, {}, status="accepted", isEstimate=True),
        under_way(0.05, {"sent": 1, "accepted": 19}, isEstimate=True, ratePerSecond=1),
        under_way(0.5, {"sent": 8, "suppressed": 2, "accepted": 10}, ratePerSecond=1),
        under_way(1, {"sent": 18, "suppressed": 2}, status="done"),
        ended({"sent": 18, "suppressed": 2}),
    )

    status, output, errors = send_alert(*FOLLOW)

    assert (status, errors) == (0, "")
    assert output.splitlines()[1:] == [
        "50 %, 10 of 20, 1.0/s",
        "100 %, 20 of 20, done",
        "The alert is done: 18 sent, 2 suppressed.",
    ]
    assert len(api.requests) == 6


def test_an_alert_for_nobody_is_well(api, send_alert):
    api.tell(ended({}))

    status, output, errors = send_alert(*FOLLOW)

    assert (status, errors) == (0, "")
    assert output.endswith("The alert is done: there was nobody to send it to.\n")


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (ended({"sent": 2, "permanent-failure": 1}), "done: 2 sent, 1 permanent-failure"),
        (ended({"sent": 2, "temporary-failure": 1}), "done: 2 sent, 1 temporary-failure"),
        (ended({"sent": 2, "technical-failure": 1}), "done: 2 sent, 1 technical-failure"),
        (ended({"sent": 2, "expired": 1}), "done: 2 sent, 1 expired"),
        (ended({"sent": 2, "cancelled": 1}, status="cancelled"), "cancelled: 2 sent, 1 cancelled"),
        (ended({"sent": 2}, status="recalled"), "recalled: 2 sent"),
        (ended({}, status="expired"), "expired: there was nobody to send it to"),
    ],
)
def test_what_was_not_delivered_is_told(api, send_alert, state, said):
    api.tell(state)

    status, output, _ = send_alert(*FOLLOW)

    assert status == 1
    assert output.endswith(f"The alert is {said}.\n")


def test_five_reasons_are_told(api, send_alert):
    api.tell(ended({"sent": 1, "permanent-failure": 3, "temporary-failure": 4, "suppressed": 1}))
    blocked = {"code": "ConversationBlockedByUser", "detail": "The person\x1b[2J blocked the bot"}
    api.hold("permanent-failure", [{"id": "a", **blocked}], [{"id": "b", "code": "BadSyntax"}])
    api.hold("temporary-failure", [{"id": each} for each in "cdef"])
    api.hold("suppressed", [{"id": "g"}])

    status, _, errors = send_alert(*FOLLOW)

    assert status == 1
    assert errors.splitlines() == [
        "    a (permanent-failure): The person [2J blocked the bot",
        "    b (permanent-failure): BadSyntax",
        "    c (temporary-failure): no reason is recorded",
        "    d (temporary-failure): no reason is recorded",
        "    e (temporary-failure): no reason is recorded",
    ]


def test_reasons_that_cannot_be_asked_for_change_nothing(api, send_alert):
    api.tell(ended({"permanent-failure": 1}))
    api.answer(503, {"detail": "Storage sleeps"}, when=asks_for_deliveries)

    status, _, errors = send_alert(*FOLLOW)

    assert (status, errors) == (1, "The app refused the request (503): Storage sleeps\n")


@pytest.mark.parametrize("arguments", [(), ("--text",), (*TEXT, "--interest"), (*TEXT, "more")])
def test_wrong_usage_is_told(api, send_alert, arguments):
    status, _, errors = send_alert(*arguments)

    assert status == 2
    assert errors.startswith("usage: ")
    assert api.requests == []


def test_the_help_tells_the_exit_codes_and_no_key(send_alert):
    status, output, _ = send_alert("--help")

    assert status == 0
    for code in (0, 1, 2, 3, 130):
        assert f"\n    {code} " in output


def test_a_refusal_is_told(api, send_alert):
    api.answer(409, {"detail": "Another alert has this id", "code": "AlertExists"})

    assert send_alert(*FOLLOW) == (
        3,
        "",
        "The app refused the request (409 AlertExists): Another alert has this id\n",
    )


def test_an_app_that_does_not_answer_for_a_while_is_waited_for(api, send_alert):
    api.cut(when=is_poll)
    api.answer(503, when=is_poll)
    api.answer(429, when=is_poll)

    status, output, errors = send_alert(*FOLLOW)

    assert (status, errors) == (0, "")
    assert output.splitlines()[1:] == [
        f"{cut_off(api)} Asking again for 60 s ...",
        "100 %, 1 of 1, done",
        "The alert is done: 1 sent.",
    ]


def test_it_is_said_again_when_the_app_had_answered_meanwhile(api, send_alert, monkeypatch):
    monkeypatch.setattr(alerts_client, "PATIENCE_SECONDS", 0)
    api.tell(under_way(0, {"accepted": 1}), ended({"sent": 1}))
    polls = []

    def is_every_other_poll(request):
        if is_poll(request):
            polls.append(request)
        return is_poll(request) and len(polls) % 2 == 1

    api.answer(503, when=is_every_other_poll, times=math.inf)

    status, output, _ = send_alert(*FOLLOW)

    assert status == 0
    assert output.count("Asking again") == 2


def test_an_app_that_does_not_answer_any_more_is_given_up(api, send_alert, monkeypatch):
    monkeypatch.setattr(alerts_client, "PATIENCE_SECONDS", 0)
    api.cut(when=is_poll, times=math.inf)

    status, output, errors = send_alert(*FOLLOW)

    assert status == 3
    assert output.count("Asking again") == 1
    address = f"{api.api}/alerts/{api.created[0]['id']}"
    assert errors == f"{cut_off(api)} The alert goes on: {address}\n"


def test_a_refusal_while_it_is_followed_is_not_waited_out(api, send_alert):
    api.answer(404, {"detail": "There is no such alert", "code": "UnknownAlert"}, when=is_poll)

    status, _, errors = send_alert(*FOLLOW)

    assert status == 3
    assert errors == "The app refused the request (404 UnknownAlert): There is no such alert\n"
    assert len(api.requests) == 2


def test_ctrl_c_ends_the_following_and_not_the_alert(api):
    api.tell(under_way(0.5, {"sent": 1, "accepted": 1}))

    with api.called_by("alert", *FOLLOW) as command:
        # The alert was asked for once: the command waits for the answer or for the next time.
        api.wait_for(2)
        command.send_signal(signal.SIGINT)
        output, errors = command.communicate(timeout=60)

    assert (command.returncode, errors) == (130, "")
    address = f"{api.api}/alerts/{api.created[0]['id']}"
    assert output.endswith(f"\nNobody follows it any more; the alert goes on: {address}\n")
    assert api.key not in output


def test_ctrl_c_before_the_app_has_answered(api):
    api.block()

    with api.called_by("alert", *FOLLOW) as command:
        api.wait_for_waiting(1)
        command.send_signal(signal.SIGINT)
        output, errors = command.communicate(timeout=60)

    assert (command.returncode, errors) == (130, "")
    assert f"may have been accepted: {api.api}/alerts/{api.created[0]['id']}\n" in output


def test_a_terminal_shows_a_bar(api):
    api.tell(under_way(0.5, {"sent": 1, "accepted": 1}), ended({"sent": 2}))
    terminal, its_end = pty.openpty()

    with (
        os.fdopen(terminal, "rb", buffering=0) as screen,
        api.called_by("alert", *FOLLOW, stdout=its_end) as command,
    ):
        os.close(its_end)
        shown = read(screen)
        assert command.wait(timeout=60) == 0

    assert f"\r[{'#' * 9}{'.' * 10}]  50 %, 1 of 2" in shown
    assert shown.rstrip().endswith("\rThe alert is done: 2 sent.")
    assert max(len(part.rstrip("\n")) for part in shown.split("\r")[1:]) < 60


def read(screen) -> str:
    """Read until nobody writes any more, which on Linux is an error of its own."""
    shown = b""
    try:
        while part := screen.read(1024):
            shown += part
    except OSError:
        pass
    return shown.decode()


@pytest.mark.parametrize("text", ["", " \n"])
def test_nothing_is_not_sent_to_everybody(api, send_alert, text):
    status, _, errors = send_alert("--text", text)

    assert status == 2
    assert "it says nothing" in errors
    assert api.requests == []
