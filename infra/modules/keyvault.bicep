// The secret of a SingleTenant bot; with a managed identity there is none, and no vault.

@description('Name of the key vault.')
@minLength(3)
@maxLength(24)
param name string

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('Object id of the identity that reads the secret.')
param readerPrincipalId string

@description('The bot\'s secret.')
@secure()
param botAppPassword string

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
    // What is here can be had anew from Entra, so a week is enough, and azd down --purge may end it.
    softDeleteRetentionInDays: 7
  }
}

resource secret 'Microsoft.KeyVault/vaults/secrets@2024-11-01' = {
  parent: vault
  name: 'bot-app-password'
  properties: {
    value: botAppPassword
  }
}

resource secretRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: secret
  name: guid(secret.id, readerPrincipalId, secretRoleId)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', secretRoleId)
    principalId: readerPrincipalId
    principalType: 'ServicePrincipal'
  }
}

output botVaultUri string = secret.properties.secretUri
