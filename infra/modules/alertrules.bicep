// What sends a mail. Each rule asks the logs every five minutes for one number, `value`, and goes off
// when that is above its threshold. The questions are in ../queries.
param environmentName string
param suffix string
param location string
param tags object
param applicationInsightsName string
param functionAppName string
param emails string[]
param healthTestEnabled bool
param failedPercent int
param throttledPercent int
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
    name: 'credential_failures'
    title: 'The bot gets no token, or it is refused'
    description: 'Entra gives the bot no token, or the Connector refuses it, perhaps in one tenant only (BotCredentialError). What waits for that is not lost for a day.'
    severity: 0
    query: loadTextContent('../queries/credential_failures.kql')
    threshold: 0
  }
  {
    name: 'unhandled_errors'
    title: 'Functions fail'
    description: 'Functions ended with an error that they do not know: storage is down, a setting is wrong, or it is a bug. See the exceptions.'
    severity: 1
    query: loadTextContent('../queries/unhandled_errors.kql')
    threshold: 5
  }
]

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: applicationInsightsName
}

resource app 'Microsoft.Web/sites@2024-11-01' existing = {
  name: functionAppName
}

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-${suffix}'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'speak-first'
    emailReceivers: [
      for email in emails: {
        name: email
        emailAddress: email
        useCommonAlertSchema: true
      }
    ]
  }
}

resource alert 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for rule in rules: {
    name: 'alert-${suffix}-${rule.name}'
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
resource healthTest 'Microsoft.Insights/webtests@2022-06-15' = if (healthTestEnabled) {
  name: 'test-${suffix}-health'
  location: location
  // It must name its Application Insights just so.
  tags: union(tags, { 'hidden-link:${applicationInsights.id}': 'Resource' })
  kind: 'standard'
  properties: {
    SyntheticMonitorId: 'test-${suffix}-health'
    Name: 'Health (${environmentName})'
    Enabled: true
    Kind: 'standard'
    Frequency: 900
    Timeout: 60
    RetryEnabled: true
    Locations: [
      { Id: 'emea-nl-ams-azr' }
      { Id: 'us-va-ash-azr' }
      { Id: 'apac-sg-sin-azr' }
    ]
    Request: {
      RequestUrl: 'https://${app.properties.defaultHostName}/api/health'
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

resource healthAlert 'Microsoft.Insights/metricAlerts@2018-03-01' = if (healthTestEnabled) {
  name: 'alert-${suffix}-health'
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
    windowSize: 'PT30M'
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
