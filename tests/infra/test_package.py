"""What is deployed: exactly the app, whole; and whether it can be told that it works."""

import base64
import json
import re
import subprocess
import sys
import zipfile
from fnmatch import fnmatch

import pytest

from infra.build_package import PACKAGE, copy_app, find_python, what_ships, zip_folder
from SendActivity.request import SendRequest
from tests.flows.running_app import AppStorage, RunningApp, running_app
from tests.infra.templates import INFRA, PROJECT
from tests.support.connector import StubConnector
from tests.support.identity import StubIdentity
from tests.support.stub_server import Answer, ReceivedRequest, StubServer

KEY = "a-key-that-only-callers-know"
EXPIRED = {
    "recipient": {"channelId": "msteams", "userId": "smoke-test"},
    "activity": {"text": "Nobody reads this."},
    "expiresAt": "2000-01-01T00:00:00Z",
}


@pytest.fixture
def package(tmp_path):
    copy_app(tmp_path / "package")
    return tmp_path / "package"


@pytest.fixture(scope="module")
def app(azurite, tmp_path_factory):
    """The app in a host that asks for keys, as Azure does."""
    storage = AppStorage(azurite.connection_string)
    storage.clear()
    storage.make_queue("send-activity")
    folder = tmp_path_factory.mktemp("smoke") / "app"
    with (
        StubConnector() as connector,
        StubIdentity() as identity,
        running_app(
            folder, storage, connector, identity, "--enable-auth", LocalFunctionKey=KEY
        ) as app,
    ):
        yield app
    storage.clear()
    storage.close()


def url_of(app: RunningApp) -> str:
    return f"http://127.0.0.1:{app.host.port}"


def smoke_test(
    url: str, *arguments: str, key: str = "", token: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, INFRA / "smoke_test.py", url, *arguments],
        env={"FUNCTION_KEY": key, "ENTRA_TOKEN": token, "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_app_runs_from_what_ships(package):
    look = "from function_app import app; print([str(each) for each in app.get_functions()])"
    done = subprocess.run(
        [sys.executable, "-c", look],
        cwd=package,
        env={"PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert '"queueName": "send-activity"' in done.stdout


def test_nothing_else_ships(package):
    found = {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()}

    assert found
    assert all(
        path in ("host.json", "requirements.txt") or path.endswith(".py") for path in found
    ), found
    assert not [path for path in found if "local" in path or "test" in path]


def test_other_tools_ship_the_same():
    # func and VS Code go by .funcignore.
    ignored = (PROJECT / ".funcignore").read_text().split()
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    top = {path.partition("/")[0] for path in listed}

    assert (
        sorted(name for name in top if not any(fnmatch(name, pattern) for pattern in ignored))
        == what_ships()
    )


def test_the_same_files_make_the_same_zip_file_with_hidden_folders_in_it(package, tmp_path):
    hidden = package / ".python_packages/lib/site-packages/requests/__init__.py"
    hidden.parent.mkdir(parents=True)
    hidden.write_text("")

    zip_folder(package, tmp_path / "one.zip")
    (package / "host.json").touch()
    zip_folder(package, tmp_path / "two.zip")

    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        assert hidden.relative_to(package).as_posix() in archive.namelist()
        assert "function_app.py" in archive.namelist()


@pytest.fixture
def path(tmp_path, monkeypatch):
    """The only folder on the PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_the_python_that_runs_it_is_asked_for_its_packages(path):
    for name, result in {"python3.99": 1, "py": 1, "uv": 0}.items():
        (path / name).write_text(f"#!/bin/sh\nexit {result}\n")
        (path / name).chmod(0o755)

    # One without pip is of no use.
    assert find_python("3.99")[:2] == ["uv", "run"]
    (path / "python3.99").write_text("#!/bin/sh\nexit 0\n")
    assert find_python("3.99") == ["python3.99"]


def test_without_that_python_it_is_said_what_to_install(path):
    with pytest.raises(SystemExit, match=r"Install Python 3\.99, or uv"):
        find_python("3.99")


def test_the_package_is_where_nothing_is_committed():
    assert PACKAGE.relative_to(PROJECT).parts[0] == ".local"


def last_words(**variables: str) -> str:
    said = subprocess.run(
        ["sh", INFRA / "next_steps.sh"], env=variables, capture_output=True, text=True, check=True
    )
    assert not said.stderr
    return said.stdout


def test_what_azd_says_at_the_end_can_be_done(default):
    names = {"API_URL": "https://app/api", "BOT_APP_ID": "1", "AZURE_STORAGE_ACCOUNT_NAME": "st1"}
    said = last_words(**names)

    used = set(re.findall(r"\$(\w+)", (INFRA / "next_steps.sh").read_text()))
    assert used == names.keys() | {"ALERT_EMAILS"}
    assert names.keys() <= default["outputs"].keys()
    command = said[said.index("az storage") : said.index("\n\nWhen")].replace("az storage", "echo")
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    options, _, content = done.stdout.rpartition(" ")
    assert options.startswith("message put --auth-mode login --account-name st1 --queue-name send")
    recipient = SendRequest.from_json(json.loads(base64.b64decode(content))).recipient
    assert recipient is not None
    assert recipient.user_id == "ID"


def test_who_is_told_of_failures_is_asked_for_where_nobody_is():
    assert "ALERT_EMAILS" in last_words()
    assert "ALERT_EMAILS" not in last_words(ALERT_EMAILS="somebody@example.com")


def test_a_working_app_is_told_so(app: RunningApp):
    app.storage.put("send-activity", {"id": "smoke-test-1", **EXPIRED})

    done = smoke_test(url_of(app), "--delivery", "smoke-test-1", "--patience", "30", key=KEY)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "GET /api/health: ok",
        "POST /api/messages without a token: 401",
        "GET /api/accounts without a key: 401",
        "POST /api/alerts, a dry run: 200",
        "the delivery: expired",
    ]
    assert app.connector.requests == []


class GuardedApp(StubServer):
    """An app that also wants a token of Entra."""

    def default_answer(self, request: ReceivedRequest) -> Answer:
        if request.path == "/api/health":
            return Answer(200, {"status": "ok"})
        known = request.headers["Authorization"] == "Bearer of-entra"
        return Answer(200 if known and request.headers["x-functions-key"] == KEY else 401, {})


def test_a_token_goes_with_the_key_where_the_app_wants_one():
    with GuardedApp() as app:
        assert smoke_test(app.url, key=KEY, token="of-entra").returncode == 0
        assert smoke_test(app.url, key=KEY).returncode == 1


def test_key_and_token_go_nowhere_else():
    with GuardedApp() as app, GuardedApp() as elsewhere:
        location = {"Location": f"{elsewhere.url}/api/alerts"}
        app.answer(302, headers=location, when=lambda asked: "x-functions-key" in asked.headers)
        done = smoke_test(app.url, key=KEY, token="of-entra")
        assert done.returncode == 1
        assert "a dry run: 302, expected 200" in done.stderr
        assert elsewhere.requests == []


@pytest.mark.parametrize("url", ["http://example.com", "file://localhost/etc", "example.com", ""])
def test_no_other_address_is_asked(url):
    done = smoke_test(url, "--patience", "0", key=KEY)

    assert done.returncode == 2
    assert "the URL must be https" in done.stderr


@pytest.mark.parametrize("body", [[], 7, "ok", "<h1>No</h1>"])
def test_an_answer_that_is_no_object_is_told_so(body):
    with GuardedApp() as app:
        app.answer(200, body)
        done = smoke_test(app.url, "--patience", "0")

    assert done.returncode == 1
    assert done.stderr.startswith("GET /api/health: 0 no answer, expected")


def test_a_message_that_never_arrives_is_told_so(app: RunningApp):
    done = smoke_test(url_of(app), "--delivery", "never", "--patience", "0", key=KEY)

    assert done.returncode == 1
    assert "the delivery: 404" in done.stderr


def test_an_app_that_is_not_there_is_told_so():
    done = smoke_test("http://127.0.0.1:9", "--patience", "0")

    assert done.returncode == 1
    assert "GET /api/health: 0" in done.stderr
