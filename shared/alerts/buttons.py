"""The buttons of an alert that asks something, and what its card shows of the answers.

A message with buttons is a card and nothing else, as channels split a text and a card beside it
into two messages. Whatever a person's name says is plain text.

Sources: https://adaptivecards.io/explorer/Action.Execute.html, "Universal Actions for Adaptive
Cards" and "Add rich card attachments to messages with the Bot Connector API".
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shared import json_text
from shared.alerts.button_data import Click
from shared.alerts.plain_text import lines_of, plain, text_runs
from shared.alerts.question import IN_ANY_LANGUAGE, AnswerMode, Option, Question
from shared.connector.channel_features import Buttons, channel
from shared.deliveries.rows import id_in_alert
from shared.errors import FieldError, InvalidRequestError
from shared.languages import best_match
from shared.wire_models import ADAPTIVE_CARD, Activity, parse

_HERO_CARD = "application/vnd.microsoft.card.hero"

_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "taken": "Taken",
        "taken by": "Taken by {name}",
        "answered": "Answered: {title}",
        "answered by": "Answered by {name}: {title}",
        "own answer": "You answered {title}",
    },
    "de": {
        "taken": "Übernommen",
        "taken by": "Übernommen von {name}",
        "answered": "Beantwortet: {title}",
        "answered by": "Beantwortet von {name}: {title}",
        "own answer": "Ihre Antwort: {title}",
    },
}

_CARD_VERSION = (1, 4)
# Web Chat shows an error for a card that is newer than itself.
_WEB_CHAT_CARD_VERSION = "1.3"
_VERSION = re.compile(r"(\d{1,3})\.(\d{1,3})")
VERB = "answer"

# LINE and Facebook have three in a card, and leave out what is more.
_MOST_IN_HERO_CARD = 3

_LONGEST_NAME = 64
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_MARKUP = re.compile(r"[<>\[\]()*_~`|\\]")
_MOST_PAGES = 10**9 - 1


@dataclass(frozen=True)
class Shown:
    """What a person's card shows of the answers, and whose ``delivery_id`` its buttons name.

    ``drawn`` is how often this person has answered. ``answer`` is the option that counts for them:
    the first answer of all, which the person of this ``name`` gave, or their own. Without a name
    nobody is named.
    """

    delivery_id: str
    drawn: int = 0
    answer: str | None = None
    name: str | None = None


def require_room_for_buttons(activity: Activity, *, field: str) -> None:
    """Raise InvalidRequestError where no buttons can be added, naming what is below ``field``.

    There has to be a text, or a single Adaptive Card.
    """
    obstacle = _obstacle(activity)
    if obstacle is not None:
        at, problem = obstacle
        raise InvalidRequestError(FieldError(f"{field}.{at}", f"{problem} where there are answers"))


def with_buttons(
    activity: Activity, question: Question, shown: Shown, channel_id: str, locales: Sequence[str]
) -> Activity:
    """Return an activity with the buttons of a question, and with what was answered.

    It has room for them; a card that its channel does not show is a text already. ``locales`` are
    those of the person and of the bot, the best first. Where the channel has no buttons, or none
    that say enough, it stays as it is.
    """
    known = channel(channel_id)
    is_over = shown.answer is not None and question.mode is AnswerMode.FIRST
    clicks = [
        (_title(option, locales), Click(shown.delivery_id, option.id, shown.drawn))
        for option in (() if is_over else question.options)
    ]
    if known.buttons is None:
        return activity
    name = _on_one_line(shown.name or "")
    if known.buttons is not Buttons.POST_BACK:
        answered = _answered(question, shown.answer, name, locales)
        return _as_adaptive_card(activity, answered, clicks, known.buttons)
    values = [(title, click.to_post_back(known.longest_post_back)) for title, click in clicks]
    if any(value is None for _, value in values):
        return activity
    # What is markup there is for each channel to say.
    answered = _answered(question, shown.answer, _on_one_line(_MARKUP.sub("", name)), locales)
    return _as_hero_cards(activity, answered, values)


def largest_with_buttons(
    activity: Activity, question: Question, alert_id: str, channel_id: str
) -> Iterator[Activity]:
    """Yield an activity with buttons for who needs most room, in each state that its card has."""
    longest = [
        Option(each.id, {IN_ANY_LANGUAGE: max(each.titles.values(), key=_size)})
        for each in question.options
    ]
    question = replace(question, options=tuple(longest))
    answer = max(longest, key=lambda each: _size(each.titles[IN_ANY_LANGUAGE])).id
    nobody = Shown(id_in_alert(alert_id, _MOST_PAGES, "f" * 32), drawn=_MOST_PAGES)
    # Each of its characters counts twice.
    somebody = replace(nobody, answer=answer, name="\U0001f600" * _LONGEST_NAME)
    for locale in _WORDS:
        for shown in (nobody, somebody):
            yield with_buttons(activity, question, shown, channel_id, [locale])


def _size(text: str) -> int:
    return len(json_text.to_text(text).encode("utf-16-le"))


def _obstacle(activity: Activity) -> tuple[str, str] | None:
    """Return where and why no buttons can be added; None where they can."""
    if activity.type != "message":
        return "type", "must be message"
    if activity.suggested_actions:
        return "suggestedActions", "must be left out"
    if not activity.attachments:
        if not activity.text:
            return "text", "must be given, or an Adaptive Card,"
        return ("textFormat", "must not be xml") if activity.text_format == "xml" else None
    if activity.text:
        return "text", "must not stand beside a card"
    if len(activity.attachments) > 1:
        return "attachments", "must be a single Adaptive Card"
    [attachment] = activity.attachments
    if attachment.get("contentType") != ADAPTIVE_CARD:
        return "attachments[0].contentType", f"must be {ADAPTIVE_CARD}"
    card = attachment.get("content")
    if not isinstance(card, dict):
        return "attachments[0].content", "must be a card"
    if not isinstance(card.get("body") or [], list):
        return "attachments[0].content.body", "must be a list"
    return None


def _answered(
    question: Question, answer: str | None, name: str, locales: Sequence[str]
) -> str | None:
    """Return the words for what was answered; None where nothing was."""
    if answer is None:
        return None
    option = question.option(answer)
    title = _title(option, locales) if option is not None else ""
    if question.mode is AnswerMode.EACH:
        key = "own answer"
    else:
        key = "answered" if len(question.options) > 1 else "taken"
        key = f"{key} by" if name else key
    return _WORDS[best_match(_WORDS, *locales)][key].format(name=name, title=title)


def _on_one_line(name: str) -> str:
    """Return a name without what cannot be seen, cut to its longest; "" where nothing is left."""
    shown = " ".join(_UNSEEN.sub(" ", name).split())
    return shown if len(shown) <= _LONGEST_NAME else f"{shown[: _LONGEST_NAME - 1]}…"


def _title(option: Option, locales: Sequence[str]) -> str:
    return option.titles[best_match(option.titles, *locales)]


def _as_adaptive_card(
    activity: Activity, answered: str | None, clicks: Sequence[tuple[str, Click]], kind: Buttons
) -> Activity:
    [attachment] = activity.attachments or [_card_of_text(activity)]
    card = attachment["content"]
    body = list(card.get("body") or ())
    if answered is not None:
        body.append(text_runs({"text": plain(answered), "weight": "Bolder"}, spacing="Medium"))
    if clicks:
        actions = [_action(title, click, kind) for title, click in clicks]
        body.append({"type": "ActionSet", "actions": actions})
    version = _WEB_CHAT_CARD_VERSION
    if kind is Buttons.EXECUTE:
        version = _at_least(_CARD_VERSION, card.get("version"))
    card = {**card, "version": version, "body": body}
    return _replaced(activity, [{**attachment, "content": card}])


def _action(title: str, click: Click, kind: Buttons) -> dict[str, Any]:
    submit = {"type": Buttons.SUBMIT.value, "title": title, "data": click.to_json()}
    if kind is Buttons.SUBMIT:
        return submit
    return {**submit, "type": kind.value, "verb": VERB, "fallback": submit}


def _card_of_text(activity: Activity) -> dict[str, Any]:
    text = activity.text or ""
    if activity.text_format == "plain":
        blocks = [text_runs({"text": plain(line)}, spacing="Small") for line in lines_of(text)]
    else:
        blocks = [{"type": "TextBlock", "text": plain(text), "wrap": True}]
    return {"contentType": ADAPTIVE_CARD, "content": {"type": "AdaptiveCard", "body": blocks}}


def _at_least(least: tuple[int, int], version: object) -> str:
    given = _VERSION.fullmatch(str(version))
    major, minor = max(least, (int(given[1]), int(given[2]))) if given else least
    return f"{major}.{minor}"


def _as_hero_cards(
    activity: Activity, answered: str | None, values: Sequence[tuple[str, str | None]]
) -> Activity:
    texts = [each for each in (activity.text, answered) if each]
    buttons = [{"type": "postBack", "title": title, "value": value} for title, value in values]
    cards: list[dict[str, Any]] = [
        {"buttons": buttons[start : start + _MOST_IN_HERO_CARD]}
        for start in range(0, len(buttons), _MOST_IN_HERO_CARD)
    ] or [{}]
    if texts:
        cards[0] = {"text": "\n\n".join(texts), **cards[0]}
    heroes = [{"contentType": _HERO_CARD, "content": each} for each in cards]
    return _replaced(activity, [*(activity.attachments or ()), *heroes])


def _replaced(activity: Activity, attachments: list[dict[str, Any]]) -> Activity:
    """Return an activity with these attachments in the place of its text and its own."""
    kept = {name: each for name, each in activity.to_json().items() if name != "text"}
    return parse(Activity, {**kept, "attachments": attachments})
