// Entra tokens for the HTTP functions, beside their keys. The Connector and those who look at the
// health come without one: the bot's endpoint checks the Connector's own tokens. The registration has
// to ask for tokens of version 2 (requestedAccessTokenVersion in its manifest).

@description('Name of the function app.')
param functionAppName string

@description('Client id of the app registration that tokens are for.')
param clientId string

@description('Client ids of the applications whose tokens are taken; empty for every one.')
param allowedApplications string[]

resource app 'Microsoft.Web/sites@2024-11-01' existing = {
  name: functionAppName
}

resource authentication 'Microsoft.Web/sites/config@2024-11-01' = {
  parent: app
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
      ]
    }
    identityProviders: {
      azureActiveDirectory: {
        enabled: true
        registration: {
          clientId: clientId
          openIdIssuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
        }
        validation: {
          allowedAudiences: [
            clientId
            'api://${clientId}'
          ]
          defaultAuthorizationPolicy: {
            // None given: no limit.
            allowedApplications: empty(allowedApplications) ? null : allowedApplications
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
