// What the channels know the bot by, and where they send what people write to it.

param name string
param tags object
param displayName string
param sku string

@description('Empty: the identity is the bot.')
param appRegistrationId string
param identityName string
param functionAppName string
param teamsEnabled bool
param directLineEnabled bool

var isSingleTenant = !empty(appRegistrationId)

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: identityName
}

resource app 'Microsoft.Web/sites@2024-11-01' existing = {
  name: functionAppName
}

resource bot 'Microsoft.BotService/botServices@2022-09-15' = {
  name: name
  location: 'global'
  tags: tags
  kind: 'azurebot'
  sku: {
    name: sku
  }
  properties: {
    displayName: displayName
    endpoint: 'https://${app.properties.defaultHostName}/api/messages'
    msaAppId: isSingleTenant ? appRegistrationId : identity.properties.clientId
    msaAppType: isSingleTenant ? 'SingleTenant' : 'UserAssignedMSI'
    msaAppTenantId: subscription().tenantId
    msaAppMSIResourceId: isSingleTenant ? null : identity.id
    schemaTransformationVersion: '1.3'
    // A Direct Line is asked with the bot's own secrets.
    disableLocalAuth: !directLineEnabled
  }
}

resource teams 'Microsoft.BotService/botServices/channels@2022-09-15' = if (teamsEnabled) {
  parent: bot
  name: 'MsTeamsChannel'
  location: 'global'
  properties: {
    channelName: 'MsTeamsChannel'
    properties: {
      isEnabled: true
      acceptedTerms: true
    }
  }
}

resource directLine 'Microsoft.BotService/botServices/channels@2022-09-15' = if (directLineEnabled) {
  parent: bot
  name: 'DirectLineChannel'
  location: 'global'
  properties: {
    channelName: 'DirectLineChannel'
    properties: {
      sites: [
        {
          siteName: 'default'
          isEnabled: true
          isV1Enabled: false
          isV3Enabled: true
        }
      ]
    }
  }
}
