from collections.abc import Iterator

import pytest

from tests.local.host_process import HostProcess, write_app

APP = """
import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


@app.route("open", auth_level=func.AuthLevel.ANONYMOUS)
def open_to_all(req: func.HttpRequest) -> str:
    return "open"


@app.route("closed")
def closed(req: func.HttpRequest) -> str:
    return "closed"


@app.route("admin-only", auth_level=func.AuthLevel.ADMIN)
def admin_only(req: func.HttpRequest) -> str:
    return "admin"
"""

KEY = "a-key-for-tests-u"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    app = write_app(tmp_path_factory.mktemp("auth") / "app", APP)
    with HostProcess(app, "--enable-auth", LocalFunctionKey=KEY) as host:
        yield host


@pytest.mark.parametrize("path", ["/api/closed", "/api/admin-only"])
@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("", {}),
        ("?code=wrong", {}),
        ("?code=", {}),
        ("?code=%C3%BC", {}),
        ("", {"x-functions-key": "wrong"}),
        ("", {"x-functions-key": "a-key-for-tests-\xfc"}),
        ("", {"x-functions-key": "a-key-for-tests-"}),
    ],
)
def test_a_wrong_key_or_none_is_refused(host, path, query, headers):
    answer = host.request("GET", path + query, headers=headers)

    assert (answer.status, answer.body) == (401, b"")


@pytest.mark.parametrize("path", ["/api/closed", "/api/admin-only"])
@pytest.mark.parametrize(
    ("query", "headers"),
    [("?code=a-key-for-tests-u", {}), ("", {"X-Functions-Key": "a-key-for-tests-u"})],
)
def test_the_key_opens_as_header_or_query(host, path, query, headers):
    assert host.request("GET", path + query, headers=headers).status == 200


def test_an_anonymous_function_asks_for_no_key(host):
    assert host.get("/api/open").body == b"open"


def test_the_log_does_not_hold_the_key(host):
    host.get("/api/closed?code=a-key-for-tests-u")

    assert "GET /api/closed answered 200" in host.log()
    assert "a-key-for-tests" not in host.log()


def test_without_the_option_no_key_is_asked_for(tmp_path):
    with HostProcess(write_app(tmp_path / "app", APP), LocalFunctionKey="set") as host:
        assert host.get("/api/closed").status == 200
        assert host.get("/api/admin-only").status == 200
