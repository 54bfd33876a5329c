"""What is answered to an invoke: a button, a dialog or a search that somebody waits for.

Teams shows an error for an empty answer, and asks again. Each kind has a form of its own:
"Universal Actions for Adaptive Cards", "Dialogs" and "Message extensions" of the Teams platform.
"""

from typing import Any

from ReceiveActivity.request import InboundActivity
from ReceiveActivity.texts import unknown_action

# Any body is an error there: microsoft/teams-sdk#2701, MicrosoftDocs/msteams-docs#10851.
_WITHOUT_BODY = ("message/submitAction", "handoff/action")


def invoke_response(
    activity: InboundActivity, card: dict[str, Any] | None, default_locale: str
) -> dict[str, Any] | None:
    """Return the body with the card that is shown in the place of the one that was clicked.

    Without a card it says that the bot has done nothing. None where there must be no body.
    """
    name = activity.name or ""
    if name in _WITHOUT_BODY:
        return None
    if card is not None:
        return {
            "statusCode": 200,
            "type": "application/vnd.microsoft.card.adaptive",
            "value": card,
        }
    text = unknown_action(*filter(None, (activity.language, default_locale)))
    if name.startswith("task/"):
        return {"task": {"type": "message", "value": text}}
    if name.startswith("composeExtension/"):
        return {"composeExtension": {"type": "message", "text": text}}
    return {
        "statusCode": 200,
        "type": "application/vnd.microsoft.activity.message",
        "value": text,
    }
