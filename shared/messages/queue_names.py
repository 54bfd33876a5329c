"""The names of the app's queues; each has a poison queue, ``<name>-poison``."""

from typing import Final

START_CONVERSATION: Final = "start-conversation"
SEND_ACTIVITY: Final = "send-activity"
CACHE_ACCOUNT: Final = "cache-account"
SEND_ALERT: Final = "send-alert"
UPDATE_ACTIVITY: Final = "update-activity"
DELETE_ACTIVITY: Final = "delete-activity"
RECEIVE_EVENT: Final = "receive-event"
QUEUES: Final = (
    START_CONVERSATION,
    SEND_ACTIVITY,
    CACHE_ACCOUNT,
    SEND_ALERT,
    UPDATE_ACTIVITY,
    DELETE_ACTIVITY,
    RECEIVE_EVENT,
)
