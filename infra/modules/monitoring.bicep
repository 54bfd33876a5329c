// Where the logs are, and a workbook that shows the flow by channel. The app writes one line for each
// outcome, and counters and alerts live on these lines; so host.json takes traces out of sampling, and
// all of them are paid for: docs/operations.md says how much.
//
// The URLs of requests are logged by the host and hold the ids that are in their paths: who reads
// these logs reads ids of users and conversations. Queues leave none.
param workspaceName string
param applicationInsightsName string
param workbookTitle string
param location string
param tags object
param identityName string
param retentionDays int
param dailyCapGb int

// Despite its name it is for all that is logged.
var logRoles = {
  'Monitoring Metrics Publisher': '3913510d-42f4-4e42-8a64-420c390055eb'
}
var logRoleId = logRoles['Monitoring Metrics Publisher']

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-02-01' = {
  name: workspaceName
  location: location
  tags: tags
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: retentionDays
    features: {
      disableLocalAuth: true
      enableLogAccessUsingOnlyResourcePermissions: true
    }
    workspaceCapping: {
      dailyQuotaGb: dailyCapGb
    }
  }
}

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' = {
  name: applicationInsightsName
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    DisableLocalAuth: true
    SamplingPercentage: 100
  }
}

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: identityName
}

resource logRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: applicationInsights
  name: guid(applicationInsights.id, identityName, logRoleId)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', logRoleId)
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
  }
}

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  // A workbook's name has to be a GUID.
  name: guid(applicationInsights.id, 'flow')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: workbookTitle
    category: 'workbook'
    sourceId: applicationInsights.id
    serializedData: loadTextContent('../workbook.json')
    version: 'Notebook/1.0'
  }
}
