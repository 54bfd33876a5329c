"""What must hold of all that is deployed, whatever its parameters."""

import re
from typing import Any

from tests.infra.templates import names, resources

# By the resource's type, what must stand in it.
REQUIRED: dict[str, dict[str, Any]] = {
    "Storage/storageAccounts": {
        "properties.allowSharedKeyAccess": False,
        "properties.allowBlobPublicAccess": False,
        "properties.minimumTlsVersion": "TLS1_2",
        "properties.supportsHttpsTrafficOnly": True,
        "properties.defaultToOAuthAuthentication": True,
    },
    "Storage/storageAccounts/blobServices/containers": {"properties.publicAccess": "None"},
    "Web/sites": {
        "properties.httpsOnly": True,
        "properties.siteConfig.minTlsVersion": "1.2",
        "properties.siteConfig.scmMinTlsVersion": "1.2",
        "identity.type": "UserAssigned",
        "properties.functionAppConfig.deployment.storage.authentication.type": (
            "UserAssignedIdentity"
        ),
    },
    "Web/sites/basicPublishingCredentialsPolicies": {"properties.allow": False},
    "Insights/components": {"properties.DisableLocalAuth": True},
    "OperationalInsights/workspaces": {"properties.features.disableLocalAuth": True},
}

# https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
ROLES = {
    "Storage Blob Data Owner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "Storage Queue Data Contributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
    "Storage Table Data Contributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
    "Monitoring Metrics Publisher": "3913510d-42f4-4e42-8a64-420c390055eb",
    "Key Vault Secrets User": "4633458b-17de-408a-b874-0445c86b69e6",
}
SENDER = "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a"  # Storage Queue Data Message Sender
READERS = {
    "8a0f0c08-91a1-4084-bc3d-661d67233fed",  # Storage Queue Data Message Processor
    "19e7f393-937e-4f77-808e-94535e297925",  # Storage Queue Data Reader
}


def at(value: Any, path: str) -> Any:
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def test_what_is_deployed_keeps_to_the_policies(deployment):
    for kind, required in REQUIRED.items():
        found = list(resources(deployment, kind))
        assert found, kind
        for resource in found:
            assert {path: at(resource, path) for path in required} == required


def test_a_bot_is_asked_with_secrets_over_a_direct_line_alone(deployment):
    [bot] = resources(deployment, "BotService/botServices")
    channels = {each["name"] for each in resources(deployment, "BotService/botServices/channels")}

    assert bot["properties"]["disableLocalAuth"] != any("DirectLine" in name for name in channels)


def test_a_vault_is_opened_by_roles(deployment):
    for vault in resources(deployment, "KeyVault/vaults"):
        assert vault["properties"]["enableRbacAuthorization"] is True
        assert vault["properties"]["enableSoftDelete"] is True


def test_the_app_has_its_roles_where_it_needs_them_and_nobody_has_others(deployment):
    identity = next(resources(deployment, "ManagedIdentity/userAssignedIdentities"))
    has_vault = any(resources(deployment, "KeyVault/vaults"))
    of_the_app, of_readers = set(), set()
    for role in resources(deployment, "Authorization/roleAssignments"):
        properties = role["properties"]
        role_id = properties["roleDefinitionId"].rpartition("/")[2]
        scope = role["id"].partition("/providers/Microsoft.Authorization")[0]
        if identity["id"] in properties["principalId"]:
            of_the_app.add((role_id, scope.split("/")[-2]))
        elif scope.endswith("/queues/news-outcomes"):
            of_readers.add(role_id)
        else:
            assert role_id == SENDER
            assert properties["conditionVersion"] == "2.0"

    queues = names(deployment, "Storage/storageAccounts/queueServices/queues")
    assert of_readers == (READERS if "news-outcomes" in queues else set())
    assert of_the_app == {
        (ROLES["Storage Blob Data Owner"], "storageAccounts"),
        (ROLES["Storage Queue Data Contributor"], "storageAccounts"),
        (ROLES["Storage Table Data Contributor"], "storageAccounts"),
        (ROLES["Monitoring Metrics Publisher"], "components"),
    } | ({(ROLES["Key Vault Secrets User"], "vaults")} if has_vault else set())


def test_who_sends_puts_messages_on_the_apps_queues_and_not_among_the_poison(default):
    [sender] = [
        each["properties"]
        for each in resources(default, "Authorization/roleAssignments")
        if each["properties"]["roleDefinitionId"].endswith(SENDER)
    ]
    queues = {
        each["name"].rpartition("/")[2]
        for each in resources(default, "Storage/storageAccounts/queueServices/queues")
    }
    [listed] = re.findall(
        r"queues:name\] ForAnyOfAnyValues:StringEquals {(.+)}", sender["condition"]
    )

    assert set(re.findall(r"'([^']+)'", listed)) == {
        name for name in queues if not name.endswith("-poison")
    }


def test_no_output_and_no_setting_holds_a_secret(deployment):
    readable = {**deployment["outputs"]}
    for settings in resources(deployment, "Web/sites/config"):
        readable |= settings["properties"]

    assert not [
        name
        for name, value in readable.items()
        if re.search(r"\blist\w*\(|botAppPassword|webhookSecrets\b|a-secret", str(value))
    ]


def test_private_storage_is_closed_to_the_internet(deployment):
    [storage] = resources(deployment, "Storage/storageAccounts")
    [app] = resources(deployment, "Web/sites")
    endpoints = {
        each["properties"]["privateLinkServiceConnections"][0]["properties"]["groupIds"][0]
        for each in resources(deployment, "Network/privateEndpoints")
    }

    if storage["properties"]["publicNetworkAccess"] == "Enabled":
        assert not endpoints
    else:
        assert storage["properties"]["networkAcls"]["defaultAction"] == "Deny"
        assert endpoints == {"blob", "queue", "table"}
        assert app["properties"]["virtualNetworkSubnetId"].endswith("/subnets/app")
