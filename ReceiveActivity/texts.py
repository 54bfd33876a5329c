"""What the bot replies, in each language; a new language is a new entry."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ReceiveActivity.commands import Command
from shared.languages import best_match

# Teams shows three suggested actions at most, and only ones of type imBack.
_MOST_BUTTONS = 3

# Some clients show all lines as one, so each is a sentence.
_TEXTS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "stop": "You will get no more alerts. Write “start” when you want them again.",
        "start": "You will get alerts again.",
        "mute": "You will get no more alerts on {topic}.",
        "unmute": "You no longer mute {topic}.",
        "follow": "You follow {topic}.",
        "unfollow": "You no longer follow {topic}.",
        "full": "There is no room for {topic}, so nothing was changed. Write “unfollow” or "
        "“unmute” and another topic first.",
        "interests": "You follow: {topics}.",
        "no interests": "You follow no topic yet. Write “follow” and a topic.",
        "topics": "There is news on: {topics}.",
        "muted topics": "You get no alerts on: {topics}. Write “unmute” and a topic to get them.",
        "stopped": "All alerts are stopped. Write “start” when you want them again.",
        "hello": "Hello!",
        "not understood": "I did not understand that.",
        "help": "I tell you when there is something that you should know, such as news on a topic "
        "that you follow.\n"
        "Write “interests” to see and choose the topics that you follow.\n"
        "Write “follow” or “unfollow” and a topic to hear of it, or not any more.\n"
        "Write “mute” or “unmute” and a topic to get no alerts on it, or to get them again.\n"
        "Write “stop” or “start” to get no alerts at all, or to get them again.\n"
        "Write “help” to read this again.",
        "choose": "Which topics do you follow?",
        "stop all": "Stop all alerts",
        "save": "Save",
        "saved": "Saved.",
        "unknown action": "This button does nothing here.",
        "over": "This is over, so nothing was answered.",
        "answered": "Thank you.",
        "again": "That did not work. Please click again.",
    },
    "de": {
        "stop": "Sie bekommen keine Meldungen mehr. Mit „start“ bekommen Sie sie wieder.",
        "start": "Sie bekommen wieder Meldungen.",
        "mute": "Sie bekommen keine Meldungen mehr zu {topic}.",
        "unmute": "{topic} ist nicht mehr stumm.",
        "follow": "Sie folgen {topic}.",
        "unfollow": "Sie folgen {topic} nicht mehr.",
        "full": "Für {topic} ist kein Platz mehr, es hat sich nichts geändert. Schreiben Sie "
        "zuerst „unfollow“ oder „unmute“ und ein anderes Thema.",
        "interests": "Sie folgen: {topics}.",
        "no interests": "Sie folgen noch keinem Thema. Schreiben Sie „follow“ und ein Thema.",
        "topics": "Es gibt Meldungen zu: {topics}.",
        "muted topics": "Sie bekommen keine Meldungen zu: {topics}. Schreiben Sie „unmute“ und ein "
        "Thema, um das zu ändern.",
        "stopped": "Alle Meldungen sind gestoppt. Mit „start“ bekommen Sie sie wieder.",
        "hello": "Hallo!",
        "not understood": "Das habe ich nicht verstanden.",
        "help": "Ich melde mich, wenn es etwas gibt, das Sie wissen sollten, zum Beispiel Neues zu "
        "einem Thema, dem Sie folgen.\n"
        "Schreiben Sie „interests“, um Ihre Themen zu sehen und auszuwählen.\n"
        "Schreiben Sie „follow“ oder „unfollow“ und ein Thema, um ihm zu folgen oder nicht mehr.\n"
        "Schreiben Sie „mute“ oder „unmute“ und ein Thema, um dazu keine Meldungen oder wieder "
        "welche zu bekommen.\n"
        "Schreiben Sie „stop“ oder „start“, um gar keine Meldungen oder wieder alle zu bekommen.\n"
        "Schreiben Sie „help“, um das noch einmal zu lesen.",
        "choose": "Welchen Themen folgen Sie?",
        "stop all": "Alle Meldungen stoppen",
        "save": "Speichern",
        "saved": "Gespeichert.",
        "unknown action": "Diese Schaltfläche tut hier nichts.",
        "over": "Das ist vorbei, es wurde nichts beantwortet.",
        "answered": "Danke.",
        "again": "Das hat nicht geklappt. Bitte klicken Sie noch einmal.",
    },
}


def reply(
    command: Command, preferences: Mapping[str, Any], topics: Sequence[str], *languages: str
) -> dict[str, Any]:
    """Return the activity that answers a command, in the first language with texts.

    ``preferences`` are those after the command; ``topics`` are what people are offered to follow.
    """
    locale, texts = texts_in(*languages)
    match command.verb:
        case "interests":
            lines = [*_wishes(texts, preferences, topics)]
        case "help" | "saved" as verb:
            lines = [texts[verb], *_wishes(texts, preferences, topics)]
        case "hello" | "not understood" as verb:
            lines = [f"{texts[verb]} {texts['help']}", *_wishes(texts, preferences, topics)]
        case verb:
            lines = [texts[verb].format(topic=command.topic)]
    activity: dict[str, Any] = {
        "type": "message",
        "text": "\n".join(lines),
        "textFormat": "plain",
        "locale": locale,
    }
    buttons = _buttons(command, preferences, topics)
    if buttons:
        activity["suggestedActions"] = {
            "actions": [{"type": "imBack", "title": each, "value": each} for each in buttons]
        }
    return activity


def texts_in(*languages: str) -> tuple[str, Mapping[str, str]]:
    """Return the first of the languages that there are texts in, and the texts."""
    locale = best_match(_TEXTS, *languages)
    return locale, _TEXTS[locale]


def _wishes(
    texts: Mapping[str, str], preferences: Mapping[str, Any], topics: Sequence[str]
) -> Iterator[str]:
    """Tell what a person follows and has muted, and what they could follow."""
    listed = {
        "interests": preferences.get("interests"),
        "topics": topics,
        "muted topics": preferences.get("mutedTopics"),
    }
    if not listed["interests"]:
        yield texts["no interests"]
    for key, some in listed.items():
        if some:
            yield texts[key].format(topics=", ".join(some))
    if preferences.get("muted"):
        yield texts["stopped"]


def _buttons(command: Command, preferences: Mapping[str, Any], topics: Sequence[str]) -> list[str]:
    interests = preferences.get("interests") or ()
    match command.verb:
        case "stop":
            return ["start"]
        case "mute":
            return [f"unmute {command.topic}"]
        case "interests" if interests:
            return [f"unfollow {topic}" for topic in interests[:_MOST_BUTTONS]]
        case "interests":
            return [f"follow {topic}" for topic in topics[:_MOST_BUTTONS]]
        case "help" | "hello" | "not understood":
            return ["interests", "start" if preferences.get("muted") else "stop"]
    return ["interests"]
