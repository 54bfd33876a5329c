#!/bin/sh
# What azd says at the end; azd puts the outputs of main.bicep into the environment.
cat << END

The app is at   $API_URL
Its health is   $API_URL/health
The bot's id is $BOT_APP_ID, which its Teams app has to name.

Send the first message, to somebody who has the bot's Teams app; ID is their Entra object id:

az storage message put --auth-mode login --account-name $AZURE_STORAGE_ACCOUNT_NAME \\
  --queue-name send-activity --time-to-live -1 --content "\$(printf '%s' '{
    "recipient": {"channelId": "msteams", "userId": "ID"},
    "activity": {"text": "Hello, I am here."}}' | base64 | tr -d '\\n')"

END
