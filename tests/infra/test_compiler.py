"""The compiler takes the templates and every parameter; the committed snapshot is theirs."""

import json
import re
import shutil

from tests.infra.templates import DEFAULT, INFRA, SNAPSHOT, VARIABLE, evaluate, names, run, the

PARAMETERS = INFRA / "main.bicepparam"

# Each parameter but the two that have to be given, with a value that is not its default.
GIVEN = {
    "tags": '{"owner": "news-desk"}',
    "botDisplayName": "News",
    "botSku": "S1",
    "botAppRegistrationId": "00000000-0000-0000-0000-000000000001",
    "botSecretEnabled": "true",
    "botAppPassword": "a-secret",
    "webhookSecretsEnabled": "true",
    "webhookSecrets": "github=a-secret",
    "botResourceEnabled": "false",
    "teamsEnabled": "false",
    "directLineEnabled": "true",
    "instanceMemoryMB": "4096",
    "maximumInstanceCount": "100",
    "alwaysReadyInstances": "1",
    "zoneRedundant": "true",
    "appSettings": '{"DefaultLocale": "de"}',
    "senderPrincipalIds": "one,two,one",
    "outcomeQueue": "outcomes",
    "outcomeReaderPrincipalIds": "four,five,four",
    "entraClientId": "00000000-0000-0000-0000-000000000002",
    "entraAllowedApplications": "three",
    "privateNetworking": "true",
    "vnetAddressPrefix": "10.0.0.0/24",
    "alertEmails": "somebody@example.com,somebody.else@example.com",
    "healthTestEnabled": "false",
    "logRetentionDays": "90",
    "logDailyCapGb": "5",
    "failedPercent": "1",
    "throttledPercent": "2",
    "oldestMessageMinutes": "3",
}


def variable(parameter: str) -> str:
    """Return the environment variable that sets a parameter."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", parameter).upper()


def parameters(**variables: str) -> dict[str, object]:
    done = run("build-params", PARAMETERS, "--stdout", **variables)
    assert (done.returncode, done.stderr) == (0, "")
    built = json.loads(json.loads(done.stdout)["parametersJson"])["parameters"]
    return {name: parameter["value"] for name, parameter in built.items()}


def test_the_compiler_takes_the_templates_without_a_word():
    done = run("lint", INFRA / "main.bicep")

    assert (done.returncode, done.stderr) == (0, "")


def test_the_files_are_written_as_the_compiler_writes_them(tmp_path):
    infra = shutil.copytree(INFRA, tmp_path / "infra")
    run("format", "--pattern", infra / "**/*.bicep*")

    written = {path.relative_to(infra): path.read_text() for path in infra.rglob("*.bicep*")}
    assert len(written) > 5
    assert written == {path: (INFRA / path).read_text() for path in written}


def test_the_snapshot_is_that_of_the_templates():
    evaluated = evaluate(**DEFAULT)

    assert json.loads(SNAPSHOT.read_text()) == evaluated, "run python -m tests.infra.templates"


def test_each_parameter_is_set_by_its_variable():
    needed = {name: DEFAULT[name] for name in ("AZURE_ENV_NAME", "AZURE_LOCATION")}
    default = parameters(**needed)
    given = parameters(**needed, **{variable(name): value for name, value in GIVEN.items()})

    assert default.keys() == {"environmentName", "location", *GIVEN}
    assert [name for name in GIVEN if given[name] == default[name]] == []
    assert given["senderPrincipalIds"] == ["one", "two"]
    assert given["outcomeReaderPrincipalIds"] == ["four", "five"]
    assert given["tags"] == {"owner": "news-desk"}
    assert default["senderPrincipalIds"] == default["alertEmails"] == []


def test_a_bot_that_is_there_already_is_not_made_again():
    app_id = "00000000-0000-0000-0000-00000000000e"
    evaluated = evaluate(**DEFAULT, BOT_APP_REGISTRATION_ID=app_id, BOT_RESOURCE_ENABLED="false")

    assert names(evaluated, "BotService/botServices") == set()
    assert the(evaluated, "Web/sites/config", "appsettings")["MicrosoftAppId"] == app_id
    assert (evaluated["outputs"]["BOT_APP_ID"], evaluated["outputs"]["BOT_NAME"]) == (app_id, "")


def test_a_wrong_value_is_refused_before_anything_is_made():
    wrong = {
        "AZURE_ENV_NAME": "",
        "AZURE_LOCATION": "polandcentral",
        "MAXIMUM_INSTANCE_COUNT": "many",
        "TEAMS_ENABLED": "yes",
        "APP_SETTINGS": "DefaultLocale=de",
    }
    done = run("build-params", PARAMETERS, "--stdout", **wrong)

    lines = PARAMETERS.read_text().splitlines()
    refused = {lines[int(line) - 1] for line in re.findall(r"\((\d+),\d+\) : Error", done.stderr)}
    assert {VARIABLE.findall(line)[0] for line in refused} == wrong.keys()
