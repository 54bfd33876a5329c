// What speak-first is made of in Azure, in one resource group. With the default parameters nothing
// here needs a secret, and no output ever holds one. main.bicepparam has the defaults, and the
// environment variables that set them.
targetScope = 'resourceGroup'

// ---------------------------------------------------------------- names and places

@description('Name of this deployment, such as prod. It is in the titles that people read; resources are named by a hash of it and of the resource group.')
@minLength(1)
@maxLength(64)
param environmentName string

@description('Region of all resources that have one. It needs Flex Consumption: az functionapp list-flexconsumption-locations has the newest list.')
@allowed([
  'australiaeast'
  'australiasoutheast'
  'brazilsouth'
  'canadacentral'
  'centralindia'
  'centralus'
  'eastasia'
  'eastus'
  'eastus2'
  'francecentral'
  'germanywestcentral'
  'italynorth'
  'japaneast'
  'koreacentral'
  'northcentralus'
  'northeurope'
  'norwayeast'
  'southafricanorth'
  'southcentralus'
  'southeastasia'
  'southindia'
  'spaincentral'
  'swedencentral'
  'uaenorth'
  'uksouth'
  'ukwest'
  'westcentralus'
  'westeurope'
  'westus'
  'westus2'
  'westus3'
])
param location string

@description('Tags for every resource, beside azd-env-name.')
param tags object

// ---------------------------------------------------------------- the bot

@description('Whether the Azure Bot is made here. If not, there is one with that app registration already: a bot of yours, which goes on with its own messaging endpoint.')
param botResourceEnabled bool

@description('What people see as the name of the bot.')
@minLength(1)
@maxLength(42)
param botDisplayName string

@description('F0 is free, for 10,000 messages a month on premium channels; Teams is not one of them.')
@allowed(['F0', 'S1'])
param botSku string

@description('App id of the app registration that is the bot, of the type SingleTenant. Empty: the managed identity is the bot.')
@maxLength(36)
param botAppRegistrationId string

@description('Whether that app registration has a secret, which is kept in a key vault. If not, the managed identity vouches for it, by a federated credential.')
param botSecretEnabled bool

@description('That secret. Empty: the one in the key vault stays.')
@secure()
param botAppPassword string

@description('Whether the bot is on Microsoft Teams.')
param teamsEnabled bool

@description('Whether the bot has a Direct Line, which hands out secrets of its own.')
param directLineEnabled bool

// ---------------------------------------------------------------- the function app

@description('Whether webhooks are signed, by secrets that are kept in a key vault.')
param webhookSecretsEnabled bool

@description('Those secrets, as the setting WebhookSecrets has them: github=…,grafana=…. Empty: what is in the key vault stays.')
@secure()
param webhookSecrets string

@description('Memory of an instance; 2048 MB come with one core, 4096 MB with two.')
@allowed([2048, 4096])
param instanceMemoryMB int

@description('Most instances for each group of functions. Some regions take no less than 40; the pace is set by SendRatePerSecond, not by this.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int

@description('Instances of HTTP and of sending that never sleep; they are paid for by the hour.')
@minValue(0)
@maxValue(20)
param alwaysReadyInstances int

@description('Whether storage and the app are spread over availability zones; then two instances never sleep.')
param zoneRedundant bool

@description('The app\'s own settings that differ from their defaults, such as { DefaultLocale: \'de\' }.')
param appSettings object

// ---------------------------------------------------------------- who may do what

@description('Object ids of users, groups and service principals that may put messages on the queues.')
param senderPrincipalIds string[]

@description('Name of the queue that other systems read what became of alerts and deliveries from. Empty: there is none.')
@maxLength(63)
param outcomeQueue string

@description('Object ids of users, groups and service principals that may read that queue, and take messages from it.')
param outcomeReaderPrincipalIds string[]

@description('Client id of an app registration: then the HTTP functions need its tokens as well as their keys, except the bot\'s endpoint and the health. Webhooks cannot send them. Empty: keys alone.')
@maxLength(36)
param entraClientId string

@description('Client ids of the applications whose Entra tokens are taken. Empty: every one of the tenant.')
param entraAllowedApplications string[]

@description('Whether storage is reached through private endpoints only.')
param privateNetworking bool

@description('Addresses of the virtual network, where there is one: a /24.')
param vnetAddressPrefix string

// ---------------------------------------------------------------- watching it

@description('Mail addresses that get the alerts. Empty: there are no alerts, because each of them costs something.')
param alertEmails string[]

@description('Whether the health is asked for from three places. It is an alert if it does not answer.')
param healthTestEnabled bool

@description('How long logs are kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int

@description('Most logs a day, in GB; -1 for no limit. Past it alerts are blind until the next day.')
@minValue(-1)
param logDailyCapGb int

@description('An alert goes off when so many percent of what ended in 15 minutes have failed.')
@minValue(0)
@maxValue(100)
param failedPercent int

@description('An alert goes off when so many percent of the calls of 15 minutes were answered with 429.')
@minValue(0)
@maxValue(100)
param throttledPercent int

@description('An alert goes off when a message was taken that had waited so long.')
@minValue(1)
@maxValue(10080)
param oldestMessageMinutes int

// ---------------------------------------------------------------- what exists

// The package is built by this very version: see build_package.py.
var pythonVersion = '3.13'

var suffix = uniqueString(resourceGroup().id, environmentName)
var identityName = 'id-${suffix}'
var storageName = 'st${suffix}'
var packageContainer = 'app-package'
var networkName = 'vnet-${suffix}'
var applicationInsightsName = 'appi-${suffix}'
var vaultName = 'kv-${suffix}'
var secretsUri = 'https://${vaultName}${environment().suffixes.keyvaultDns}/secrets'
var botSecretName = 'bot-app-password'
var webhookSecretName = 'webhook-secrets'
var functionAppName = 'func-${suffix}'
var botName = 'bot-${suffix}'

var allTags = union(tags, { 'azd-env-name': environmentName })
var hasBotSecret = botSecretEnabled && !empty(botAppRegistrationId)

// The one identity: of the app towards storage and logs, and of the bot towards the Connector.
resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: identityName
  location: location
  tags: allTags
}

module storage 'modules/storage.bicep' = {
  params: {
    name: storageName
    location: location
    tags: allTags
    identityName: identityName
    senderPrincipalIds: senderPrincipalIds
    outcomeQueue: outcomeQueue
    outcomeReaderPrincipalIds: outcomeReaderPrincipalIds
    packageContainer: packageContainer
    isPrivate: privateNetworking
    zoneRedundant: zoneRedundant
  }
  dependsOn: [identity]
}

module network 'modules/network.bicep' = if (privateNetworking) {
  params: {
    name: networkName
    location: location
    tags: allTags
    addressPrefix: vnetAddressPrefix
    storageAccountName: storageName
  }
  dependsOn: [storage]
}

module monitoring 'modules/monitoring.bicep' = {
  params: {
    workspaceName: 'log-${suffix}'
    applicationInsightsName: applicationInsightsName
    workbookTitle: 'Speak First ${environmentName}'
    location: location
    tags: allTags
    identityName: identityName
    retentionDays: logRetentionDays
    dailyCapGb: logDailyCapGb
  }
  dependsOn: [identity]
}

module keyVault 'modules/keyvault.bicep' = if (hasBotSecret || webhookSecretsEnabled) {
  params: {
    name: vaultName
    location: location
    tags: allTags
    identityName: identityName
    botSecretName: botSecretName
    botAppPassword: hasBotSecret ? botAppPassword : ''
    webhookSecretName: webhookSecretName
    webhookSecrets: webhookSecretsEnabled ? webhookSecrets : ''
  }
  dependsOn: [identity]
}

module functionApp 'modules/functionapp.bicep' = {
  params: {
    name: functionAppName
    planName: 'plan-${suffix}'
    location: location
    tags: allTags
    pythonVersion: pythonVersion
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    alwaysReadyInstances: alwaysReadyInstances
    zoneRedundant: zoneRedundant
    identityName: identityName
    storageAccountName: storageName
    packageContainer: packageContainer
    applicationInsightsName: applicationInsightsName
    networkName: privateNetworking ? networkName : ''
    botAppRegistrationId: botAppRegistrationId
    botSecretUri: hasBotSecret ? '${secretsUri}/${botSecretName}' : ''
    webhookSecretUri: webhookSecretsEnabled ? '${secretsUri}/${webhookSecretName}' : ''
    entraClientId: entraClientId
    entraAllowedApplications: entraAllowedApplications
    outcomeQueue: outcomeQueue
    appSettings: appSettings
  }
  // Without its roles, and the way to storage, the app cannot even start.
  dependsOn: [storage, network, monitoring, keyVault]
}

module bot 'modules/bot.bicep' = if (botResourceEnabled) {
  params: {
    name: botName
    tags: allTags
    displayName: botDisplayName
    sku: botSku
    appRegistrationId: botAppRegistrationId
    identityName: identityName
    functionAppName: functionAppName
    teamsEnabled: teamsEnabled
    directLineEnabled: directLineEnabled
  }
  dependsOn: [functionApp]
}

module alerts 'modules/alertrules.bicep' = if (!empty(alertEmails)) {
  params: {
    environmentName: environmentName
    suffix: suffix
    location: location
    tags: allTags
    applicationInsightsName: applicationInsightsName
    functionAppName: functionAppName
    emails: alertEmails
    healthTestEnabled: healthTestEnabled
    failedPercent: failedPercent
    throttledPercent: throttledPercent
    oldestMessageMinutes: oldestMessageMinutes
  }
  dependsOn: [functionApp]
}

// ---------------------------------------------------------------- what to know of it

@description('Name of the function app, which code is deployed to.')
output AZURE_FUNCTION_NAME string = functionAppName

@description('Where the HTTP functions are.')
output API_URL string = '${functionApp.outputs.url}/api'

@description('Name of the storage account, which messages are put on.')
output AZURE_STORAGE_ACCOUNT_NAME string = storageName

@description('App id of the bot, which its Teams app names.')
output BOT_APP_ID string = empty(botAppRegistrationId) ? identity.properties.clientId : botAppRegistrationId

@description('Name of the Azure Bot that was made here; empty if none was.')
output BOT_NAME string = botResourceEnabled ? botName : ''

@description('Object id of the managed identity, which a federated credential names.')
output IDENTITY_PRINCIPAL_ID string = identity.properties.principalId
