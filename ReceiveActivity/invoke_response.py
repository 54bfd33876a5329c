"""What is answered to an invoke: a button, a dialog or a search that somebody waits for.

Teams shows an error for an empty answer, and asks again. Each kind has a form of its own:
"Universal Actions for Adaptive Cards", "Dialogs" and "Message extensions" of the Teams platform.
"""

from http import HTTPStatus
from typing import Any

from ReceiveActivity.clicks import card_of, click_in, refusal_text, take_click_in
from ReceiveActivity.request import InboundActivity
from ReceiveActivity.texts import texts_in
from shared.alerts.button_data import Click
from shared.alerts.buttons import VERB
from shared.errors import StorageUnavailableError, UnknownAlertError
from shared.sending.answer_decision import Refusal
from shared.wire_models import ADAPTIVE_CARD
from shared.wiring import Services

# Any body is an error there: microsoft/teams-sdk#2701, MicrosoftDocs/msteams-docs#10851.
_WITHOUT_BODY = ("message/submitAction", "handoff/action")
_TEXT = "application/vnd.microsoft.activity.message"
_ERROR = "application/vnd.microsoft.error"


def invoke_response(
    activity: InboundActivity, card: dict[str, Any] | None, services: Services
) -> dict[str, Any] | None:
    """Take the click that an invoke may be for an answer, and return the body of what is answered.

    ``card`` is shown in the place of the one that was clicked, where something was saved. What does
    nothing is told so; the body is None where there must be none.
    """
    name = activity.name or ""
    if name in _WITHOUT_BODY:
        return None
    if card is not None:
        return _answer(ADAPTIVE_CARD, card)
    _, texts = texts_in(*activity.languages(services.settings.default_locale))
    if name.startswith("task/"):
        return {"task": {"type": "message", "value": texts["unknown action"]}}
    if name.startswith("composeExtension/"):
        return {"composeExtension": {"type": "message", "text": texts["unknown action"]}}
    click = click_in(activity)
    if click is None:
        # In channels, Teams has lost the data of actions: microsoft/botbuilder-dotnet#6646.
        return _answer(_TEXT, texts["again" if _is_ours(activity) else "unknown action"])
    try:
        return _answer(*_after_click(activity, click, services))
    except StorageUnavailableError as error:
        told = {"code": error.code, "message": texts["again"]}
        return _answer(_ERROR, told, HTTPStatus.INTERNAL_SERVER_ERROR)


def _after_click(activity: InboundActivity, click: Click, services: Services) -> tuple[str, Any]:
    languages = activity.languages(services.settings.default_locale)
    seen = take_click_in(activity, click, services)
    if isinstance(seen, Refusal):
        return _TEXT, refusal_text(seen, *languages)
    try:
        card = card_of(seen, services)
    except UnknownAlertError:
        card = None
    return (ADAPTIVE_CARD, card) if card else (_TEXT, texts_in(*languages)[1]["answered"])


def _is_ours(activity: InboundActivity) -> bool:
    action = activity.value.get("action") if isinstance(activity.value, dict) else None
    return isinstance(action, dict) and action.get("verb") == VERB


def _answer(type_: str, value: Any, status: HTTPStatus = HTTPStatus.OK) -> dict[str, Any]:
    return {"statusCode": status, "type": type_, "value": value}
