"""`python -m local send`: what it asks the app for, what it says, how it exits."""

import math
import re
import signal
import sys
from collections.abc import Iterator

import pytest

from local import __main__ as command_line
from local import alerts_client
from tests.support.alerts_api import AlertsApi, ended, under_way

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MESSAGE = ("--to", "msteams/29:1-alex", "--text", "It shipped.")


def asks_for_deliveries(request):
    return "/deliveries" in request.path


@pytest.fixture
def api() -> Iterator[AlertsApi]:
    with AlertsApi() as api:
        yield api


@pytest.fixture
def send(api, monkeypatch, capsys):
    """Runs the command, and returns its exit status, its output and its errors."""
    for name, value in api.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(alerts_client, "POLL_SECONDS", 0)
    monkeypatch.setattr(alerts_client, "RETRY_SECONDS", 0)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["local", "send", *arguments])
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


def test_a_message_is_sent_to_one_person(api, send):
    status, output, errors = send(*MESSAGE)

    (alert,) = api.created
    assert UUID.fullmatch(alert["id"])
    assert alert == {
        "id": alert["id"],
        "recipients": [{"channelId": "msteams", "userId": "29:1-alex"}],
        "activity": {"text": "It shipped."},
    }
    assert (status, errors) == (0, "")
    assert output == (
        f"The message is accepted: {api.api}/alerts/{alert['id']}\nThe message was sent.\n"
    )
    assert {each.headers["x-functions-key"] for each in api.requests} == {api.key}


def test_each_message_has_an_id_of_its_own(api, send):
    send(*MESSAGE)
    send(*MESSAGE)

    first, second = api.created
    assert first["id"] != second["id"]


@pytest.mark.parametrize("user_id", ["a/b/c", "29:1-al:ex/", "alex@example.com", "/"])
def test_an_id_may_hold_anything(api, send, user_id):
    send("--to", f"slack/{user_id}", "--text", "Hello!")

    assert api.created[0]["recipients"] == [{"channelId": "slack", "userId": user_id}]


def test_what_becomes_of_it_is_waited_for(api, send):
    api.tell(
        under_way(0, {}, status="accepted", isEstimate=True),
        under_way(0, {"retrying": 1}),
        ended({"sent": 1}),
    )

    status, output, _ = send(*MESSAGE)

    assert status == 0
    assert output.endswith("The message was sent.\n")
    assert len(api.requests) == 4


@pytest.mark.parametrize(
    "outcome",
    [
        "permanent-failure",
        "temporary-failure",
        "technical-failure",
        "suppressed",
        "expired",
        "cancelled",
    ],
)
def test_what_was_not_sent_is_told_with_its_reason(api, send, outcome):
    api.tell(ended({outcome: 1}))
    # A page may be empty, and yet not be the last.
    api.hold(outcome, [], [{"id": "d", "code": "Because", "detail": "For a\nreason\x1b[2J."}])

    status, output, errors = send(*MESSAGE)

    assert status == 1
    assert errors == "The message was not sent: For a reason [2J.\n"
    assert "was sent" not in output
    assert api.requests[-1].query == {"status": outcome, "continuationToken": "1"}


@pytest.mark.parametrize(
    ("state", "deliveries", "reason"),
    [
        (ended({"permanent-failure": 1}), [{"id": "d", "code": "BadSyntax"}], "BadSyntax"),
        (ended({"permanent-failure": 1}), [], "permanent-failure"),
        (ended({}, status="expired"), [], "it is expired"),
        (ended({"cancelled": 1}, status="cancelled"), [], "cancelled"),
        (ended({"sent": 1}, status="recalled"), [], "it is recalled"),
    ],
)
def test_what_was_not_sent_for_no_known_reason(api, send, state, deliveries, reason):
    api.tell(state)
    api.hold("permanent-failure", deliveries)

    status, _, errors = send(*MESSAGE)

    assert (status, errors) == (1, f"The message was not sent: {reason}.\n")


def test_a_reason_that_cannot_be_asked_for_changes_nothing(api, send):
    api.tell(ended({"expired": 1}))
    api.answer(503, {"detail": "Storage sleeps"}, when=asks_for_deliveries)

    status, _, errors = send(*MESSAGE)

    assert status == 1
    assert errors == (
        "The app refused the request (503): Storage sleeps\nThe message was not sent: expired.\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--to", "msteams/29:1-alex"),
        ("--text", "It shipped."),
        (*MESSAGE, "--url", "ftp://127.0.0.1/api"),
        (*MESSAGE, "--url", "127.0.0.1:7071/api"),
        (*MESSAGE, "--url", "https://example.com/api?code=invented-function-key"),
        # Nobody on the way shall read the key.
        (*MESSAGE, "--url", "http://example.com/api"),
        (*MESSAGE, "--key", "invented\nfunction-key"),
    ],
)
def test_wrong_usage_is_told(api, send, arguments):
    status, _, errors = send(*arguments)

    assert status == 2
    assert errors.startswith("usage: ")
    assert api.requests == []


@pytest.mark.parametrize("recipient", ["alex", "msteams/", "/29:1-alex", ""])
def test_a_recipient_who_is_none_is_told(api, send, recipient):
    status, _, errors = send("--to", recipient, "--text", "Hello!")

    assert status == 2
    assert "expected channelId/userId" in errors
    assert api.requests == []


def test_the_help_tells_the_exit_codes_and_no_key(send):
    status, output, _ = send("--help")

    assert status == 0
    for code in (0, 1, 2, 3, 130):
        assert re.search(rf"^    {code}  ", output, re.MULTILINE)


def test_a_refusal_is_told_field_by_field(api, send):
    problem = {
        "title": "Bad Request",
        "status": 400,
        "detail": "recipients.0.userId: is too long; and\x1b[2J more",
        "code": "InvalidRequest",
        "errors": [
            {"field": "recipients.0.userId", "message": "is too long"},
            {"field": "activity", "message": "has\nno text"},
        ],
    }
    api.answer(400, problem, {"Content-Type": "application/problem+json"})

    status, output, errors = send(*MESSAGE)

    assert (status, output) == (3, "")
    shown = "recipients.0.userId: is too long; and [2J more"
    assert errors.splitlines() == [
        f"The app refused the request (400 InvalidRequest): {shown}",
        "    activity: has no text",
    ]
    assert len(api.requests) == 1


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, None, "(401) and gave no reason. It wants a function key: set SPEAK_FIRST_KEY right"),
        (404, None, "(404) and gave no reason. Is this its address?"),
        (418, "<h1>No</h1>", "(418) and gave no reason.\n"),
        (307, None, "(307) and gave no reason.\n"),
        (400, {"title": "Bad Request", "errors": {"a": ["b"]}}, "(400): Bad Request\n"),
        (400, [], "(400) and gave no reason.\n"),
        (200, "<h1>Hello</h1>", "is not the app. Is this its address?"),
        (200, {"id": "of something else"}, "is not the app. Is this its address?"),
    ],
)
def test_an_answer_that_says_nothing_is_told(api, send, status, body, said):
    headers = {"Location": f"{api.url}/elsewhere"} if status == 307 else {}
    api.answer(status, body, headers)

    code, output, errors = send(*MESSAGE)

    assert (code, output) == (3, "")
    assert said in errors
    assert len(api.requests) == 1


def test_a_wrong_key_is_told(api, send):
    status, _, errors = send(*MESSAGE, "--key", "another-key")

    assert status == 3
    assert "It wants a function key" in errors
    assert "another-key" not in errors
    assert api.requests[0].headers["x-functions-key"] == "another-key"


def test_no_key_and_a_key_with_a_line_end(api, send, monkeypatch):
    monkeypatch.setenv("SPEAK_FIRST_KEY", f"{api.key}\n")
    assert send(*MESSAGE)[0] == 0

    monkeypatch.delenv("SPEAK_FIRST_KEY")
    assert send(*MESSAGE)[0] == 3
    assert api.requests[-1].headers["x-functions-key"] is None


def test_a_connection_that_is_cut_is_tried_again_for_the_same_alert(api, send):
    api.cut(times=2)

    status, output, errors = send(*MESSAGE)

    assert (status, errors) == (0, "")
    assert output.endswith("The message was sent.\n")
    assert len(api.created) == 3
    assert len({each["id"] for each in api.created}) == 1


def test_a_connection_that_is_always_cut_is_told(api, send):
    api.cut(times=math.inf)

    status, output, errors = send(*MESSAGE)

    assert (status, output) == (3, "")
    assert len(api.created) == 3
    assert errors == (
        f"The app at {api.api} cannot be reached: the connection was cut off. "
        f"It may have accepted alert {api.created[0]['id']} all the same.\n"
    )


def test_an_app_that_is_not_there_is_told(send):
    with AlertsApi() as gone:
        url = gone.api

    assert send(*MESSAGE, "--url", url) == (
        3,
        "",
        f"The app at {url} cannot be reached: nothing answers there.\n",
    )


def test_an_app_that_is_silent_is_told(api, send, monkeypatch):
    monkeypatch.setattr(alerts_client, "READ_SECONDS", 0.05)
    api.block()

    status, _, errors = send(*MESSAGE)

    assert status == 3
    assert "it did not answer in time" in errors
    assert len({each["id"] for each in api.created}) == 1


def test_a_proxy_is_not_for_this_machine(api, send, monkeypatch):
    with AlertsApi() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)

        assert send(*MESSAGE)[0] == 0
        assert proxy.requests == []


def test_it_runs_from_a_shell(api):
    with api.called_by("send", *MESSAGE, "--url", f"{api.api}/") as command:
        output, errors = command.communicate(timeout=60)

    assert (command.returncode, errors) == (0, "")
    assert output.endswith("The message was sent.\n")
    assert api.requests[0].path == "/api/alerts"


def test_ctrl_c_ends_the_waiting_and_not_the_message(api):
    api.tell(under_way(0, {"retrying": 1}))

    with api.called_by("send", *MESSAGE) as command:
        # The message was asked for once: the command waits for the answer or for the next time.
        api.wait_for(2)
        command.send_signal(signal.SIGINT)
        output, errors = command.communicate(timeout=60)

    assert (command.returncode, errors) == (130, "")
    address = f"{api.api}/alerts/{api.created[0]['id']}"
    assert output.endswith(f"\nNobody waits for it any more; the message goes on: {address}\n")
