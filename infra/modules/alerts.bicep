// What wakes somebody up. Each rule asks the logs every five minutes for one number, `value`, and
// goes off when that is above its threshold; the questions are in ../queries.

@description('Name of the deployment.')
param environmentName string

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('Name of the Application Insights.')
param applicationInsightsName string

@description('Where the health is told.')
param healthUrl string

@description('Who gets a mail; empty ones are left out.')
param emails string[]

@description('So many percent may fail.')
param failedPercent int

@description('So many percent may be answered with 429.')
param throttledPercent int

@description('So long may a message wait.')
param oldestMessageMinutes int

// Severity 0 is the worst, 4 the least.
var rules = [
  {
    name: 'poison'
    title: 'Messages have failed'
    description: 'Something was put on a poison queue. GET /api/deliveries tells what and why; POST /api/deliveries/{id}/retry puts it back.'
    severity: 2
    query: loadTextContent('../queries/poison.kql')
    threshold: 0
  }
  {
    name: 'failed'
    title: 'Many messages fail'
    description: 'More than ${failedPercent} percent of what ended has failed. The outcome lines have the codes.'
    severity: 1
    query: loadTextContent('../queries/failed.kql')
    threshold: failedPercent
  }
  {
    name: 'throttled'
    title: 'The Connector throttles the bot'
    description: 'More than ${throttledPercent} percent of the calls were answered with 429. Lower SendRatePerSecond, or see what else uses the bot.'
    severity: 3
    query: loadTextContent('../queries/throttled.kql')
    threshold: throttledPercent
  }
  {
    name: 'waiting'
    title: 'Messages wait long'
    description: 'A message had waited more than ${oldestMessageMinutes} minutes when it was taken: more comes than goes, or the Connector pauses the bot.'
    severity: 2
    query: loadTextContent('../queries/waiting.kql')
    threshold: oldestMessageMinutes
  }
  {
    name: 'credential'
    title: 'The bot gets no token'
    description: 'Entra or the Connector refuses the bot (BotCredentialError). Nothing is sent until that is mended; nothing is lost meanwhile.'
    severity: 0
    query: loadTextContent('../queries/credential.kql')
    threshold: 0
  }
  {
    name: 'broken'
    title: 'Functions fail'
    description: 'Functions ended with an error that they do not know: storage is down, a setting is wrong, or it is a bug. See the exceptions.'
    severity: 1
    query: loadTextContent('../queries/broken.kql')
    threshold: 5
  }
]

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: applicationInsightsName
}

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-${environmentName}'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: take(environmentName, 12)
    emailReceivers: [
      for email in filter(emails, address => !empty(address)): {
        name: email
        emailAddress: email
        useCommonAlertSchema: true
      }
    ]
  }
}

resource alert 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for rule in rules: {
    name: 'alert-${environmentName}-${rule.name}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: '${rule.title} (${environmentName})'
      description: rule.description
      enabled: true
      severity: rule.severity
      scopes: [applicationInsights.id]
      evaluationFrequency: 'PT5M'
      windowSize: 'PT15M'
      criteria: {
        allOf: [
          {
            query: rule.query
            metricMeasureColumn: 'value'
            timeAggregation: 'Maximum'
            operator: 'GreaterThan'
            threshold: rule.threshold
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      autoMitigate: true
      // On the first day there are no tables to ask yet.
      skipQueryValidation: true
      actions: {
        actionGroups: [people.id]
      }
    }
  }
]

// The health is asked for from three places; one of them may be wrong.
resource healthTest 'Microsoft.Insights/webtests@2022-06-15' = {
  name: 'test-${environmentName}-health'
  location: location
  // It must name its Application Insights just so.
  tags: union(tags, { 'hidden-link:${applicationInsights.id}': 'Resource' })
  kind: 'standard'
  properties: {
    SyntheticMonitorId: 'test-${environmentName}-health'
    Name: 'Health (${environmentName})'
    Enabled: true
    Kind: 'standard'
    Frequency: 300
    Timeout: 60
    RetryEnabled: true
    Locations: [
      { Id: 'emea-nl-ams-azr' }
      { Id: 'us-va-ash-azr' }
      { Id: 'apac-sg-sin-azr' }
    ]
    Request: {
      RequestUrl: healthUrl
      HttpVerb: 'GET'
      ParseDependentRequests: false
    }
    ValidationRules: {
      ExpectedHttpStatusCode: 200
      SSLCheck: true
      SSLCertRemainingLifetimeCheck: 7
    }
  }
}

resource healthAlert 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: 'alert-${environmentName}-health'
  location: 'global'
  tags: tags
  properties: {
    description: 'GET /api/health does not answer, or says what fails: storage, or a setting.'
    severity: 1
    enabled: true
    scopes: [
      healthTest.id
      applicationInsights.id
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.WebtestLocationAvailabilityCriteria'
      webTestId: healthTest.id
      componentId: applicationInsights.id
      failedLocationCount: 2
    }
    actions: [
      {
        actionGroupId: people.id
      }
    ]
  }
}
