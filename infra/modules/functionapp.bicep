// The app, on Flex Consumption: each group of functions (HTTP together, each queue alone) has
// instances of its own, from none to the most that are allowed.
param name string
param planName string
param location string
param tags object
param pythonVersion string
param instanceMemoryMB int
param maximumInstanceCount int
param alwaysReadyInstances int
param zoneRedundant bool
param identityName string
param storageAccountName string
param packageContainer string
param applicationInsightsName string
param appSettings object

@description('Network that the app calls from; empty for none.')
param networkName string

@description('Empty: the identity is the bot.')
param botAppRegistrationId string

@description('Where the secret of the bot is; empty without one.')
param botSecretUri string

@description('Where the secret is that holds those of webhooks; empty without any.')
param webhookSecretUri string

@description('Empty: function keys alone.')
param entraClientId string
param entraAllowedApplications string[]

@description('Empty: nobody is told what became of alerts and deliveries.')
param outcomeQueue string

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

// Empty is the default of the code; docs/reference.md has a table of what each is for.
var defaultSettings = {
  BotCloud: 'Public'
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
  Topics: ''
  AnswersPeople: 'true'
  MicrosoftAppCertificatePath: ''
  PYTHON_THREADPOOL_THREAD_COUNT: string(threads)
}

var isSingleTenant = !empty(botAppRegistrationId)

// What appSettings cannot change, as it is what the rest of this deployment is made for.
var fixedSettings = {
  AzureWebJobsStorage__blobServiceUri: storage.properties.primaryEndpoints.blob
  AzureWebJobsStorage__queueServiceUri: storage.properties.primaryEndpoints.queue
  AzureWebJobsStorage__tableServiceUri: storage.properties.primaryEndpoints.table
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identity.properties.clientId
  // There are none, and a new process that looks for them reads what is said of every package.
  PYDANTIC_DISABLE_PLUGINS: '__all__'
  APPLICATIONINSIGHTS_CONNECTION_STRING: applicationInsights.properties.ConnectionString
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.properties.clientId};Authorization=AAD'
  MicrosoftAppType: isSingleTenant ? 'SingleTenant' : 'UserAssignedMSI'
  MicrosoftAppId: isSingleTenant ? botAppRegistrationId : identity.properties.clientId
  MicrosoftAppTenantId: tenant().tenantId
  MicrosoftAppPassword: empty(botSecretUri) ? '' : '@Microsoft.KeyVault(SecretUri=${botSecretUri})'
  WebhookSecrets: empty(webhookSecretUri) ? '' : '@Microsoft.KeyVault(SecretUri=${webhookSecretUri})'
  OutcomeQueue: outcomeQueue
  // Without a secret the managed identity vouches for the app registration.
  MicrosoftAppFederatedClientId: isSingleTenant && empty(botSecretUri) ? identity.properties.clientId : ''
}

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: identityName
}

resource storage 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: storageAccountName
}

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: applicationInsightsName
}

resource network 'Microsoft.Network/virtualNetworks@2024-07-01' existing = if (!empty(networkName)) {
  name: networkName

  resource appSubnet 'subnets' existing = {
    name: 'app'
  }
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
      '${identity.id}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    keyVaultReferenceIdentity: identity.id
    virtualNetworkSubnetId: empty(networkName) ? null : network::appSubnet.id
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
            userAssignedIdentityResourceId: identity.id
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

  // Entra tokens for the HTTP functions, beside their keys. The Connector and those who look at the
  // health come without one: the bot's endpoint checks the Connector's own tokens. So does az, which
  // looks at the host's status after a deployment, with the master key. The registration has to ask
  // for tokens of version 2 (requestedAccessTokenVersion in its manifest).
  resource authentication 'config' = if (!empty(entraClientId)) {
    name: 'authsettingsV2'
    properties: {
      platform: {
        enabled: true
      }
      httpSettings: {
        requireHttps: true
      }
      globalValidation: {
        requireAuthentication: true
        unauthenticatedClientAction: 'Return401'
        excludedPaths: [
          '/api/messages'
          '/api/health'
          '/admin/host/status'
        ]
      }
      identityProviders: {
        azureActiveDirectory: {
          enabled: true
          registration: {
            clientId: entraClientId
            openIdIssuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
          }
          validation: {
            allowedAudiences: [
              entraClientId
              'api://${entraClientId}'
            ]
            defaultAuthorizationPolicy: {
              // None given: no limit.
              allowedApplications: empty(entraAllowedApplications) ? null : entraAllowedApplications
            }
          }
        }
      }
      login: {
        tokenStore: {
          enabled: false
        }
      }
    }
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

output url string = 'https://${app.properties.defaultHostName}'
