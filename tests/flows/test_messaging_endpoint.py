"""The messaging endpoint, of which anybody on the Internet can call it.

Which tokens are good is tested where tokens are read; here is what the endpoint makes of that.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from typing import Any
from urllib.parse import quote

import pytest

from tests.flows.listening_app import ListeningApp, listening_app
from tests.ReceiveActivity.activities import inbound
from tests.support.hostile_tokens import REFUSED, Forger

UNAUTHORIZED = {
    "type": "about:blank",
    "title": "Unauthorized",
    "status": 401,
    "detail": "The call was not authenticated as the Bot Connector's",
    "code": "Unauthorized",
}
FORBIDDEN = {
    "type": "about:blank",
    "title": "Forbidden",
    "status": 403,
    "detail": "The token is not good for this activity",
    "code": "Forbidden",
}


@pytest.fixture(scope="module")
def module_app(folder, storage, connector, identity) -> Iterator[ListeningApp]:
    with listening_app(folder, storage, connector, identity) as app:
        yield app


@pytest.fixture
def forger(app: ListeningApp) -> Forger:
    return app.forger()


@pytest.fixture
def activity(app: ListeningApp, user: str) -> dict[str, Any]:
    return inbound(app.service_url, user)


@pytest.fixture
def untouched(app: ListeningApp) -> Iterator[ListeningApp]:
    """The app, which must store nothing and put nothing on a queue."""
    before = app.storage.rows()
    yield app
    assert app.storage.rows() == before
    assert app.storage.is_drained()
    assert app.calls == app.token_requests == []


def test_what_the_connector_says_is_cached_without_calling_it(
    app: ListeningApp, forger: Forger, activity: dict[str, Any], user: str
):
    answer = app.post_activity(activity, f"Bearer {forger.sign()}")

    assert (answer.status, answer.json()) == (200, {})
    assert app.account("msteams", user)["conversation"]["id"] == f"a:{user}"
    assert app.calls == app.token_requests == []


def test_who_is_not_the_connector_is_refused_alike(
    untouched: ListeningApp, forger: Forger, activity: dict[str, Any]
):
    good = f"Bearer {forger.sign()}"
    callers: dict[str, tuple[str | None, str]] = {
        "no header": (None, ""),
        "an empty header": ("", ""),
        "no token": ("Bearer  ", ""),
        "a password": ("Basic dXNlcjpwYXNz", ""),
        "in the query": (None, f"?access_token={quote(good)}&code={quote(good)}"),
        **{case: (f"Bearer {REFUSED[case](forger)}", "") for case in [*REFUSED][:3]},
    }

    for name, (authorization, query) in callers.items():
        answer = untouched.post_activity(activity, authorization, query)

        assert (name, answer.status, answer.json()) == (name, 401, UNAUTHORIZED)
        assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_header_of_100_kilobytes_is_refused(
    untouched: ListeningApp, forger: Forger, activity: dict[str, Any]
):
    status = None

    # A host takes no such header: it answers 431 and hangs up, maybe before all was sent.
    with suppress(ConnectionError):
        token = forger.sign(padding="x" * 100_000)
        status = untouched.post_activity(activity, f"Bearer {token}").status

    assert status in (None, 401, 431)
    assert untouched.get("/api/health").status == 200


def test_a_good_token_does_not_vouch_for_another_activity(
    untouched: ListeningApp, forger: Forger, activity: dict[str, Any]
):
    for changes in (
        {"serviceUrl": "https://smba.trafficmanager.net/amer/"},
        {"serviceUrl": f"{untouched.service_url}x"},
        {"serviceUrl": untouched.service_url.replace("http", "HTTP")},
        {"channelId": "inventedTomorrow"},
    ):
        answer = untouched.post_activity({**activity, **changes}, f"Bearer {forger.sign()}")

        assert (changes, answer.status, answer.json()) == (changes, 403, FORBIDDEN)

    for field in ("serviceUrl", "channelId"):
        without = {name: value for name, value in activity.items() if name != field}
        answer = untouched.post_activity(without, f"Bearer {forger.sign()}")

        assert answer.status in (400, 401, 403), field


def test_no_body_is_looked_at_before_the_token_is_found_good(
    untouched: ListeningApp, forger: Forger
):
    tokens = (None, f"Bearer {forger.sign()}")
    answers = [untouched.post_activity(b'{"broken', token) for token in tokens]

    assert [answer.status for answer in answers] == [401, 400]
    assert answers[1].json()["errors"][0]["field"] == "(body)"


def test_who_waits_for_an_answer_gets_one_of_the_right_form(
    untouched: ListeningApp, forger: Forger, activity: dict[str, Any]
):
    # An empty one is an error there: https://github.com/microsoft/botbuilder-js/issues/4445
    text = "Diese Schaltfläche tut hier nichts."
    message = {"type": "application/vnd.microsoft.activity.message", "value": text}
    for name, expected in {
        "adaptiveCard/action": {"statusCode": 200, **message},
        "task/fetch": {"task": {"type": "message", "value": text}},
        "composeExtension/query": {"composeExtension": {"type": "message", "text": text}},
        "inventedTomorrow": {"statusCode": 200, **message},
        "message/submitAction": None,
        "handoff/action": None,
    }.items():
        invoke = {**activity, "type": "invoke", "name": name, "value": {"action": {}}}

        answer = untouched.post_activity(invoke, f"Bearer {forger.sign()}")

        assert answer.status == 200
        assert (answer.json() if answer.body else None) == expected, name


@pytest.fixture
def another_app(
    tmp_path, storage, connector, identity
) -> Callable[..., AbstractContextManager[ListeningApp]]:
    """Runs the app with other settings."""

    def run(**changes: str) -> AbstractContextManager[ListeningApp]:
        return listening_app(tmp_path / "app", storage, connector, identity, **changes)

    return run


def test_in_development_without_an_app_id_activities_need_no_token(
    another_app, activity: dict[str, Any], user: str
):
    elsewhere = {**activity, "serviceUrl": "https://smba.trafficmanager.net/"}

    with another_app(MicrosoftAppId="", AZURE_FUNCTIONS_ENVIRONMENT="Development") as app:
        taken = app.post_activity(activity, None)
        refused = app.post_activity(elsewhere, None)
        known = app.account("msteams", user)

    assert (taken.status, refused.status) == (200, 403)
    assert known["serviceUrl"] == activity["serviceUrl"]
