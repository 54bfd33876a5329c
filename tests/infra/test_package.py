"""What is deployed: exactly the app, whole; and whether it can be told that it works."""

import base64
import json
import re
import subprocess
import sys
import zipfile
from fnmatch import fnmatch

import pytest

from infra import build_package
from infra.build_package import PACKAGE, copy_app, python_in_azure, what_ships, zip_folder
from SendActivity.request import SendRequest
from tests.flows.running_app import AppStorage, RunningApp, running_app
from tests.infra.files import INFRA, PROJECT
from tests.support.connector import StubConnector
from tests.support.identity import StubIdentity

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


def smoke_test(url: str, *arguments: str, key: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, INFRA / "smoke_test.py", url, *arguments],
        env={"FUNCTION_KEY": key, "NO_PROXY": "*"},
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


def test_no_other_python_builds_the_package(monkeypatch):
    monkeypatch.setattr(build_package, "python_in_azure", lambda: "3.99")
    monkeypatch.setattr(sys, "argv", ["build_package.py"])

    with pytest.raises(SystemExit, match=r"built by Python 3\.99"):
        build_package.main()


def test_the_package_is_where_nothing_is_committed():
    assert python_in_azure() == "3.13"
    assert PACKAGE.relative_to(PROJECT).parts[0] == ".local"


def test_what_azd_says_at_the_end_can_be_done():
    names = {"API_URL": "https://app/api", "BOT_APP_ID": "1", "AZURE_STORAGE_ACCOUNT_NAME": "st1"}
    said = subprocess.run(
        ["sh", INFRA / "next_steps.sh"], env=names, capture_output=True, text=True, check=True
    ).stdout

    assert set(re.findall(r"\$(\w+)", (INFRA / "next_steps.sh").read_text())) == names.keys()
    command = said[said.index("az storage") :].replace("az storage", "echo")
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    options, _, content = done.stdout.rpartition(" ")
    assert options.startswith("message put --auth-mode login --account-name st1 --queue-name send")
    message = json.loads(base64.b64decode(content))
    recipient = SendRequest.from_json(message).recipient
    assert recipient is not None
    assert recipient.user_id == "ID"


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


def test_a_message_that_never_arrives_is_told_so(app: RunningApp):
    done = smoke_test(url_of(app), "--delivery", "never", "--patience", "0", key=KEY)

    assert done.returncode == 1
    assert "the delivery: 404" in done.stderr


def test_an_app_that_is_not_there_is_told_so():
    done = smoke_test("http://127.0.0.1:9", "--patience", "0")

    assert done.returncode == 1
    assert "GET /api/health: 0" in done.stderr
