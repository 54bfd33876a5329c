"""The files of GitHub, Dependabot and azd: well-formed, pinned, with no more rights than needed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from infra.build_package import PACKAGE, python_in_azure
from tests.infra.templates import PROJECT, resources, the

GITHUB = PROJECT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
ISSUE_FORMS = [
    path for path in sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.yml")) if path.stem != "config"
]
SCHEMAS = {
    "vendor.github-workflows": WORKFLOWS,
    "vendor.github-issue-forms": ISSUE_FORMS,
    "vendor.github-issue-config": [GITHUB / "ISSUE_TEMPLATE/config.yml"],
    "vendor.dependabot": [GITHUB / "dependabot.yml"],
}
AZURE = yaml.safe_load((PROJECT / "azure.yaml").read_text())
USES = re.compile(r"^\s*(?:- )?uses: (\S+)(.*)$", re.MULTILINE)


def run(tool: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a tool of the Python that runs this."""
    return subprocess.run(
        [Path(sys.executable).parent / tool, *map(str, arguments)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )


def scripts(text: str) -> list[str]:
    """Return what the steps of a workflow run in a shell, where it has lines of its own."""
    blocks = re.findall(r"^( +)run: \|\n((?:\1  .*\n|\n)+)", text, re.MULTILINE)
    return [block for _, block in blocks]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_files_keep_to_their_schema(schema):
    assert SCHEMAS[schema]
    done = run("check-jsonschema", "--builtin-schema", schema, *SCHEMAS[schema])

    assert done.returncode == 0, done.stdout


def test_the_workflows_are_safe():
    options = ("--offline", "--quiet", "--no-progress", "--persona", "pedantic")
    done = run("zizmor", *options, GITHUB)

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_to_a_commit_with_its_tag_beside_it(path):
    actions = USES.findall(path.read_text())
    pinned = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+|\./.*")

    assert actions
    assert [each for each in map("".join, actions) if not pinned.fullmatch(each)] == []


@pytest.mark.parametrize(
    ("name", "job", "step"),
    [("deploy", "what-if", "Ask Azure"), ("deploy-to", "deploy", "Provision")],
)
def test_all_variables_of_an_environment_are_parameters(name, job, step):
    jobs = yaml.safe_load((GITHUB / f"workflows/{name}.yml").read_text())["jobs"]
    [found] = [each for each in jobs[job]["steps"] if each.get("name") == step]

    assert found["env"]["VARIABLES"] == "${{ toJSON(vars) }}"
    assert '@sh "export' in found["run"].splitlines()[0]
    assert "--parameters infra/main.bicepparam" in found["run"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_what_a_step_runs_is_bash(path):
    for script in scripts(path.read_text()):
        done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_scripts_are_found():
    text = (GITHUB / "workflows/deploy.yml").read_text()

    assert any("what-if" in script for script in scripts(text))


def test_ci_runs_what_the_readme_says():
    text = (GITHUB / "workflows/ci.yml").read_text()

    assert "run: make test" in text
    assert re.search(r'python: \["3\.11", "3\.13"\]', text)
    # Named, the compiler of Bicep has to be there.
    assert "BICEP: bicep" in text


def test_the_package_is_built_by_the_python_that_runs_it(default):
    runtime = the(default, "Web/sites")["functionAppConfig"]["runtime"]

    assert runtime == {"name": "python", "version": python_in_azure()}
    build = (GITHUB / "workflows/deploy.yml").read_text().partition("  build:\n")[2]
    assert f'python-version: "{runtime["version"]}"' in build


def test_azd_deploys_what_is_built_here(default):
    [(name, service)] = AZURE["services"].items()
    [app] = resources(default, "Web/sites")

    assert PROJECT / service["dist"] == PACKAGE
    assert service["remoteBuild"] is False
    assert app["tags"]["azd-service-name"] == name


@pytest.mark.parametrize(
    "hook", [*AZURE["hooks"].values(), *AZURE["services"]["app"]["hooks"].values()]
)
def test_what_azd_runs_is_there_and_stays_on_the_screen(hook):
    for system in hook.values():
        # Without it azd wipes away what a hook says.
        assert system["interactive"] is True
        for path in re.findall(r"infra/\w+\.\w+|docs/\w+\.md", system["run"]):
            assert (PROJECT / path).is_file()
