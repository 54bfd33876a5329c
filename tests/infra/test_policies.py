"""What must hold of all that is deployed, whatever its parameters."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.infra.bicep import Declared
from tests.infra.files import BICEP, changed, parsed

# By the resource's type, what must stand in it. A Direct Line is asked with secrets of the bot.
REQUIRED: dict[str, dict[str, Any]] = {
    "Microsoft.Storage/storageAccounts": {
        "properties.allowSharedKeyAccess": False,
        "properties.allowBlobPublicAccess": False,
        "properties.minimumTlsVersion": "TLS1_2",
        "properties.supportsHttpsTrafficOnly": True,
        "properties.defaultToOAuthAuthentication": True,
    },
    "Microsoft.Storage/storageAccounts/blobServices/containers": {
        "properties.publicAccess": "None",
    },
    "Microsoft.Web/sites": {
        "properties.httpsOnly": True,
        "properties.siteConfig.minTlsVersion": "1.2",
        "properties.siteConfig.scmMinTlsVersion": "1.2",
        "properties.siteConfig.remoteDebuggingEnabled": False,
        "identity.type": "UserAssigned",
        "properties.functionAppConfig.deployment.storage.authentication.type": (
            "UserAssignedIdentity"
        ),
    },
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": {"properties.allow": False},
    "Microsoft.BotService/botServices": {
        "properties.disableLocalAuth": "!directLineEnabled",
    },
    "Microsoft.Insights/components": {"properties.DisableLocalAuth": True},
    "Microsoft.OperationalInsights/workspaces": {
        "properties.features.disableLocalAuth": True,
    },
    "Microsoft.KeyVault/vaults": {"properties.enableRbacAuthorization": True},
}

# https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
ROLES = {
    "Storage Blob Data Owner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "Storage Queue Data Contributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
    "Storage Queue Data Message Sender": "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a",
    "Storage Table Data Contributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
    "Monitoring Metrics Publisher": "3913510d-42f4-4e42-8a64-420c390055eb",
    "Key Vault Secrets User": "4633458b-17de-408a-b874-0445c86b69e6",
}

_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_SECRETS = re.compile(r"password|secret|\blist\w*\(|\bkeys?\b|connectionstring|instrumentation")
# What may be given for a role: one of a map of roles, by its name or in a loop over the map.
_ROLE = r"subscriptionResourceId\('Microsoft.Authorization/roleDefinitions', (role\.value|\w+Id)\)"


def violations(texts: Mapping[str, str]) -> list[str]:
    return [*_unmet(texts), *_unlisted_roles(texts), *_secrets(texts)]


def _unmet(texts: Mapping[str, str]) -> Iterator[str]:
    seen = set()
    for name, resource in _resources(texts):
        kind = resource.target.partition("@")[0]
        seen.add(kind)
        for path, value in REQUIRED.get(kind, {}).items():
            if _at(resource.value, path) != value:
                yield f"{name}: {resource.name}.{path} must be {value}"
    for kind in REQUIRED.keys() - seen:
        yield f"There is no {kind}"


def _unlisted_roles(texts: Mapping[str, str]) -> Iterator[str]:
    for name, file in parsed(texts).items():
        maps = [
            each.value for each in file.variables.values() if each.name.lower().endswith("roles")
        ]
        named = {role: guid for each in maps for role, guid in each.items()}
        for role, guid in named.items():
            if ROLES.get(role) != guid:
                yield f"{name}: {role} {guid} is not on the list"
        for guid in set(_GUID.findall(file.text)) - set(named.values()):
            yield f"{name}: {guid} has no name"
        for resource in file.resources.values():
            if "roleAssignments" in resource.target and not re.fullmatch(
                _ROLE, resource.value["properties"]["roleDefinitionId"]
            ):
                yield f"{name}: {resource.name} gives a role that has no name"


def _secrets(texts: Mapping[str, str]) -> Iterator[str]:
    for name, file in parsed(texts).items():
        for output in file.outputs.values():
            # The address of a secret is none.
            value = str(output.value).replace("secret.properties.secretUri", "")
            if _SECRETS.search(f"{output.name} {value}".lower()):
                yield f"{name}: the output {output.name} may hold a secret"
        for parameter in file.parameters.values():
            is_secret = parameter.name.lower().endswith(("password", "secret", "key"))
            if is_secret and not parameter.decorators.get("secure"):
                yield f"{name}: the parameter {parameter.name} is not @secure()"
            if is_secret and parameter.value:
                yield f"{name}: the parameter {parameter.name} has a secret as its default"


def _resources(texts: Mapping[str, str]) -> Iterator[tuple[str, Declared]]:
    for name, file in parsed(texts).items():
        for resource in file.resources.values():
            if not resource.is_existing:
                yield name, resource


def _at(value: Any, path: str) -> Any:
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def test_what_is_deployed_keeps_to_the_policies():
    assert violations(BICEP) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "found"),
    [
        ("storage", "allowSharedKeyAccess: false", "allowSharedKeyAccess: true", "SharedKey"),
        ("storage", "    allowSharedKeyAccess: false\n", "", "SharedKey"),
        ("storage", "allowSharedKeyAccess: false", "allowSharedKeyAccess: isPrivate", "SharedKey"),
        ("storage", "BlobPublicAccess: false", "BlobPublicAccess: true", "BlobPublicAccess"),
        ("storage", "publicAccess: 'None'", "publicAccess: 'Blob'", "publicAccess"),
        ("storage", "TLS1_2", "TLS1_0", "minimumTlsVersion"),
        ("storage", "HttpsTrafficOnly: true", "HttpsTrafficOnly: false", "HttpsTrafficOnly"),
        ("functionapp", "httpsOnly: true", "httpsOnly: false", "httpsOnly"),
        ("functionapp", "minTlsVersion: '1.2'", "minTlsVersion: '1.0'", "minTlsVersion"),
        ("functionapp", "allow: false", "allow: true", "allow"),
        ("functionapp", "'UserAssignedIdentity'", "'SystemAssignedIdentity'", "storage.auth"),
        ("bot", "disableLocalAuth: !directLineEnabled", "disableLocalAuth: false", "disableLocal"),
        ("monitoring", "DisableLocalAuth: true", "DisableLocalAuth: false", "DisableLocalAuth"),
        ("monitoring", "disableLocalAuth: true", "disableLocalAuth: false", "disableLocalAuth"),
        ("keyvault", "Authorization: true", "Authorization: false", "enableRbacAuthorization"),
    ],
)  # fmt: skip
def test_a_loosened_policy_is_found(name, old, new, found):
    assert any(found in each for each in violations(changed(f"modules/{name}.bicep", old, new)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        # Owner, under its own name and under another one.
        ("'Storage Blob Data Owner': 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'",
         "Owner: '8e3af657-a8ff-443c-a75c-2fe8c4bcb635'"),
        ("b7e6dc6d-f1e8-4753-8033-0f276bb0955b", "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"),
        ("'Microsoft.Authorization/roleDefinitions', role.value)",
         "'Microsoft.Authorization/roleDefinitions', '8e3af657-a8ff-443c-a75c-2fe8c4bcb635')"),
    ],
)  # fmt: skip
def test_a_role_that_is_not_on_the_list_is_found(old, new):
    assert any("role" in each or "list" in each for each in violations(
        changed("modules/roles.bicep", old, new)
    ))  # fmt: skip


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("main.bicep", "output BOT_NAME string = bot.outputs.name",
         "output BOT_NAME string = botAppPassword"),
        ("main.bicep", "output BOT_NAME", "output BOT_SECRET"),
        ("modules/storage.bicep", "output name string = account.name",
         "output name string = account.listKeys().keys[0].value"),
        ("modules/monitoring.bicep", "= applicationInsights.name",
         "= applicationInsights.properties.ConnectionString"),
        ("main.bicep", "@secure()", ""),
        ("main.bicep", "param botAppPassword string = ''", "param botAppPassword string = 'x'"),
    ],
)  # fmt: skip
def test_a_secret_that_could_be_read_is_found(name, old, new):
    assert violations(changed(name, old, new)) != []
