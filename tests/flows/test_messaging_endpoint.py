"""The messaging endpoint, of which anybody on the Internet can call it.

Which tokens are good is tested where tokens are read; here is what the endpoint makes of that.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.flows.listening_app import ListeningApp
from tests.ReceiveActivity.activities import inbound
from tests.support.hostile_tokens import REFUSED, Forger


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

        assert (name, answer.status, answer.json()["code"]) == (name, 401, "Unauthorized")


def test_a_good_token_does_not_vouch_for_another_activity(
    untouched: ListeningApp, forger: Forger, activity: dict[str, Any]
):
    for changes in (
        {"serviceUrl": "https://smba.trafficmanager.net/amer/"},
        {"channelId": "inventedTomorrow"},
    ):
        answer = untouched.post_activity({**activity, **changes}, f"Bearer {forger.sign()}")

        assert (answer.status, answer.json()["code"]) == (403, "Forbidden")


def test_no_body_is_looked_at_before_the_token_is_found_good(
    untouched: ListeningApp, forger: Forger
):
    tokens = (None, f"Bearer {forger.sign()}")
    answers = [untouched.post_activity(b'{"broken', token) for token in tokens]

    assert [answer.status for answer in answers] == [401, 400]
    assert answers[1].json()["errors"][0]["field"] == "(body)"
