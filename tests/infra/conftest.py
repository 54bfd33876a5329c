"""Deployments to check: the committed one everywhere, others where there is a compiler."""

import json
from typing import Any

import pytest

from tests.infra.templates import DEFAULT, SNAPSHOT, evaluate, find_compiler

_REGISTRATION = "00000000-0000-0000-0000-00000000000e"
# Together they have every resource that there can be, under names as odd as azd takes them.
DEPLOYMENTS = {
    "federated": {
        "AZURE_ENV_NAME": "My_Team.dev(1)",
        "BOT_APP_REGISTRATION_ID": _REGISTRATION,
        "ENTRA_CLIENT_ID": _REGISTRATION,
        "DIRECT_LINE_ENABLED": "true",
        "TEAMS_ENABLED": "false",
    },
    "secret": {
        "AZURE_ENV_NAME": "(" * 63 + ".",
        "BOT_APP_REGISTRATION_ID": _REGISTRATION,
        "BOT_SECRET_ENABLED": "true",
        "BOT_APP_PASSWORD": "a-secret",
        "WEBHOOK_SECRETS_ENABLED": "true",
        "WEBHOOK_SECRETS": "github=a-secret",
        "OUTCOME_QUEUE": "news-outcomes",
        "OUTCOME_READER_PRINCIPAL_IDS": "00000000-0000-0000-0000-00000000000f",
        "PRIVATE_NETWORKING": "true",
        "ZONE_REDUNDANT": "true",
        "ALERT_EMAILS": "",
    },
}

collect_ignore = [] if find_compiler() else ["test_compiler.py"]


@pytest.fixture(scope="session")
def default() -> dict[str, Any]:
    """Return the committed evaluation of the default parameters."""
    snapshot: dict[str, Any] = json.loads(SNAPSHOT.read_text())
    return snapshot


@pytest.fixture(scope="session", params=["default", *(DEPLOYMENTS if find_compiler() else ())])
def deployment(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return one evaluation after the other."""
    if request.param == "default":
        snapshot: dict[str, Any] = request.getfixturevalue("default")
        return snapshot
    return evaluate(**(DEFAULT | DEPLOYMENTS[request.param]))
