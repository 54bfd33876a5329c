"""The messages, users and settings that all contenders share; they import only this."""

from typing import Any

APP_ID = "5a4b3c2d-0000-4000-8000-00000000b070"
TENANT_ID = "5a4b3c2d-0000-4000-8000-000000007e7a"
BOT_ID = f"28:{APP_ID}"
CHANNEL_ID = "msteams"
STORAGE = "AzureWebJobsStorage"
SERVICE_URL = "DefaultServiceUrl"
"""The settings that lead to storage and to the Connector."""
QUEUED = "BenchmarkQueued"
"""The setting that leads to what was put on queues."""

AUTHORIZATION = "BenchmarkAuthorization"
"""The setting that has the header by which the Connector proves itself to the bot."""

THREADS = 32
"""How many messages each contender has in flight at a time."""

REFERENCES = "references"
"""The table with a ConversationReference for each user, for those who have no accounts of ours."""

FILL = "fill"
"""The batch of what is there before anything is measured."""

OPTIONS = ("yes", "no")
"""What people are asked on their cards."""

_TEXT = (
    "**The lighthouse opens its doors again.** After two years of repairs, all 217 steps can be "
    "climbed from Saturday on. The first hundred visitors get in for free. "
)


def user_id(user: int) -> str:
    """Return the id of one of the many users."""
    return f"29:bench-{user:06}"


def user_name(user: int) -> str:
    """Return the name of the user."""
    return f"User {user:06}"


def conversation_id(user: int) -> str:
    """Return the id of the user's conversation with the bot."""
    return f"a:bench-{user:06}"


def activity(batch: str, user: int) -> dict[str, Any]:
    """Return the activity for a user; its text ends with what tells it from all others."""
    return _activity(batch, user_name(user))


def activity_for_all(batch: str) -> dict[str, Any]:
    """Return the activity of an alert, which becomes the same one for each user."""
    return _activity(batch, "${name}")


def delivered(batch: str, user: int) -> str:
    """Return what the Connector notes when that activity reaches the right conversation."""
    return f"{conversation_id(user)}#{batch}/{user_name(user)}"


def alert_id(batch: str) -> str:
    """Return the id of the alert that is a batch."""
    return f"alert-{batch}"


def click(batch: str, user: int, service_url: str, data: dict[str, Any]) -> dict[str, Any]:
    """Return the invoke that a user's click is, on the button that has this data."""
    return {
        **reference(user, service_url),
        "type": "invoke",
        "name": "adaptiveCard/action",
        "id": f"{batch}-{user}",
        "timestamp": "2026-01-01T10:00:00.000Z",
        "from": {"id": user_id(user), "name": user_name(user)},
        "recipient": {"id": BOT_ID, "name": "News"},
        "channelData": {"tenant": {"id": TENANT_ID}},
        "value": {"action": {"type": "Action.Execute", "data": data}},
    }


def reference(user: int, service_url: str) -> dict[str, Any]:
    """Return the ConversationReference of a user, as bots keep it."""
    return {
        "channelId": CHANNEL_ID,
        "serviceUrl": service_url,
        "locale": "en-US",
        "bot": {"id": BOT_ID, "name": "News"},
        "user": {"id": user_id(user), "name": user_name(user)},
        "conversation": {
            "id": conversation_id(user),
            "conversationType": "personal",
            "tenantId": TENANT_ID,
        },
    }


def _activity(batch: str, name: str) -> dict[str, Any]:
    return {
        "type": "message",
        "text": f"{_TEXT}#{batch}/{name}",
        "textFormat": "markdown",
        "summary": "News Alert",
        "channelData": {"notification": {"alert": True}},
    }
