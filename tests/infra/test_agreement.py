"""What is named in the code and in the templates is the same everywhere."""

import ast
import json
import re
from collections.abc import Iterator

import pytest

from infra.build_package import what_ships
from shared.auth.clouds import CLOUDS
from shared.auth.tokens import AppType
from shared.connector.errors import ConnectorError
from shared.errors import BotCredentialError
from shared.sending.telemetry import Outcome
from shared.settings import STORAGE
from tests.infra.bicep import BicepFile
from tests.infra.files import BICEP, INFRA, PROJECT, parsed

# Tables and queues may be made anywhere in what ships.
SHIPPED = [path for name in what_ships() for path in sorted((PROJECT / name).rglob("*.py"))]

# Set by Azure or by the machine, not by whoever deploys.
OF_THE_PLATFORM = {
    "WEBSITE_SITE_NAME",
    "WEBSITE_INSTANCE_ID",
    "AZURE_FUNCTIONS_ENVIRONMENT",
}
# Only for development, so neither in Azure; or only in Azure, where storage is reached by identity.
OF_DEVELOPMENT = {STORAGE, f"{STORAGE}__accountName", "LocalFunctionKey"}
OF_AZURE = {f"{STORAGE}__{part}" for part in ("tableServiceUri", "queueServiceUri", "clientId")} | {
    f"{STORAGE}__credential",
    f"{STORAGE}__accountName",
}
# The Functions host reads these, and we do not.
OF_THE_HOST = {
    f"{STORAGE}__blobServiceUri",
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


def settings_in_code(source: str) -> set[str]:
    """Return the names that a reader of the environment is asked for."""
    found = set()
    for call in ast.walk(ast.parse(source)):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.args:
            receiver = ast.unparse(call.func.value)
            if receiver in ("reader", "self"):
                found.add(_text(call.args[0]))
    # The worker's own setting is read by a rule of its own.
    named = {name for name in found if name and re.fullmatch(r"\w{4,}", name) and name != "value"}
    return (named | set(re.findall(r'"(PYTHON_\w+)"', source))) - OF_THE_PLATFORM


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.Name) and node.id == "STORAGE":
        return STORAGE
    if isinstance(node, ast.JoinedStr):
        return ast.unparse(node)[2:-1].replace("{STORAGE}", STORAGE)
    return ""


def names_made(kind: str, source: str) -> Iterator[str]:
    """Yield the names that ``Table(…, name)`` is called with; "" where they are not written."""
    for call in ast.walk(ast.parse(source)):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == kind and len(call.args) == 2:
            yield _text(call.args[1])


def constants(source: str) -> dict[str, str]:
    """Return the names that stand for themselves, such as ``SEND_ACTIVITY: Final = "…"``."""
    return {
        node.target.id: node.value.value
        for node in ast.parse(source).body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    }


def settings_in_bicep(file: BicepFile) -> set[str]:
    variables = file.variables
    return {*variables["defaultSettings"].value, *variables["fixedSettings"].value}


@pytest.fixture
def in_code():
    return settings_in_code((PROJECT / "shared/settings.py").read_text())


def test_the_code_is_read_right(in_code):
    assert {STORAGE, f"{STORAGE}__clientId", "BotCloud", "MicrosoftAppPassword"} <= in_code
    assert {"SendRatePerSecond", "TrustedServiceUrls", "AmbiguousSend"} <= in_code
    assert "PYTHON_THREADPOOL_THREAD_COUNT" in in_code
    assert settings_in_code('reader.number("New", 1)\nself.text(name)') == set()
    assert settings_in_code('reader.number("NewOne", 1)') == {"NewOne"}


def test_a_setting_of_the_code_is_in_the_example(in_code):
    example = json.loads((PROJECT / "local.settings.example.json").read_text())["Values"]

    # Only the Core Tools read it.
    assert example.keys() - {"FUNCTIONS_WORKER_RUNTIME"} == (in_code - OF_AZURE) | {
        "LocalFunctionKey"
    }


def test_a_setting_of_the_code_is_set_in_azure(in_code):
    deployed = settings_in_bicep(parsed(BICEP)["modules/functionapp.bicep"])

    assert deployed == (in_code - OF_DEVELOPMENT) | OF_THE_HOST
    assert not [name for name in deployed if name.startswith(NOT_ON_FLEX)]


def test_a_setting_that_is_missing_in_azure_is_found(in_code):
    text = BICEP["modules/functionapp.bicep"].replace("  SendRatePerSecond: '40'\n", "")

    assert in_code - settings_in_bicep(BicepFile.parse(text)) - OF_DEVELOPMENT == {
        "SendRatePerSecond"
    }


def test_azure_has_the_defaults_of_the_code():
    example = json.loads((PROJECT / "local.settings.example.json").read_text())["Values"]
    defaults = parsed(BICEP)["modules/functionapp.bicep"].variables["defaultSettings"].value

    computed = {"BotCloud", "PYTHON_THREADPOOL_THREAD_COUNT"}
    assert {name: value for name, value in defaults.items() if name not in computed} == {
        name: example[name] for name in defaults if name not in computed
    }


def test_azure_knows_the_clouds_and_the_types_of_bots_that_the_code_knows():
    files = parsed(BICEP)
    clouds = files["modules/functionapp.bicep"].variables["cloudNames"].value
    app_types = files["main.bicep"].parameters["botAppType"].decorators["allowed"]

    assert set(clouds.values()) == CLOUDS.keys()
    # No bot of the type that is left out can be made any more.
    assert set(app_types) == set(AppType) - {AppType.MULTI_TENANT}


def test_the_tables_of_the_code_are_made():
    in_code = {name for path in SHIPPED for name in names_made("Table", path.read_text())}

    # Where the name is not written, it is that of a table which is written elsewhere.
    assert in_code - {""} == set(parsed(BICEP)["main.bicep"].variables["tables"].value)


def test_a_new_table_is_found_wherever_it_is_made():
    assert list(names_made("Table", 'x = Table(services.storage, "new")')) == ["new"]
    assert list(names_made("Table", 'self._table = Table(storage, "new")')) == ["new"]
    assert list(names_made("Table", "Table(storage, name)")) == [""]


def test_the_queues_of_the_code_are_made():
    names = constants((PROJECT / "shared/messages/envelope.py").read_text())
    triggered = {
        names[queue]
        for path in SHIPPED
        for queue in re.findall(r"\.queue_trigger\(\"\w+\", (\w+), STORAGE\)", path.read_text())
    }

    assert triggered
    assert triggered == set(parsed(BICEP)["main.bicep"].variables["queues"].value)


def test_each_queue_has_one_for_poison():
    resources = parsed(BICEP)["modules/storage.bicep"].resources

    assert resources["poisonQueue"].value["name"] == "'${queueName}-poison'"
    assert resources["queue"].value["name"] == "queueName"


def test_the_bot_is_told_the_route_that_takes_what_the_channels_send():
    assert 'route("messages"' in (PROJECT / "ReceiveActivity/triggers.py").read_text()
    assert parsed(BICEP)["main.bicep"].modules["bot"].value["params"]["endpoint"] == (
        "'${functionApp.outputs.url}/api/messages'"
    )


def test_what_needs_no_function_key_needs_no_entra_token_either():
    open_routes = {
        f"/api/{route}"
        for path in SHIPPED
        for route in re.findall(r'\.route\(\s*"([^"]+)"[^)]*AuthLevel\.ANONYMOUS', path.read_text())
    }
    authentication = parsed(BICEP)["modules/authentication.bicep"].resources["authentication"].value

    assert open_routes == set(authentication["properties"]["globalValidation"]["excludedPaths"])


def test_there_is_a_thread_for_each_message_that_is_taken_at_once():
    queues = json.loads((PROJECT / "host.json").read_text())["extensions"]["queues"]
    variables = parsed(BICEP)["modules/functionapp.bicep"].variables

    at_once = queues["batchSize"] + queues["newBatchThreshold"]
    assert at_once <= variables["threads"].value
    assert variables["httpConcurrency"].value <= variables["threads"].value
    assert f"{at_once} messages of a queue at once" in " ".join(
        BICEP["modules/functionapp.bicep"].replace("//", " ").split()
    )


def test_what_never_sleeps_exists():
    groups = re.findall(r"'function:(\w+)'", BICEP["modules/functionapp.bicep"])
    names = {
        name
        for path in SHIPPED
        for name in re.findall(r'\.function_name\("(\w+)"\)', path.read_text())
    }

    assert groups
    assert set(groups) <= names


# What is counted


QUERIES = {path.name: path.read_text() for path in sorted((INFRA / "queries").glob("*.kql"))}
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


def test_the_queries_are_those_of_the_alerts():
    rules = parsed(BICEP)["modules/alerts.bicep"].variables["rules"].value

    assert {f"{rule['name']}.kql" for rule in rules} == QUERIES.keys()
    assert all(query.rstrip().splitlines()[-1].find("value") > 0 for query in QUERIES.values())


def test_the_workbook_shows_every_outcome():
    shown = set(re.findall(r'outcome == "([\w-]+)"', WORKBOOK["channels"]))

    assert shown == set(Outcome)


def test_the_alert_on_credentials_knows_the_code():
    assert f'"{BotCredentialError.code}"' in QUERIES["credential.kql"]
    assert not issubclass(BotCredentialError, ConnectorError)


def test_the_lines_that_are_counted_are_never_sampled_away():
    host = json.loads((PROJECT / "host.json").read_text())

    sampling = host["logging"]["applicationInsights"]["samplingSettings"]
    assert {"Trace", "Request", "Exception"} <= set(sampling["excludedTypes"].split(";"))
    # The host tells when a message came at this level, and so do we.
    assert host["logging"]["logLevel"]["Function"] == "Information"
