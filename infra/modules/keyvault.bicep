// The secret of a SingleTenant bot that insists on one, and those of webhooks that are signed;
// without either there is no vault.
param name string
param location string
param tags object
param identityName string
param botSecretName string
param webhookSecretName string

@description('Empty: the secret that is there stays.')
@secure()
param botAppPassword string

@description('Empty: the secret that is there stays.')
@secure()
param webhookSecrets string

var secretRoles = {
  'Key Vault Secrets User': '4633458b-17de-408a-b874-0445c86b69e6'
}
var secretRoleId = secretRoles['Key Vault Secrets User']

// The app reaches it by a reference in its settings, which does not go through the virtual network.
resource vault 'Microsoft.KeyVault/vaults@2024-11-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    // What is here can be had anew where it was made, so a week is enough, and azd down --purge may
    // end it.
    softDeleteRetentionInDays: 7
  }

  resource botSecret 'secrets' = if (!empty(botAppPassword)) {
    name: botSecretName
    properties: {
      value: botAppPassword
    }
  }

  resource webhookSecret 'secrets' = if (!empty(webhookSecrets)) {
    name: webhookSecretName
    properties: {
      value: webhookSecrets
    }
  }
}

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: identityName
}

resource secretRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: vault
  name: guid(vault.id, identityName, secretRoleId)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', secretRoleId)
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
  }
}
