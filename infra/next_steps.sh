#!/bin/sh
# What azd says at the end; azd puts the outputs of main.bicep into the environment.
cat << END

The app is at   $API_URL
Its health is   $API_URL/health

New roles take some minutes. Then the health says "ok", and this sends the first message. The person
needs the Teams app (make app-package BOT_ID=$BOT_APP_ID); ID is the person's Entra object id.

az storage message put --auth-mode login --account-name $AZURE_STORAGE_ACCOUNT_NAME \\
  --queue-name send-activity --time-to-live -1 --content "\$(printf '%s' '{
    "recipient": {"channelId": "msteams", "userId": "ID"},
    "activity": {"text": "Hello, I am here."}}' | base64 | tr -d '\\n')"

When it does not come: docs/operations.md, "The first hour".
END
[ -n "$ALERT_EMAILS" ] || echo 'There are no alerts: azd env set ALERT_EMAILS you@example.com, then azd provision.'
