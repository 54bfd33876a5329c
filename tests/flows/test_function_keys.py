import pytest

from tests.flows.running_app import running_app

KEY = "a-key-that-only-callers-know"

ROUTES = [
    ("POST", "/api/conversations"),
    ("GET", "/api/conversations/a"),
    ("POST", "/api/conversations/a/activities"),
    ("PUT", "/api/accounts/msteams/a"),
    ("GET", "/api/accounts/msteams/a"),
    ("DELETE", "/api/accounts/msteams/a"),
]


@pytest.fixture(scope="module")
def module_app(folder, storage, connector, identity):
    """The app in a host that asks for keys, as Azure does."""
    with running_app(
        folder, storage, connector, identity, "--enable-auth", LocalFunctionKey=KEY
    ) as app:
        yield app


def test_nothing_is_answered_without_the_key(app):
    for method, path in ROUTES:
        for headers in ({}, {"x-functions-key": "wrong"}):
            answer = app.host.request(method, path, b"{}", headers)

            assert (path, answer.status, answer.body) == (path, 401, b"")


def test_the_key_lets_in(app):
    for method, path in ROUTES:
        answer = app.host.request(method, path, b"{}", {"x-functions-key": KEY})

        assert answer.status in (204, 400, 404), path


def test_health_is_open_to_everybody(app):
    answer = app.get("/api/health")

    assert (answer.status, answer.json()) == (200, {"status": "ok"})
    assert app.identity.requests == []
