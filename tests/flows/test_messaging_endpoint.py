"""The messaging endpoint as anybody on the internet can call it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from typing import Any
from urllib.parse import quote

import pytest

from tests.flows.listening_app import ListeningApp, listening_app
from tests.flows.running_app import APP_ID, AppStorage
from tests.ReceiveActivity.activities import inbound
from tests.support.hostile_tokens import ACCEPTED, REFUSED, Forger
from tests.support.openid import make_signer

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


def cached(app: ListeningApp) -> dict[str, Mapping[str, Any]]:
    """The accounts that are listed, by user id."""
    listed = app.get("/api/accounts?pageSize=1000").json()["accounts"]
    return {account["userId"]: account for account in listed}


@pytest.mark.parametrize("case", ACCEPTED)
def test_what_the_connector_says_is_cached_without_calling_it(
    app: ListeningApp, forger: Forger, activity: dict[str, Any], user: str, case: str
):
    answer = app.post_activity(activity, f"Bearer {ACCEPTED[case](forger)}")

    assert (answer.status, answer.json()) == (200, {})
    assert cached(app)[user]["conversation"]["id"] == f"a:{user}"
    assert app.calls == []
    assert app.token_requests == []


@pytest.mark.parametrize("case", REFUSED)
def test_a_token_that_is_not_the_connectors_is_refused_alike_and_nothing_is_stored(
    app: ListeningApp, forger: Forger, activity: dict[str, Any], case: str
):
    before = app.storage.rows()

    answer = app.post_activity(activity, f"Bearer {REFUSED[case](forger)}")

    assert (answer.status, answer.json()) == (401, UNAUTHORIZED)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert app.storage.rows() == before
    assert app.storage.is_drained()


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer  ", "Basic dXNlcjpwYXNz"])
def test_a_call_without_a_token_is_refused(
    app: ListeningApp, activity: dict[str, Any], authorization: str | None
):
    before = app.storage.rows()

    answer = app.post_activity(activity, authorization)

    assert (answer.status, answer.json()) == (401, UNAUTHORIZED)
    assert app.storage.rows() == before


def test_a_header_of_100_kilobytes_is_refused(
    app: ListeningApp, forger: Forger, activity: dict[str, Any]
):
    before = app.storage.rows()
    status = None

    # A host takes no such header: it answers 431 and hangs up, maybe before all was sent.
    with suppress(ConnectionError):
        status = app.post_activity(activity, f"Bearer {forger.sign(padding='x' * 100_000)}").status

    assert status in (None, 401, 431)
    assert app.storage.rows() == before
    assert app.get("/api/health").status == 200


@pytest.mark.parametrize("name", ["token", "access_token", "Authorization", "code"])
def test_a_token_in_the_query_is_none(
    app: ListeningApp, forger: Forger, activity: dict[str, Any], name: str
):
    before = app.storage.rows()

    answer = app.post_activity(activity, None, f"?{name}={quote(f'Bearer {forger.sign()}')}")

    assert (answer.status, answer.json()) == (401, UNAUTHORIZED)
    assert app.storage.rows() == before


@pytest.mark.parametrize(
    "changes",
    [
        {"serviceUrl": "https://evil.example/amer/"},
        {"serviceUrl": "https://smba.trafficmanager.net/amer/"},
        {"serviceUrl": "{service_url}x"},
        {"serviceUrl": "{other_case}"},
        {"channelId": "slack"},
        {"channelId": "MSTEAMS"},
    ],
    ids=str,
)
def test_a_good_token_does_not_vouch_for_another_activity(
    app: ListeningApp,
    forger: Forger,
    activity: dict[str, Any],
    changes: dict[str, str],
):
    before = app.storage.rows()
    url = app.service_url
    urls = {"service_url": url, "other_case": url.replace("http", "HTTP")}
    forged = {name: value.format(**urls) for name, value in changes.items()}

    answer = app.post_activity({**activity, **forged}, f"Bearer {forger.sign()}")

    assert (answer.status, answer.json()) == (403, FORBIDDEN)
    assert app.storage.rows() == before


@pytest.mark.parametrize("field", ["serviceUrl", "channelId"])
def test_an_activity_that_does_not_say_what_the_token_is_for_is_not_taken(
    app: ListeningApp, forger: Forger, activity: dict[str, Any], field: str
):
    before = app.storage.rows()
    del activity[field]

    answer = app.post_activity(activity, f"Bearer {forger.sign()}")

    assert 400 <= answer.status < 404
    assert app.storage.rows() == before


@pytest.mark.parametrize(
    "untrusted",
    [
        "https://evil.example/amer/",
        "https://smba.trafficmanager.net.evil.example/",
        "https://evil.trafficmanager.net/amer/",
        "https://user@smba.trafficmanager.net/amer/",
        "http://smba.trafficmanager.net/amer/",
        "https://smba.infra.gov.teams.microsoft.us/teams",
        "http://127.0.0.1:9/amer/",
        "https://169.254.169.254/",
    ],
)
def test_a_service_url_that_is_rightly_signed_but_not_trusted_is_not_stored(
    app: ListeningApp, user: str, untrusted: str
):
    before = app.storage.rows()
    token = app.forger(untrusted).sign()

    answer = app.post_activity(inbound(untrusted, user), f"Bearer {token}")

    assert (answer.status, answer.json()) == (403, FORBIDDEN)
    assert app.storage.rows() == before


def test_no_body_is_looked_at_before_the_token_is_found_good(app: ListeningApp, forger: Forger):
    answers = [app.post_activity(b'{"broken', token) for token in (None, f"Bearer {forger.sign()}")]

    assert [answer.status for answer in answers] == [401, 400]
    assert answers[1].json()["errors"][0]["field"] == "(body)"


@pytest.mark.parametrize(
    "kind",
    [
        {"type": "event", "name": "something", "value": [1, "two"]},
        {"type": "invoke", "name": "adaptiveCard/action", "value": {"action": {}}},
        {"type": "typing"},
        {"type": "messageReaction", "reactionsAdded": [{"type": "like"}]},
        {"type": "inventedTomorrow", "invented": {"deeply": [[[]]]}},
    ],
    ids=lambda kind: kind["type"],
)
def test_activities_of_other_types_are_taken_and_forgotten(
    app: ListeningApp, forger: Forger, activity: dict[str, Any], kind: dict[str, Any]
):
    before = app.storage.rows()

    answer = app.post_activity({**activity, **kind}, f"Bearer {forger.sign()}")

    assert answer.status == 200
    assert app.storage.rows() == before
    assert app.calls == []


def test_a_key_that_the_connector_has_no_more_is_refused(
    app: ListeningApp, forger: Forger, activity: dict[str, Any]
):
    rotated_away = Forger(make_signer(2), APP_ID, app.service_url)

    answers = [
        app.post_activity(activity, f"Bearer {each.sign()}").status
        for each in (rotated_away, forger)
    ]

    assert answers == [401, 200]


@pytest.fixture
def another_app(
    tmp_path, storage, connector, identity
) -> Callable[..., AbstractContextManager[ListeningApp]]:
    """Runs the app with other settings."""

    def run(**changes: str) -> AbstractContextManager[ListeningApp]:
        return listening_app(tmp_path / "app", storage, connector, identity, **changes)

    return run


def test_while_the_metadata_is_down_the_caller_is_asked_to_come_again(
    another_app, storage: AppStorage, activity: dict[str, Any]
):
    with another_app() as app:
        app.openid.answer(500, times=9)
        before = storage.rows()

        answers = [app.post_activity(activity, f"Bearer {app.forger().sign()}") for _ in range(3)]

    for answer in answers:
        assert answer.status == 503
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["code"] == "SigningKeysUnavailable"
        assert int(answer.headers["Retry-After"]) > 0
    assert len(app.openid.requests) == 1
    assert storage.rows() == before


def test_in_development_without_an_app_id_activities_need_no_token(
    another_app, activity: dict[str, Any], user: str
):
    elsewhere = {**activity, "serviceUrl": "https://smba.trafficmanager.net/"}

    with another_app(MicrosoftAppId="", AZURE_FUNCTIONS_ENVIRONMENT="Development") as app:
        taken = app.post_activity(activity, None)
        refused = app.post_activity(elsewhere, None)
        known = cached(app)

    assert (taken.status, refused.status) == (200, 403)
    assert known[user]["serviceUrl"] == activity["serviceUrl"]


@pytest.mark.parametrize("marker", ["WEBSITE_SITE_NAME", "WEBSITE_INSTANCE_ID"])
def test_in_azure_nobody_is_taken_without_an_app_id_whatever_the_environment_is_called(
    another_app, storage: AppStorage, activity: dict[str, Any], marker: str
):
    before = storage.rows()
    in_azure = {"AZURE_FUNCTIONS_ENVIRONMENT": "Development", marker: "notify"}

    with another_app(MicrosoftAppId="", **in_azure) as app:
        answer = app.post_activity(activity, None)

    assert (answer.status, answer.json()["code"]) == (500, "InvalidSetting")
    assert "MicrosoftAppId" in answer.json()["detail"]
    assert storage.rows() == before
