"""The card that answers ``interests``: topics to tick, and whether all alerts are stopped.

A card may be old, or still show on another device what was there before. So it says what was ticked
when it was drawn, and only what the person has changed since is saved. Topics stand in what comes
back as keys: the channel joins those that are ticked with commas, which a topic may have too.

Sources: https://adaptivecards.io/explorer/Input.ChoiceSet.html and "Universal Actions for Adaptive
Cards".
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ReceiveActivity.commands import MOST_TO_FOLLOW, Command
from ReceiveActivity.request import InboundActivity
from ReceiveActivity.texts import texts_in
from shared.accounts.topics import topics_by_key
from shared.alerts.plain_text import plain, text_runs
from shared.connector.channel_features import Buttons, channel
from shared.errors import RequestTooLargeError
from shared.json_text import require_size
from shared.storage.tables import key_of
from shared.wire_models import ADAPTIVE_CARD

# Web Chat shows an error for a card that is newer than itself.
_VERSIONS = {Buttons.EXECUTE: "1.4", Buttons.SUBMIT: "1.3"}
_VERB = "savePreferences"
# One object has all that is ours; the inputs arrive beside it, under their ids.
_CARD, _TOPICS, _STOPPED = "_preferences", "topics", "stopped"
# A card has 100 KB on Teams, and other systems' topics may be longer than those that are written.
_MOST_CHOICES = 100
_LONGEST_TITLE = 200


@dataclass(frozen=True)
class Choices(Command):
    """What a person has changed on the card, and which one that was.

    ``ticked`` and ``unticked`` are keys of topics, ``stops`` is None where that was left alone.
    ``offered`` are the topics that everybody can tick.
    """

    verb: str = "saved"
    card_id: str = ""
    ticked: frozenset[str] = frozenset()
    unticked: frozenset[str] = frozenset()
    stops: bool | None = None
    offered: Sequence[str] = ()

    @property
    def sets_muted(self) -> bool:
        """Whether it is about all alerts too."""
        return self.stops is not None

    @property
    def less(self) -> "Choices | None":
        """What of it gives up a topic, None where nothing does."""
        return replace(self, ticked=frozenset()) if self.unticked else None

    def applied_to(self, preferences: Mapping[str, Any]) -> dict[str, Any]:
        """Return the preferences as they are after the choices.

        What is ticked is left out where there is no room for it.
        """
        interests = preferences.get("interests") or ()
        topics = _by_key([*interests, *self.offered])
        followed = {*_by_key(interests), *self.ticked} - self.unticked
        wanted = {**preferences, "interests": [topics[key] for key in topics if key in followed]}
        if self.stops is not None:
            wanted["muted"] = self.stops
        if self.ticked:
            try:
                require_size(wanted, MOST_TO_FOLLOW)
            except RequestTooLargeError:
                return replace(self, ticked=frozenset()).applied_to(preferences)
        return {name: value for name, value in wanted.items() if value != []}


def has_card(channel_id: str) -> bool:
    """Tell whether a channel shows the card, and brings back what is ticked on it."""
    return channel(channel_id).buttons in _VERSIONS


def shows_edited_card(channel_id: str) -> bool:
    """Tell whether a channel shows the card anew when it is edited: Teams alone."""
    return channel(channel_id).buttons is Buttons.EXECUTE


def card_activity(
    preferences: Mapping[str, Any],
    offered: Sequence[str],
    channel_id: str,
    card_id: str,
    *languages: str,
) -> dict[str, Any]:
    """Return the activity with the card, for a channel that has it.

    ``offered`` are the topics that everybody can tick; the person's own come after them.
    """
    locale, texts = texts_in(*languages)
    interests, muted_topics = (preferences.get(name) or () for name in ("interests", "mutedTopics"))
    topics = dict([*_by_key([*offered, *interests]).items()][:_MOST_CHOICES])
    followed = [key for key in topics if key in _by_key(interests)]
    is_stopped = bool(preferences.get("muted"))
    drawn = {"card": card_id, _TOPICS: followed, _STOPPED: is_stopped}
    body: list[dict[str, Any]] = [
        {
            "type": "Input.ChoiceSet",
            "id": _TOPICS,
            "label": texts["choose"],
            "isMultiSelect": True,
            "style": "expanded",
            "wrap": True,
            "value": ",".join(followed),
            "choices": [
                {"title": plain(topic[:_LONGEST_TITLE]), "value": key}
                for key, topic in topics.items()
            ],
        }
        if topics
        else {"type": "TextBlock", "text": texts["no interests"], "wrap": True}
    ]
    if muted_topics:
        muted = texts["muted topics"].format(topics=", ".join(muted_topics))
        body.append(text_runs({"text": plain(muted)}, spacing="Default"))
    toggle = {"type": "Input.Toggle", "id": _STOPPED, "title": texts["stop all"], "wrap": True}
    body.append({**toggle, "value": str(is_stopped).lower()})
    kind = channel(channel_id).buttons or Buttons.SUBMIT
    body.append({"type": "ActionSet", "actions": [_button(kind, texts["save"], {_CARD: drawn})]})
    card = {
        "type": "AdaptiveCard",
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "version": _VERSIONS[kind],
        "fallbackText": texts["choose"],
        "body": body,
    }
    return {
        "type": "message",
        "summary": texts["choose"],
        "locale": locale,
        "attachments": [{"contentType": ADAPTIVE_CARD, "content": card}],
    }


def read_choices(activity: InboundActivity, offered: Sequence[str]) -> Choices | None:
    """Return what a person has changed on the card that they save; None where it is no such card.

    The card is for one person alone, so it is saved in their own chat with the bot only.
    """
    data = activity.button_data
    drawn = data.get(_CARD)
    if not activity.is_personal or activity.is_refresh or not isinstance(drawn, Mapping):
        return None
    card_id = drawn.get("card")
    choices = Choices(card_id=card_id if isinstance(card_id, str) else "", offered=offered)
    if _STOPPED not in data:
        # Clients have lost all inputs: https://github.com/microsoft/botbuilder-dotnet/issues/6646
        return choices
    ticked, before = _keys_in(data.get(_TOPICS)), _keys_in(drawn.get(_TOPICS))
    stops, stopped = (_is_true(each.get(_STOPPED)) for each in (data, drawn))
    return replace(
        choices,
        ticked=ticked - before,
        unticked=before - ticked,
        stops=stops if stops != stopped else None,
    )


def _keys_in(told: object) -> frozenset[str]:
    """Return the keys of topics in what an input, or our own data, brings back."""
    told = told.split(",") if isinstance(told, str) else told
    return frozenset(map(str, told)) if isinstance(told, list) else frozenset()


def _is_true(told: object) -> bool:
    # A toggle brings back a text.
    return str(told).lower() == "true"


def _button(kind: Buttons, title: str, data: dict[str, Any]) -> dict[str, Any]:
    submit = {"type": "Action.Submit", "title": title, "data": data}
    if kind is Buttons.SUBMIT:
        return submit
    return {**submit, "type": "Action.Execute", "id": _VERB, "verb": _VERB, "fallback": submit}


def _by_key(topics: Iterable[str]) -> dict[str, str]:
    """Return topics by the keys that stand on the card."""
    return {f"t{key_of(key)[:12]}": topic for key, topic in topics_by_key(topics).items()}
