"""The app as the Functions host sees it, imported in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from local.environment import read_host_json
from shared.messages.queue_names import QUEUES
from shared.triggers.queue import LAST_TRY

PROJECT = Path(__file__).parents[1]
# Prints what the import of the app does, loads and registers.
LOOK = """
import json, sys
happened = []
# Not socket.bind: urllib3 tries out whether the machine has IPv6.
WATCHED = ("socket.connect", "socket.get", "socket.send", "subprocess.", "os.", "shutil.")
READS = ("os.listdir", "os.scandir")
def watch(event, arguments):
    if event.startswith(WATCHED) and event not in READS:
        happened.append(event)
    if event == "open":
        path, mode, _flags = arguments
        if mode is not None and set(mode) & set("wax+"):
            happened.append(f"open {path}")
        if isinstance(path, str) and path.endswith(("host.json", "settings.json", ".env")):
            happened.append(f"read {path}")
sys.dont_write_bytecode = True
sys.addaudithook(watch)
import function_app
seen = {"happened": happened, "modules": sorted(sys.modules)}
import SendActivity.service
import shared.auth.managed_identity
seen["sending"] = sorted(sys.modules)
seen["bindings"] = {
    function.get_function_name(): json.loads(str(function))["bindings"]
    for function in function_app.app.get_functions()
}
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def seen():
    # Settings that are wrong are no reason to lose all functions.
    environment = {"PATH": "", "BotCloud": "Mars", "ConnectorTimeoutSeconds": "soon"}
    done = subprocess.run(
        [sys.executable, "-c", LOOK],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def triggers(seen):
    """Each function's trigger, by the function's name."""
    return {
        name: next(binding for binding in bindings if binding["type"].endswith("Trigger"))
        for name, bindings in seen["bindings"].items()
    }


def test_only_the_connector_and_a_look_at_the_health_need_no_key(triggers):
    levels = {
        name: trigger["authLevel"]
        for name, trigger in triggers.items()
        if trigger["type"] == "httpTrigger"
    }
    anonymous = {name for name, level in levels.items() if level == "ANONYMOUS"}

    assert anonymous == {"ReceiveActivity", "CheckHealth"}
    assert set(levels.values()) == {"ANONYMOUS", "FUNCTION"}


def test_each_queue_has_its_function(triggers):
    queue_triggers = [each for each in triggers.values() if each["type"] == "queueTrigger"]

    assert sorted(each["queueName"] for each in queue_triggers) == sorted(QUEUES)
    assert {each["connection"] for each in queue_triggers} == {"AzureWebJobsStorage"}
    # Of a text, the host would take what it says of itself for what the queue knows of it.
    assert {each.get("dataType") for each in queue_triggers} == {"BINARY"}


def test_old_records_are_removed_every_hour_and_not_each_time_the_app_starts(triggers):
    trigger = triggers["RemoveOldRecords"]

    assert trigger["type"] == "timerTrigger"
    assert trigger["schedule"] == "0 17 * * * *"
    assert trigger["runOnStartup"] is False


# At import


def test_importing_the_app_connects_to_nothing_and_writes_nothing(seen):
    assert seen["happened"] == []


def test_what_only_some_invocations_need_is_not_loaded_with_the_app(seen):
    late = ("azure.data", "azure.identity", "azure.storage", "cryptography", "jwt", "msal")

    assert [name for name in seen["modules"] if name.startswith(late)] == []


def test_of_a_folder_only_its_triggers_are_loaded_before_they_are_called(seen):
    folders = {file.parent.name for file in PROJECT.glob("*/triggers.py")}
    loaded = {name for name in seen["modules"] if name.partition(".")[0] in folders}

    assert loaded == folders | {f"{folder}.triggers" for folder in folders}


def test_a_message_to_one_person_loads_nothing_of_alerts_and_of_other_credentials(seen):
    others = ("shared.alerts", "azure.core", "azure.identity", "cryptography")

    assert [name for name in seen["sending"] if name.startswith(others)] == []


def test_the_real_app_was_looked_at(seen):
    assert {"function_app", "shared.wiring", "pydantic", "requests"} <= set(seen["modules"])
    assert "shared.sending.connector_call" in seen["sending"]


# Around the app


def test_the_folders_hold_no_function_json():
    assert [*PROJECT.glob("function.json"), *PROJECT.glob("[A-Z]*/**/function.json")] == []


@pytest.fixture(scope="module")
def host():
    return read_host_json(PROJECT / "host.json")


def test_the_host_reads_messages_as_we_write_them_and_has_routes_below_api(host):
    assert (host.message_encoding, host.route_prefix) == ("base64", "api")


def test_the_hosts_retries_outlast_twenty_minutes_without_storage(host):
    waits = host.max_dequeue_count - 1

    assert waits * host.visibility_timeout.total_seconds() >= 20 * 60
    assert host.max_dequeue_count == LAST_TRY


def test_a_function_has_time_for_a_call_and_for_waiting_for_another():
    timeout = json.loads((PROJECT / "host.json").read_text())["functionTimeout"]

    hours, minutes, seconds = map(int, timeout.split(":"))
    # The longest ConnectorTimeoutSeconds, twice.
    assert hours * 3600 + minutes * 60 + seconds > 2 * 100
