"""What is named in the code is what is deployed."""

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from infra.build_package import what_ships
from shared.connector.errors import ConnectorError
from shared.errors import BotCredentialError
from shared.sending.telemetry import Outcome
from shared.settings import STORAGE, Settings
from tests.infra.templates import INFRA, PROJECT, names, resources, the
from tests.support.app import app_functions, settings_in_code

SHIPPED = [path for name in what_ships() for path in sorted((PROJECT / name).rglob("*.py"))]
BINDINGS = {
    function.get_function_name(): trigger.get_dict_repr()
    for function in app_functions()
    if (trigger := function.get_trigger())
}

# Only for development, so not in Azure; or only in Azure, where storage is reached by identity.
OF_DEVELOPMENT = {STORAGE, f"{STORAGE}__accountName", "LocalFunctionKey"}
OF_AZURE = {
    f"{STORAGE}__{part}"
    for part in ("tableServiceUri", "queueServiceUri", "clientId", "credential", "accountName")
}
# The Functions host or a library reads these, and we do not.
OF_OTHERS = {
    f"{STORAGE}__blobServiceUri",
    "PYDANTIC_DISABLE_PLUGINS",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
}
NOT_ON_FLEX = (
    "FUNCTIONS_WORKER_RUNTIME",
    "FUNCTIONS_EXTENSION_VERSION",
    "WEBSITE_",
    "SCM_",
    "ENABLE_ORYX",
)
# What a running resource knows is told to the app as an expression.
ENDPOINTS = {
    f"{STORAGE}__tableServiceUri": "https://st1.table.core.windows.net",
    f"{STORAGE}__queueServiceUri": "https://st1.queue.core.windows.net",
}


@pytest.fixture(scope="session")
def example() -> dict[str, str]:
    text = (PROJECT / "local.settings.example.json").read_text()
    values: dict[str, str] = json.loads(text)["Values"]
    return values


# Settings


def test_a_setting_of_the_code_is_in_the_example(example):
    # Only the Core Tools read it.
    named = example.keys() - {"FUNCTIONS_WORKER_RUNTIME"}

    assert named == (settings_in_code() - OF_AZURE) | {"LocalFunctionKey"}


def test_a_setting_of_the_code_is_set_in_azure(default):
    deployed = the(default, "Web/sites/config", "/appsettings").keys()

    assert deployed == (settings_in_code() - OF_DEVELOPMENT) | OF_OTHERS
    assert not [name for name in deployed if name.startswith(NOT_ON_FLEX)]


def test_the_app_starts_with_its_settings_and_they_are_the_defaults(deployment):
    # What is in a key vault has no default, and its reference is resolved in Azure only.
    own_settings = {"WebhookSecrets": "", "OutcomeQueue": ""}
    deployed = {**the(deployment, "Web/sites/config", "/appsettings"), **own_settings}
    bare = {name: deployed[name] for name in deployed if name.startswith(("Microsoft", STORAGE))}

    started = Settings.from_environment({**deployed, **ENDPOINTS})
    default = Settings.from_environment({**bare, **ENDPOINTS})
    # Two lists of hosts are never equal; the example's test below compares what they are made of.
    own: dict[str, Any] = {"threads": 0, "trusted_service_urls": default.trusted_service_urls}
    assert replace(started, **own) == replace(default, **own)


def test_the_example_has_the_defaults_of_azure(default, example):
    deployed = the(default, "Web/sites/config", "/appsettings")
    own = {"PYTHON_THREADPOOL_THREAD_COUNT"} | {
        name for name in deployed if name.startswith("Microsoft")
    }

    assert {name: deployed[name] for name in deployed.keys() & example.keys() - own} == {
        name: example[name] for name in deployed.keys() & example.keys() - own
    }


# Tables, queues and functions


def tables_made() -> Iterator[str]:
    """Yield the names that ``Table(…, "name")`` is called with, wherever that is."""
    for path in SHIPPED:
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "Table":
                name = call.args[-1]
                if isinstance(name, ast.Constant):
                    yield str(name.value)


def test_the_tables_of_the_code_are_made(default):
    assert set(tables_made()) == names(default, "Storage/storageAccounts/tableServices/tables")


def test_the_queues_of_the_code_are_made_with_one_for_poison_each(default):
    triggered = {each["queueName"] for each in BINDINGS.values() if "queueName" in each}

    assert triggered
    assert names(default, "Storage/storageAccounts/queueServices/queues") == triggered | {
        f"{name}-poison" for name in triggered
    }


def test_the_bot_and_the_health_test_are_told_routes_that_are_open(default):
    asked = re.findall(
        r"https://\{0\}/api/(\w+)",
        the(default, "BotService/botServices")["endpoint"]
        + the(default, "Insights/webtests")["Request"]["RequestUrl"],
    )

    assert asked == [BINDINGS["ReceiveActivity"]["route"], BINDINGS["CheckHealth"]["route"]]
    assert {routes()[route] for route in asked} == {"anonymous"}


def routes() -> dict[str, str]:
    return {each["route"]: each["authLevel"].value for each in BINDINGS.values() if "route" in each}


def test_what_needs_no_function_key_needs_no_entra_token_either(deployment):
    for settings in resources(deployment, "Web/sites/config"):
        if settings["name"].endswith("/authsettingsV2"):
            excluded = settings["properties"]["globalValidation"]["excludedPaths"]
            # az looks at the host's status after a deployment, with the master key.
            assert set(excluded) == {"/admin/host/status"} | {
                f"/api/{route}" for route, level in routes().items() if level == "anonymous"
            }


def test_there_is_a_thread_for_each_message_that_is_taken_at_once(default):
    queues = json.loads((PROJECT / "host.json").read_text())["extensions"]["queues"]
    threads = int(
        the(default, "Web/sites/config", "/appsettings")["PYTHON_THREADPOOL_THREAD_COUNT"]
    )
    scale = the(default, "Web/sites")["functionAppConfig"]["scaleAndConcurrency"]

    assert queues["batchSize"] + queues["newBatchThreshold"] <= threads
    assert scale["triggers"]["http"]["perInstanceConcurrency"] <= threads


def test_what_never_sleeps_exists(deployment):
    scale = the(deployment, "Web/sites")["functionAppConfig"]["scaleAndConcurrency"]

    for group in scale["alwaysReady"]:
        assert group["name"] == "http" or group["name"].removeprefix("function:") in BINDINGS


def test_the_package_is_put_where_the_app_looks_for_it(default):
    storage = the(default, "Web/sites")["functionAppConfig"]["deployment"]["storage"]
    [container] = names(default, "Storage/storageAccounts/blobServices/containers")

    assert f"primaryEndpoints.blob, '{container}')" in storage["value"]


# What is counted


QUERIES = {path.stem: path.read_text() for path in sorted((INFRA / "queries").glob("*.kql"))}
WORKBOOK = {
    item["name"]: item["content"]["query"]
    for item in json.loads((INFRA / "workbook.json").read_text())["items"]
    if "query" in item["content"]
}


def fields_reported() -> set[str]:
    """Return the fields of the outcome lines, as the calls of ``report`` name them."""
    calls = [
        call
        for path in SHIPPED
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "report"
    ]
    return {"outcome"} | {keyword.arg for call in calls for keyword in call.keywords if keyword.arg}


@pytest.mark.parametrize(("name", "query"), [*QUERIES.items(), *WORKBOOK.items()])
def test_a_query_asks_for_what_is_logged(name, query):
    outcomes = {
        outcome
        for listed in re.findall(r'outcome (?:==|!?in) \(?("[^)\n]*?"(?:, "[\w-]+")*)', query)
        for outcome in re.findall(r'"([\w-]+)"', listed)
    }
    fields = set(re.findall(r"told\.(\w+)", query))

    assert outcomes <= set(Outcome), name
    assert fields <= fields_reported(), name


def test_the_queries_are_those_of_the_alerts_and_in_the_documents(default):
    asked = {
        rule["name"].rpartition("-")[2]: rule["properties"]["criteria"]["allOf"][0]["query"]
        for rule in resources(default, "Insights/scheduledQueryRules")
    }
    operations = (PROJECT / "docs/operations.md").read_text()

    assert asked == QUERIES
    assert all(query.rstrip().splitlines()[-1].find("value") > 0 for query in QUERIES.values())
    assert {f"### {name}\n" for name in QUERIES} <= set(operations.splitlines(keepends=True))


def test_the_workbook_shows_every_outcome(default):
    shown = set(re.findall(r'outcome == "([\w-]+)"', WORKBOOK["channels"]))

    assert shown == set(Outcome)
    assert the(default, "Insights/workbooks")["serializedData"] == (
        (INFRA / "workbook.json").read_text()
    )


def test_the_alert_on_credentials_knows_the_code():
    assert f'"{BotCredentialError.code}"' in QUERIES["credential_failures"]
    assert not issubclass(BotCredentialError, ConnectorError)


def test_the_lines_that_are_counted_are_never_sampled_away():
    logging = json.loads((PROJECT / "host.json").read_text())["logging"]

    sampling = logging["applicationInsights"]["samplingSettings"]
    assert {"Trace", "Request", "Exception"} <= set(sampling["excludedTypes"].split(";"))
    # The host tells when a message came at this level, and so do we.
    assert logging["logLevel"]["Function"] == "Information"


def test_the_host_does_not_log_each_call_to_storage():
    logging = json.loads((PROJECT / "host.json").read_text())["logging"]

    assert logging["logLevel"]["Azure.Core"] == "Warning"
