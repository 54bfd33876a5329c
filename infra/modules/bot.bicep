// What the channels know the bot by, and where they send what people write to it.

@description('Name of the Azure Bot.')
@minLength(2)
@maxLength(64)
param name string

@description('Tags.')
param tags object

@description('What people see as its name.')
param displayName string

@description('F0 or S1.')
param sku string

@description('UserAssignedMSI or SingleTenant.')
param appType string

@description('The bot\'s app id.')
param appId string

@description('Resource id of the identity that the bot is; empty when it is an app registration.')
param identityId string

@description('The messaging endpoint.')
param endpoint string

@description('Whether the bot is on Microsoft Teams.')
param teamsEnabled bool

@description('Whether the bot has a Direct Line.')
param directLineEnabled bool

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
    endpoint: endpoint
    msaAppId: appId
    msaAppType: appType
    msaAppTenantId: subscription().tenantId
    msaAppMSIResourceId: empty(identityId) ? null : identityId
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

output name string = bot.name
