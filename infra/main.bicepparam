// The default of each parameter, and the environment variable that sets it, for azd, az and the
// workflows alike. Two have no default; azd asks for them. Lists are separated by commas, objects are
// JSON.
using 'main.bicep'

param environmentName = readEnvironmentVariable('AZURE_ENV_NAME')
param location = readEnvironmentVariable('AZURE_LOCATION')
param tags = json(readEnvironmentVariable('TAGS', '{}'))

param botResourceEnabled = bool(readEnvironmentVariable('BOT_RESOURCE_ENABLED', 'true'))
param botDisplayName = readEnvironmentVariable('BOT_DISPLAY_NAME', 'Speak First')
param botSku = readEnvironmentVariable('BOT_SKU', 'F0')
param botAppRegistrationId = readEnvironmentVariable('BOT_APP_REGISTRATION_ID', '')
param botSecretEnabled = bool(readEnvironmentVariable('BOT_SECRET_ENABLED', 'false'))
param botAppPassword = readEnvironmentVariable('BOT_APP_PASSWORD', '')
param webhookSecretsEnabled = bool(readEnvironmentVariable('WEBHOOK_SECRETS_ENABLED', 'false'))
param webhookSecrets = readEnvironmentVariable('WEBHOOK_SECRETS', '')
param teamsEnabled = bool(readEnvironmentVariable('TEAMS_ENABLED', 'true'))
param directLineEnabled = bool(readEnvironmentVariable('DIRECT_LINE_ENABLED', 'false'))

param instanceMemoryMB = any(int(readEnvironmentVariable('INSTANCE_MEMORY_MB', '2048')))
param maximumInstanceCount = int(readEnvironmentVariable('MAXIMUM_INSTANCE_COUNT', '40'))
param alwaysReadyInstances = int(readEnvironmentVariable('ALWAYS_READY_INSTANCES', '0'))
param zoneRedundant = bool(readEnvironmentVariable('ZONE_REDUNDANT', 'false'))
param appSettings = json(readEnvironmentVariable('APP_SETTINGS', '{}'))

// azd says who deploys; they are one of the senders.
var deployer = readEnvironmentVariable('AZURE_PRINCIPAL_ID', '')
param senderPrincipalIds = union(
  [],
  filter(split('${deployer},${readEnvironmentVariable('SENDER_PRINCIPAL_IDS', '')}', ','), id => !empty(id))
)
param outcomeQueue = readEnvironmentVariable('OUTCOME_QUEUE', '')
param outcomeReaderPrincipalIds = union(
  [],
  filter(split(readEnvironmentVariable('OUTCOME_READER_PRINCIPAL_IDS', ''), ','), id => !empty(id))
)
param entraClientId = readEnvironmentVariable('ENTRA_CLIENT_ID', '')
param entraAllowedApplications = filter(
  split(readEnvironmentVariable('ENTRA_ALLOWED_APPLICATIONS', ''), ','),
  id => !empty(id)
)
param privateNetworking = bool(readEnvironmentVariable('PRIVATE_NETWORKING', 'false'))
param vnetAddressPrefix = readEnvironmentVariable('VNET_ADDRESS_PREFIX', '10.20.30.0/24')

param alertEmails = filter(split(readEnvironmentVariable('ALERT_EMAILS', ''), ','), email => !empty(email))
param healthTestEnabled = bool(readEnvironmentVariable('HEALTH_TEST_ENABLED', 'true'))
param logRetentionDays = int(readEnvironmentVariable('LOG_RETENTION_DAYS', '30'))
param logDailyCapGb = int(readEnvironmentVariable('LOG_DAILY_CAP_GB', '-1'))
param failedPercent = int(readEnvironmentVariable('FAILED_PERCENT', '5'))
param throttledPercent = int(readEnvironmentVariable('THROTTLED_PERCENT', '10'))
param oldestMessageMinutes = int(readEnvironmentVariable('OLDEST_MESSAGE_MINUTES', '30'))
