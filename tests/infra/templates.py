"""What the templates come to, as Microsoft's own compiler evaluates them.

    python -m tests.infra.templates

writes ``infra/evaluated.snapshot.json``, where a change of the templates shows as the resources
that it changes. It is not main.snapshot.json, as azd writes and deletes that.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
INFRA = PROJECT / "infra"
SNAPSHOT = INFRA / "evaluated.snapshot.json"

# The default parameters, with a mail address and a sender, so that alerts and senders show.
DEFAULT = {
    "AZURE_ENV_NAME": "prod",
    "AZURE_LOCATION": "westeurope",
    "AZURE_PRINCIPAL_ID": "00000000-0000-0000-0000-00000000000d",
    "ALERT_EMAILS": "somebody@example.com",
}
_PLACE = {
    "--tenant-id": "00000000-0000-0000-0000-00000000000a",
    "--subscription-id": "00000000-0000-0000-0000-00000000000b",
    "--resource-group": "speak-first",
    "--location": "westeurope",
}
VARIABLE = re.compile(r"readEnvironmentVariable\('(\w+)'")


def find_compiler() -> str | None:
    """Return the compiler: the setting BICEP, what is on the PATH, or what az has installed."""
    if given := os.environ.get("BICEP"):
        return given
    return shutil.which("bicep") or shutil.which("bicep", path=Path.home() / ".azure/bin")


def run(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the compiler; of the parameters' variables it sees those that are given alone."""
    ours = set(VARIABLE.findall((INFRA / "main.bicepparam").read_text()))
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    return subprocess.run(
        [find_compiler() or "bicep", *map(str, arguments)],
        env=environment | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def evaluate(**variables: str) -> dict[str, Any]:
    """Return the resources and outputs that a deployment with these variables has."""
    with tempfile.TemporaryDirectory() as folder:
        # The compiler writes beside the parameters.
        infra = shutil.copytree(INFRA, Path(folder) / "infra")
        place = [part for option in _PLACE.items() for part in option]
        done = run("snapshot", infra / "main.bicepparam", *place, **variables)
        if done.returncode:
            raise ValueError(done.stderr)
        evaluated: dict[str, Any] = json.loads((infra / "main.snapshot.json").read_text())
        return evaluated


def resources(snapshot: Mapping[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    """Yield the resources of a type, without its Microsoft."""
    for resource in snapshot["predictedResources"]:
        if resource["type"] == f"Microsoft.{kind}":
            yield resource


def names(snapshot: Mapping[str, Any], kind: str) -> set[str]:
    """Return the last parts of the names of the resources of a type."""
    return {resource["name"].rpartition("/")[2] for resource in resources(snapshot, kind)}


def the(snapshot: Mapping[str, Any], kind: str, name: str = "") -> Any:
    """Return the properties of the only resource of a type whose name ends so."""
    [found] = [each for each in resources(snapshot, kind) if each["name"].endswith(name)]
    return found["properties"]


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(evaluate(**DEFAULT), indent=2) + "\n")
    sys.stdout.write(f"Wrote {SNAPSHOT.relative_to(PROJECT)}\n")
