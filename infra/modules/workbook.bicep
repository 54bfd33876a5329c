// The flow at a glance: what was sent, retried, held back, failed and throttled, by channel.

@description('Its title.')
param displayName string

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('Name of the Application Insights.')
param applicationInsightsName string

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: applicationInsightsName
}

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  // A workbook's name has to be a GUID.
  name: guid(applicationInsights.id, 'flow')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: displayName
    category: 'workbook'
    sourceId: applicationInsights.id
    serializedData: loadTextContent('../workbook.json')
    version: 'Notebook/1.0'
  }
}
