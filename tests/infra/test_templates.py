"""What the templates make has names that Azure takes, and parameters that are explained."""

import re

from tests.infra.templates import INFRA, VARIABLE, resources

# https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
_GUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_ALERT = r"[^*<>%{}&:?/\\#+@]{1,259}[^*<>%{}&:?/\\#+@ .]"
NAMES = {
    "Authorization/roleAssignments": _GUID,
    "BotService/botServices": r"[A-Za-z0-9][A-Za-z0-9_.-]{1,63}",
    "BotService/botServices/channels": r"MsTeamsChannel|DirectLineChannel",
    "Insights/actionGroups": _ALERT,
    "Insights/components": r"[^%&?/\\]{1,259}[^%&?/\\ .]",
    "Insights/metricAlerts": _ALERT,
    "Insights/scheduledQueryRules": _ALERT,
    "Insights/webtests": _ALERT,
    "Insights/workbooks": _GUID,
    "KeyVault/vaults": r"(?!.*--)[A-Za-z][A-Za-z0-9-]{1,22}[A-Za-z0-9]",
    "KeyVault/vaults/secrets": r"[A-Za-z0-9-]{1,127}",
    "ManagedIdentity/userAssignedIdentities": r"[A-Za-z0-9][A-Za-z0-9_-]{2,127}",
    "Network/privateEndpoints": r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}[A-Za-z0-9_]",
    "Network/virtualNetworks": r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}[A-Za-z0-9_]",
    "OperationalInsights/workspaces": r"[A-Za-z0-9][A-Za-z0-9-]{2,61}[A-Za-z0-9]",
    "Storage/storageAccounts": r"[a-z0-9]{3,24}",
    "Storage/storageAccounts/blobServices/containers": r"(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]",
    "Storage/storageAccounts/queueServices/queues": r"(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]",
    "Storage/storageAccounts/tableServices/tables": r"[A-Za-z][A-Za-z0-9]{2,62}",
    "Web/serverfarms": r"[A-Za-z0-9-]{1,60}",
    "Web/sites": r"[A-Za-z0-9][A-Za-z0-9-]{0,57}[A-Za-z0-9]",
}
# Azure, or another resource, says what these are called.
NAMED_BY_OTHERS = {
    "Network/privateDnsZones",
    "Network/privateDnsZones/virtualNetworkLinks",
    "Network/privateEndpoints/privateDnsZoneGroups",
    "Storage/storageAccounts/blobServices",
    "Storage/storageAccounts/queueServices",
    "Storage/storageAccounts/tableServices",
    "Web/sites/basicPublishingCredentialsPolicies",
    "Web/sites/config",
}


def test_azure_takes_the_names_of_the_resources(deployment):
    assert deployment["diagnostics"] == []
    for resource in deployment["predictedResources"]:
        kind = resource["type"].removeprefix("Microsoft.")
        name = resource["name"].rpartition("/")[2]
        assert kind in NAMED_BY_OTHERS or re.fullmatch(NAMES[kind], name), (kind, name)


def test_no_output_sets_a_parameter(default):
    # azd keeps the outputs among the variables.
    assert not default["outputs"].keys() & set(
        VARIABLE.findall((INFRA / "main.bicepparam").read_text())
    )


def test_every_parameter_says_what_it_is_for():
    declared = re.findall(r"((?:^@.*\n|^  '\w+'\n|^\]\)\n)*)^param (\w+)",
                          (INFRA / "main.bicep").read_text(), re.MULTILINE)  # fmt: skip

    assert len(declared) > 20
    assert [name for decorators, name in declared if "@description('" not in decorators] == []


def test_who_deploys_is_told_the_roles_and_resource_providers_that_it_takes(deployment):
    readme = (INFRA / "README.md").read_text()
    assigned = {
        each["properties"]["roleDefinitionId"].rpartition("/")[2]
        for each in resources(deployment, "Authorization/roleAssignments")
    }
    providers = {each["type"].partition("/")[0] for each in deployment["predictedResources"]}

    assert assigned <= set(re.findall(_GUID.replace("(", "(?:"), readme))
    # Everybody has this one.
    assert providers - {"Microsoft.Authorization"} <= set(re.findall(r"Microsoft\.\w+", readme))
