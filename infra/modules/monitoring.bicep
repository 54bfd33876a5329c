// Where the logs are. The app writes one line for each outcome, and counters and alerts live on
// these lines; so host.json takes traces out of sampling, and all of them are paid for. A message
// that is sent leaves about five lines (the host's three, the outcome, the request) of 1 KB each:
// 5 GB for a million messages, some 12 to 15 US dollars at the usual price of 2.30 to 3 per GB.
//
// The URLs of requests are logged by the host and hold the ids that are in their paths: who reads
// these logs reads ids of users and conversations. Queues leave none.

@description('Name of the workspace.')
param workspaceName string

@description('Name of the Application Insights.')
param applicationInsightsName string

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('How long logs are kept.')
param retentionDays int

@description('Most logs a day, in GB; -1 for no limit.')
param dailyCapGb int

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

output applicationInsightsName string = applicationInsights.name
