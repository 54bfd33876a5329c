// The app, on Flex Consumption: each group of functions (HTTP together, each queue alone) has
// instances of its own, from none to the most that are allowed.

@description('Name of the function app.')
param name string

@description('Name of its plan.')
param planName string

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('Version of Python.')
@allowed(['3.11', '3.12', '3.13'])
param pythonVersion string

@description('Memory of an instance.')
param instanceMemoryMB int

@description('Most instances for each group of functions.')
param maximumInstanceCount int

@description('Instances of HTTP and of sending that never sleep.')
param alwaysReadyInstances int

@description('Whether instances are spread over availability zones.')
param zoneRedundant bool

@description('Resource id of the identity.')
param identityId string

@description('Client id of the identity.')
param identityClientId string

@description('Name of the storage account.')
param storageAccountName string

@description('Container of the app\'s package.')
param packageContainer string

@description('Name of the Application Insights.')
param applicationInsightsName string

@description('Subnet that the app calls from; empty for none.')
param subnetId string

@description('UserAssignedMSI or SingleTenant.')
param botAppType string

@description('The bot\'s app id.')
param botAppId string

@description('Where in a key vault the secret of the bot is; empty without one.')
param botVaultUri string

@description('Settings that shall not have their defaults.')
param appSettings object

// How much at once, from the rate backwards: SendRatePerSecond is 40 calls a second, and a call
// takes half a second or so, so some 20 calls are under way together. An instance takes
// 24 messages of a queue at once (host.json: batchSize 16 and newBatchThreshold 8), each on a thread
// that mostly waits for the network: one instance keeps the pace, and the other threads are room
// for the host. More instances help only with more tenants, or when the Connector is slow; they
// share one pace, whose cost grows with their number. A step of an alert takes one thread, and some
// of its own to put messages on a queue; there are few steps at a time.
var threads = 32

// For an instance of the HTTP functions, which are alone on it: half of the threads, so that one
// core also reads and checks what comes. Python's default is 1.
var httpConcurrency = 16

var neverSleeping = zoneRedundant ? max(alwaysReadyInstances, 2) : alwaysReadyInstances
var alwaysReady = [
  for group in ['http', 'function:SendActivityFromQueue']: {
    name: group
    instanceCount: neverSleeping
  }
]

var cloudNames = {
  AzureCloud: 'Public'
  AzureUSGovernment: 'USGov'
  AzureChinaCloud: 'China'
}

// Empty is the default of the code; docs/reference.md has a table of what each is for.
var defaultSettings = {
  BotCloud: cloudNames[environment().name]
  ToChannelFromBotLoginUrl: ''
  ToChannelFromBotOAuthScope: ''
  ToBotFromChannelOpenIdMetadataUrl: ''
  ToBotFromChannelTokenIssuer: ''
  TrustedServiceUrls: ''
  DefaultChannelId: 'msteams'
  DefaultServiceUrl: ''
  DefaultLocale: 'en'
  ConnectorTimeoutSeconds: '15'
  SendRatePerSecond: '40'
  AmbiguousSend: 'resend'
  BlockedProbeDays: '7'
  DeliveryRetentionDays: '30'
  LargestActivityKilobytes: ''
  MicrosoftAppCertificatePath: ''
  PYTHON_THREADPOOL_THREAD_COUNT: string(threads)
}

// A SingleTenant bot without a secret is vouched for by the managed identity.
var isFederated = botAppType == 'SingleTenant' && empty(botVaultUri)

// What appSettings cannot change, as it is what the rest of this deployment is made for.
var fixedSettings = {
  AzureWebJobsStorage__blobServiceUri: storage.properties.primaryEndpoints.blob
  AzureWebJobsStorage__queueServiceUri: storage.properties.primaryEndpoints.queue
  AzureWebJobsStorage__tableServiceUri: storage.properties.primaryEndpoints.table
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identityClientId
  APPLICATIONINSIGHTS_CONNECTION_STRING: applicationInsights.properties.ConnectionString
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
  MicrosoftAppType: botAppType
  MicrosoftAppId: botAppId
  MicrosoftAppTenantId: tenant().tenantId
  MicrosoftAppPassword: empty(botVaultUri) ? '' : '@Microsoft.KeyVault(SecretUri=${botVaultUri})'
  MicrosoftAppFederatedClientId: isFederated ? identityClientId : ''
}

resource storage 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: storageAccountName
}

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: applicationInsightsName
}

resource plan 'Microsoft.Web/serverfarms@2024-11-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
    zoneRedundant: zoneRedundant
  }
}

resource app 'Microsoft.Web/sites@2024-11-01' = {
  name: name
  location: location
  // azd finds the service app of azure.yaml by its tag.
  tags: union(tags, { 'azd-service-name': 'app' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    keyVaultReferenceIdentity: identityId
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      http20Enabled: true
      remoteDebuggingEnabled: false
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storage.properties.primaryEndpoints.blob}${packageContainer}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: {
        name: 'python'
        version: pythonVersion
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
        alwaysReady: neverSleeping > 0 ? alwaysReady : []
        triggers: {
          http: {
            perInstanceConcurrency: httpConcurrency
          }
        }
      }
    }
  }

  resource settings 'config' = {
    name: 'appsettings'
    properties: union(defaultSettings, appSettings, fixedSettings)
  }

  // Code is deployed with tokens of Entra; the passwords that a site has for it are of no use.
  resource ftpPasswords 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    properties: {
      allow: false
    }
  }

  resource deploymentPasswords 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: {
      allow: false
    }
  }
}

output name string = app.name
output url string = 'https://${app.properties.defaultHostName}'
