// Who may put messages on a queue, and do nothing else with it.

@description('Object ids of the senders; empty ones are left out.')
param principalIds string[]

@description('Name of the queue.')
param queueName string

@description('Name of the storage account.')
param storageAccountName string

var senderRoles = {
  'Storage Queue Data Message Sender': 'c6a89b2d-59bc-44d0-9896-0f6e12d7b80a'
}
var senderRoleId = senderRoles['Storage Queue Data Message Sender']

resource storage 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: storageAccountName
}

resource queueService 'Microsoft.Storage/storageAccounts/queueServices@2025-01-01' existing = {
  parent: storage
  name: 'default'
}

resource queue 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-01-01' existing = {
  parent: queueService
  name: queueName
}

resource senderRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for principalId in principalIds: if (!empty(principalId)) {
    scope: queue
    name: guid(queue.id, principalId, senderRoleId)
    properties: {
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', senderRoleId)
      principalId: principalId
    }
  }
]
