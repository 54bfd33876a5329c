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
    no_prefix = {"extensions": {"http": {"routePrefix": ""}}}
    app = write_app(tmp_path_factory.mktemp("auth") / "app", APP, no_prefix)
    with HostProcess(app, "--enable-auth", LocalFunctionKey=KEY) as host:
        yield host


@pytest.mark.parametrize("path", ["/closed", "/admin-only"])
def test_a_key_opens_as_header_or_query_and_nothing_else_does(host, path):
    queries = ("", "?code=wrong", "?code=", "?code=%C3%BC", f"?code={KEY}")
    keys = ("wrong", "a-key-for-tests-\xfc", KEY[:-1], KEY)
    by_query = [host.get(path + query) for query in queries]
    by_header = [host.get(path, x_functions_key=key) for key in keys]

    assert [answer.status for answer in by_query] == [401, 401, 401, 401, 200]
    assert [answer.status for answer in by_header] == [401, 401, 401, 200]
    assert {answer.body for answer in (*by_query[:-1], *by_header[:-1])} == {b""}


def test_an_anonymous_function_asks_for_no_key(host):
    assert host.ready_line == f"Listening on http://127.0.0.1:{host.port} (3 functions)\n"
    assert host.get("/open").body == b"open"


def test_the_log_does_not_hold_the_key(host):
    host.get(f"/closed?code={KEY}")

    assert "GET /closed answered 200" in host.log()
    assert KEY not in host.log()


def test_without_the_option_no_key_is_asked_for(tmp_path):
    with HostProcess(write_app(tmp_path / "app", APP), LocalFunctionKey="set") as host:
        assert host.get("/api/closed").status == 200
        assert host.get("/api/admin-only").status == 200
