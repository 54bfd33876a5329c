"""The bot's replies to commands, in each language; a new language is a new entry."""

from collections.abc import Mapping
from typing import Any

from ReceiveActivity.commands import Command
from shared.languages import best_match

# Teams shows three suggested actions at most, and only ones of type imBack.
_MOST_BUTTONS = 3

_TEXTS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "stop": "You will get no more alerts. Write “start” when you want them again.",
        "start": "You will get alerts again.",
        "mute": "You will get no more alerts on {topic}.",
        "follow": "You follow {topic}.",
        "unfollow": "You no longer follow {topic}.",
        "interests": "You follow: {topics}.",
        "no interests": "You follow no topic yet. Write “follow” and a topic.",
        "unknown action": "This button does nothing here.",
    },
    "de": {
        "stop": "Sie bekommen keine Meldungen mehr. Mit „start“ bekommen Sie sie wieder.",
        "start": "Sie bekommen wieder Meldungen.",
        "mute": "Sie bekommen keine Meldungen mehr zu {topic}.",
        "follow": "Sie folgen {topic}.",
        "unfollow": "Sie folgen {topic} nicht mehr.",
        "interests": "Sie folgen: {topics}.",
        "no interests": "Sie folgen noch keinem Thema. Schreiben Sie „follow“ und ein Thema.",
        "unknown action": "Diese Schaltfläche tut hier nichts.",
    },
}


def confirmation(
    command: Command, preferences: Mapping[str, Any], *languages: str
) -> dict[str, Any]:
    """Return the activity that confirms a command, in the first language with texts."""
    interests = list(preferences.get("interests") or ())
    key = command.verb
    if key == "interests" and not interests:
        key = "no interests"
    locale = best_match(_TEXTS, *languages)
    activity: dict[str, Any] = {
        "type": "message",
        "text": _TEXTS[locale][key].format(topic=command.topic, topics=", ".join(interests)),
        "textFormat": "plain",
        "locale": locale,
    }
    buttons = _buttons(command, interests)
    if buttons:
        activity["suggestedActions"] = {
            "actions": [{"type": "imBack", "title": each, "value": each} for each in buttons]
        }
    return activity


def unknown_action(*languages: str) -> str:
    """Return what is said to who does something with a card that the bot does not know."""
    return _TEXTS[best_match(_TEXTS, *languages)]["unknown action"]


def _buttons(command: Command, interests: list[str]) -> list[str]:
    if command.verb == "stop":
        return ["start"]
    if command.verb == "interests":
        return [f"unfollow {topic}" for topic in interests[:_MOST_BUTTONS]]
    return ["interests"]
