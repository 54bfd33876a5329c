// Where everything is kept: queues, tables, and the app's package. There are no keys to it from the
// first minute on. Everything is made here, so the app needs no right to make more.
param name string
param location string
param tags object
param identityName string
param senderPrincipalIds string[]
param outcomeQueue string
param outcomeReaderPrincipalIds string[]
param packageContainer string
param isPrivate bool
param zoneRedundant bool

// Each gets one for its poison messages beside it.
var queues = [
  'start-conversation'
  'send-activity'
  'cache-account'
  'send-alert'
  'update-activity'
  'delete-activity'
  'receive-event'
]

var tables = [
  'accounts'
  'alerts'
  'answers'
  'bodies'
  'conversations'
  'deliveries'
  'failures'
  'idempotency'
  'incidents'
  'keys'
  'lanes'
  'leases'
  'optouts'
  'pages'
  'retention'
]

// The host keeps its locks, its function keys and the app's package in blobs, and has to own them.
var appRoles = {
  'Storage Blob Data Owner': 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  'Storage Queue Data Contributor': '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
  'Storage Table Data Contributor': '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
}

var senderRoles = {
  'Storage Queue Data Message Sender': 'c6a89b2d-59bc-44d0-9896-0f6e12d7b80a'
}
var senderRoleId = senderRoles['Storage Queue Data Message Sender']

// A queue trigger also asks how many messages there are.
var readerRoles = {
  'Storage Queue Data Message Processor': '8a0f0c08-91a1-4084-bc3d-661d67233fed'
  'Storage Queue Data Reader': '19e7f393-937e-4f77-808e-94535e297925'
}
var outcomeReaders = empty(outcomeQueue) ? [] : outcomeReaderPrincipalIds
var readers = flatten(map(outcomeReaders, id => map(items(readerRoles), role => { id: id, roleId: role.value })))

// What is in a poison queue is put back as it is, so only the app may write there.
var queueNames = join(map(queues, queue => '\'${queue}\''), ', ')
var onQueuesAlone = '((!(ActionMatches{\'Microsoft.Storage/storageAccounts/queueServices/queues/messages/add/action\'})) OR (@Resource[Microsoft.Storage/storageAccounts/queueServices/queues:name] ForAnyOfAnyValues:StringEquals {${queueNames}}))'

resource account 'Microsoft.Storage/storageAccounts@2025-01-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: zoneRedundant ? 'Standard_ZRS' : 'Standard_LRS'
  }
  properties: {
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'None'
      defaultAction: isPrivate ? 'Deny' : 'Allow'
    }
  }

  resource blobService 'blobServices' = {
    name: 'default'

    resource container 'containers' = {
      name: packageContainer
      properties: {
        publicAccess: 'None'
      }
    }
  }

  resource queueService 'queueServices' = {
    name: 'default'

    resource queue 'queues' = [
      for queueName in queues: {
        name: queueName
      }
    ]

    resource outcomes 'queues' = if (!empty(outcomeQueue)) {
      name: outcomeQueue
    }

    resource poisonQueue 'queues' = [
      for queueName in queues: {
        name: '${queueName}-poison'
      }
    ]
  }

  resource tableService 'tableServices' = {
    name: 'default'

    resource table 'tables' = [
      for tableName in tables: {
        name: tableName
      }
    ]
  }
}

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: identityName
}

resource appRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in items(appRoles): {
    scope: account
    name: guid(account.id, identityName, role.value)
    properties: {
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.value)
      principalId: identity.properties.principalId
      principalType: 'ServicePrincipal'
    }
  }
]

resource senderRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for principalId in senderPrincipalIds: {
    scope: account
    name: guid(account.id, principalId, senderRoleId)
    properties: {
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', senderRoleId)
      principalId: principalId
      condition: onQueuesAlone
      conditionVersion: '2.0'
    }
  }
]

resource readerRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for reader in readers: {
    scope: account::queueService::outcomes
    name: guid(account::queueService::outcomes.id, reader.id, reader.roleId)
    properties: {
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', reader.roleId)
      principalId: reader.id
    }
  }
]
