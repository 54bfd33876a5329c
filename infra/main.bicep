// What speak-first is made of in Azure, in one resource group. With the default parameters nothing
// here needs a secret, and no output ever holds one.
targetScope = 'resourceGroup'

// ---------------------------------------------------------------- names and places

@description('Name of this deployment, such as prod. It stands in the names of the resources.')
@minLength(1)
@maxLength(32)
param environmentName string

@description('Region of all resources that have one.')
@metadata({ azd: { type: 'location' } })
param location string = resourceGroup().location

@description('Tags for every resource, beside azd-env-name.')
param tags object = {}

// ---------------------------------------------------------------- the bot

@description('What people see as the name of the bot.')
@minLength(1)
@maxLength(42)
param botDisplayName string = 'Speak First'

@description('F0 is free, for 10,000 messages a month on premium channels; Teams is not one of them.')
@allowed(['F0', 'S1'])
param botSku string = 'F0'

@description('UserAssignedMSI: the bot is the managed identity. SingleTenant: it is an app registration, with botAppId.')
@allowed(['UserAssignedMSI', 'SingleTenant'])
param botAppType string = 'UserAssignedMSI'

@description('App id of a SingleTenant bot; else empty.')
@maxLength(36)
param botAppId string = ''

@description('Secret of a SingleTenant bot, kept in a key vault. Empty: the managed identity vouches for the app registration, which needs a federated credential for it.')
@secure()
param botAppPassword string = ''

@description('Whether the bot is on Microsoft Teams.')
param teamsEnabled bool = true

@description('Whether the bot has a Direct Line, which hands out secrets of its own.')
param directLineEnabled bool = false

// ---------------------------------------------------------------- the function app

@description('Memory of an instance; 2048 MB come with one core, 512 MB with a quarter of one.')
@allowed([512, 2048, 4096])
param instanceMemoryMB int = 2048

@description('Most instances for each group of functions. Some regions take no less than 40; the pace is set by SendRatePerSecond, not by this.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('Instances of HTTP and of sending that never sleep; they are paid for by the hour.')
@minValue(0)
@maxValue(20)
param alwaysReadyInstances int = 0

@description('Whether storage and the app are spread over availability zones; then two instances never sleep.')
param zoneRedundant bool = false

@description('The app\'s own settings that shall not have their defaults, such as { DefaultLocale: \'de\' }.')
param appSettings object = {}

// ---------------------------------------------------------------- who may do what

@description('Object ids of users, groups and service principals that may put messages on the queues.')
param senderPrincipalIds string[] = []

@description('Client id of an app registration: the HTTP functions then want its tokens too, but for the bot\'s endpoint and the health. Empty: function keys alone.')
@maxLength(36)
param entraClientId string = ''

@description('Client ids of the applications whose Entra tokens are taken. Empty: every one of the tenant.')
param entraAllowedApplications string[] = []

@description('Whether storage is reached through private endpoints only.')
param privateNetworking bool = false

@description('Addresses of the virtual network, where there is one: a /24.')
param vnetAddressPrefix string = '10.20.30.0/24'

// ---------------------------------------------------------------- watching it

@description('Who gets the alerts, by mail.')
param alertEmails string[] = []

@description('How long logs are kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

@description('Most logs a day, in GB; -1 for no limit. Past it alerts are blind until the next day.')
@minValue(-1)
param logDailyCapGb int = -1

@description('An alert goes off when so many percent of what ended in 15 minutes have failed.')
@minValue(0)
@maxValue(100)
param failedPercent int = 5

@description('An alert goes off when so many percent of the calls of 15 minutes were answered with 429.')
@minValue(0)
@maxValue(100)
param throttledPercent int = 10

@description('An alert goes off when a message was taken that had waited so long.')
@minValue(1)
@maxValue(10080)
param oldestMessageMinutes int = 30

// ---------------------------------------------------------------- what exists

// The package is built by this very version: see build_package.py.
var pythonVersion = '3.13'

var queues = [
  'start-conversation'
  'send-activity'
  'cache-account'
  'send-alert'
  'update-activity'
  'delete-activity'
]

var tables = [
  'accounts'
  'alerts'
  'bodies'
  'conversations'
  'deliveries'
  'failures'
  'idempotency'
  'keys'
  'lanes'
  'leases'
  'optouts'
  'pages'
  'retention'
]

var suffix = uniqueString(resourceGroup().id, environmentName)
var allTags = union(tags, { 'azd-env-name': environmentName })
var isManagedIdentity = botAppType == 'UserAssignedMSI'
var hasSecret = !isManagedIdentity && !empty(botAppPassword)

module identity 'modules/identity.bicep' = {
  name: 'identity'
  params: {
    name: 'id-${environmentName}-${suffix}'
    location: location
    tags: allTags
  }
}

module network 'modules/network.bicep' = if (privateNetworking) {
  name: 'network'
  params: {
    name: 'vnet-${environmentName}-${suffix}'
    location: location
    tags: allTags
    addressPrefix: vnetAddressPrefix
    storageAccountName: storage.outputs.name
  }
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  params: {
    name: 'st${suffix}'
    location: location
    tags: allTags
    queues: queues
    tables: tables
    isPrivate: privateNetworking
    zoneRedundant: zoneRedundant
  }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  params: {
    workspaceName: 'log-${environmentName}-${suffix}'
    applicationInsightsName: 'appi-${environmentName}-${suffix}'
    location: location
    tags: allTags
    retentionDays: logRetentionDays
    dailyCapGb: logDailyCapGb
  }
}

module roles 'modules/roles.bicep' = {
  name: 'roles'
  params: {
    principalId: identity.outputs.principalId
    storageAccountName: storage.outputs.name
    applicationInsightsName: monitoring.outputs.applicationInsightsName
  }
}

module senders 'modules/senders.bicep' = [
  for queue in queues: {
    name: 'senders-${queue}'
    params: {
      principalIds: senderPrincipalIds
      queueName: queue
      storageAccountName: storage.outputs.name
    }
  }
]

module keyVault 'modules/keyvault.bicep' = if (hasSecret) {
  name: 'keyvault'
  params: {
    name: 'kv-${suffix}'
    location: location
    tags: allTags
    readerPrincipalId: identity.outputs.principalId
    botAppPassword: botAppPassword
  }
}

module functionApp 'modules/functionapp.bicep' = {
  name: 'functionapp'
  params: {
    name: 'func-${environmentName}-${suffix}'
    planName: 'plan-${environmentName}-${suffix}'
    location: location
    tags: allTags
    pythonVersion: pythonVersion
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    alwaysReadyInstances: alwaysReadyInstances
    zoneRedundant: zoneRedundant
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    storageAccountName: storage.outputs.name
    packageContainer: storage.outputs.packageContainer
    applicationInsightsName: monitoring.outputs.applicationInsightsName
    subnetId: privateNetworking ? network!.outputs.appSubnetId : ''
    botAppType: botAppType
    botAppId: isManagedIdentity ? identity.outputs.clientId : botAppId
    botVaultUri: hasSecret ? keyVault!.outputs.botVaultUri : ''
    appSettings: appSettings
  }
  // Without its roles the app cannot even start.
  dependsOn: [roles]
}

module authentication 'modules/authentication.bicep' = if (!empty(entraClientId)) {
  name: 'authentication'
  params: {
    functionAppName: functionApp.outputs.name
    clientId: entraClientId
    allowedApplications: entraAllowedApplications
  }
}

module bot 'modules/bot.bicep' = {
  name: 'bot'
  params: {
    name: 'bot-${environmentName}-${suffix}'
    tags: allTags
    displayName: botDisplayName
    sku: botSku
    appType: botAppType
    appId: isManagedIdentity ? identity.outputs.clientId : botAppId
    identityId: isManagedIdentity ? identity.outputs.id : ''
    endpoint: '${functionApp.outputs.url}/api/messages'
    teamsEnabled: teamsEnabled
    directLineEnabled: directLineEnabled
  }
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  params: {
    environmentName: environmentName
    location: location
    tags: allTags
    applicationInsightsName: monitoring.outputs.applicationInsightsName
    healthUrl: '${functionApp.outputs.url}/api/health'
    emails: alertEmails
    failedPercent: failedPercent
    throttledPercent: throttledPercent
    oldestMessageMinutes: oldestMessageMinutes
  }
}

module workbook 'modules/workbook.bicep' = {
  name: 'workbook'
  params: {
    displayName: 'Speak First ${environmentName}'
    location: location
    tags: allTags
    applicationInsightsName: monitoring.outputs.applicationInsightsName
  }
}

// ---------------------------------------------------------------- what to know of it

@description('Name of the function app, which code is deployed to.')
output AZURE_FUNCTION_NAME string = functionApp.outputs.name

@description('Where the HTTP functions are.')
output API_URL string = '${functionApp.outputs.url}/api'

@description('Name of the storage account, which messages are put on.')
output AZURE_STORAGE_ACCOUNT_NAME string = storage.outputs.name

@description('App id of the bot, which its Teams app names.')
output BOT_APP_ID string = isManagedIdentity ? identity.outputs.clientId : botAppId

@description('Name of the Azure Bot.')
output BOT_NAME string = bot.outputs.name

@description('Object id of the managed identity, which a federated credential names.')
output IDENTITY_PRINCIPAL_ID string = identity.outputs.principalId
