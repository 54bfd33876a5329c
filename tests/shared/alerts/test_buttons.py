"""The buttons of an alert that asks something, and what its card shows of the answers."""

from dataclasses import replace

import pytest

from shared import json_text
from shared.alerts.button_data import Click, clicked
from shared.alerts.buttons import (
    Shown,
    largest_with_buttons,
    require_room_for_buttons,
    with_buttons,
)
from shared.alerts.question import AnswerMode, Option, Question
from shared.errors import InvalidRequestError
from shared.wire_models import ADAPTIVE_CARD, Activity, parse

KEY_ID = "0123456789abcdef0123456789abcdef"
DELIVERY = f"a-1:0:{KEY_ID}"
TAKE = Question((Option("take", {"en": "I take it", "de": "Ich übernehme"}),), AnswerMode.FIRST)
LUNCH = Question(
    tuple(Option(each.lower(), {"": each}) for each in ("Pizza", "Soup", "Salad", "Nothing")),
    AnswerMode.EACH,
)
ASKED = Shown(DELIVERY)
RUN = {"type": "TextRun", "weight": "Bolder"}


def activity(**fields):
    return parse(Activity, fields)


def card(**content):
    content = {"type": "AdaptiveCard", **content}
    return {"contentType": ADAPTIVE_CARD, "content": content}


def drawn(given, question=TAKE, shown=ASKED, channel_id="msteams", locale="en"):
    return with_buttons(given, question, shown, channel_id, [locale, "en"]).to_json()


def content(sent):
    [attachment] = sent["attachments"]
    return attachment["content"]


def last_text(sent):
    """What the last text of a card says, and in which kind of element."""
    shown = [each for each in content(sent)["body"] if each["type"] != "ActionSet"][-1]
    return shown["text"] if shown["type"] == "TextBlock" else shown["inlines"]


SUBMIT = {
    "type": "Action.Submit",
    "title": "I take it",
    "data": {"_answer": {"delivery": DELIVERY, "option": "take", "drawn": 0}},
}
EXECUTE = {**SUBMIT, "type": "Action.Execute", "verb": "answer", "fallback": SUBMIT}


@pytest.mark.parametrize(
    ("channel_id", "version", "button"),
    [
        ("msteams", "1.4", EXECUTE),
        ("webchat", "1.3", SUBMIT),
        ("directline", "1.3", SUBMIT),
        ("emulator", "1.3", SUBMIT),
    ],
)
def test_a_text_becomes_the_card_that_its_buttons_are_in(channel_id, version, button):
    given = activity(text="**Disk** full", summary="Disk full", channelData={"a": 1})

    text = {"type": "TextBlock", "text": "**Disk** full", "wrap": True}
    buttons = {"type": "ActionSet", "actions": [button]}
    assert drawn(given, channel_id=channel_id) == {
        "summary": "Disk full",
        "channelData": {"a": 1},
        "attachments": [card(version=version, body=[text, buttons])],
    }


def test_a_plain_text_stays_plain_in_a_card():
    text = "*1* {{DATE(2026-11-27T00:00:00Z)}}\n\n2"

    first, second, _ = content(drawn(activity(text=text, textFormat="plain")))["body"]

    assert (first["type"], second["type"]) == ("RichTextBlock", "RichTextBlock")
    [line] = first["inlines"]
    assert line["text"].startswith("*1* {\u2060{DATE(")
    assert second["inlines"] == [{"type": "TextRun", "text": "2"}]


@pytest.mark.parametrize(
    ("channel_id", "version", "becomes"),
    [
        ("msteams", None, "1.4"),
        ("msteams", "1.2", "1.4"),
        ("msteams", "1.10", "1.10"),
        ("msteams", "newest", "1.4"),
        ("webchat", "1.2", "1.3"),
        ("directline", "1.5", "1.3"),
    ],
)
def test_a_card_gets_its_buttons_at_its_end_and_stays_as_it_is(channel_id, version, becomes):
    own = {
        "body": [{"type": "TextBlock", "text": "Disk full"}],
        "actions": [{"type": "Action.OpenUrl", "title": "Open", "url": "https://example.com"}],
        "refresh": {"action": {"type": "Action.Execute", "verb": "again"}},
        "fallbackText": "Disk full",
        **({"version": version} if version else {}),
    }
    given = activity(attachments=[card(**own)])

    shown = content(drawn(given, channel_id=channel_id))

    [text, buttons] = shown.pop("body")
    assert (text, buttons["type"]) == (own["body"][0], "ActionSet")
    assert {**shown, "body": own["body"]} == {**card(**own)["content"], "version": becomes}
    assert own["body"] == [text]


@pytest.mark.parametrize("channel_id", ["slack", "telegram", "facebook", "line", "my-own"])
def test_elsewhere_a_text_becomes_a_hero_card_that_posts_back(channel_id):
    given = activity(text="Disk full", textFormat="plain")

    hero = content(drawn(given, channel_id=channel_id))

    [button] = hero.pop("buttons")
    value = button.pop("value")
    assert (hero, button) == ({"text": "Disk full"}, {"type": "postBack", "title": "I take it"})
    assert clicked(value) == Click(DELIVERY, "take", 0)


def test_four_buttons_are_more_than_a_hero_card_shows_everywhere():
    sent = drawn(activity(text="Lunch?"), LUNCH, channel_id="slack")

    shown = [each["content"] for each in sent["attachments"]]
    assert [[each["title"] for each in hero["buttons"]] for hero in shown] == [
        ["Pizza", "Soup", "Salad"],
        ["Nothing"],
    ]
    assert [hero.get("text") for hero in shown] == ["Lunch?", None]


def test_a_card_without_a_text_stands_beside_its_buttons():
    own, hero = drawn(activity(attachments=[card()]), channel_id="slack")["attachments"]

    assert (own, hero["content"].keys()) == (card(), {"buttons"})


@pytest.mark.parametrize("shown", [ASKED, Shown(DELIVERY, answer="take", name="Alex")])
@pytest.mark.parametrize("channel_id", ["sms", "email"])
def test_without_buttons_the_alert_goes_out_as_it_is(channel_id, shown):
    given = activity(text="Disk full")

    assert drawn(given, shown=shown, channel_id=channel_id) == given.to_json()


def test_a_button_that_says_too_much_for_its_channel_is_left_out():
    given = activity(text="Disk full")

    def has_buttons(alert_id):
        shown = Shown(f"{alert_id}:0:{KEY_ID}")
        return "attachments" in drawn(given, shown=shown, channel_id="telegram")

    assert [has_buttons("a" * length) for length in (53, 54)] == [True, False]


TWO = replace(LUNCH, options=LUNCH.options[:2], mode=AnswerMode.FIRST)


@pytest.mark.parametrize(
    ("question", "name", "locale", "said"),
    [
        (TAKE, "Alex", "en", "Taken by Alex"),
        (TAKE, "Alex", "de-AT", "Übernommen von Alex"),
        (TAKE, None, "fr", "Taken"),
        (TAKE, " \u202e\n", "de", "Übernommen"),
        (TAKE, "A\u2029lex\u202e\x07  M", "en", "Taken by A lex M"),
        (TAKE, "N" * 65, "en", f"Taken by {'N' * 63}…"),
        (TWO, "Alex", "en", "Answered by Alex: Soup"),
        (TWO, None, "de", "Beantwortet: Soup"),
        (LUNCH, None, "en", "You answered Soup"),
        (LUNCH, None, "de", "Ihre Antwort: Soup"),
    ],
)
def test_a_card_says_what_was_answered(question, name, locale, said):
    shown = Shown(DELIVERY, drawn=3, answer="take" if question is TAKE else "soup", name=name)

    sent = drawn(activity(text="?"), question, shown, locale=locale)

    assert last_text(sent) == [{**RUN, "text": said}]
    buttons = [each for each in content(sent)["body"] if each["type"] == "ActionSet"]
    # Where everybody answers, an answer can be changed.
    assert len(buttons) == (question.mode is AnswerMode.EACH)
    assert all(each["data"]["_answer"]["drawn"] == 3 for one in buttons for each in one["actions"])
    hero = drawn(activity(text="?"), question, shown, "slack", locale)["attachments"][0]["content"]
    assert hero["text"] == f"?\n\n{said}"


@pytest.mark.parametrize(
    ("name", "in_card", "in_hero_card"),
    [
        ("<at>x</at>", "<at>x</at>", "atx/at"),
        ("**x** _y_ `z`", "**x** _y_ `z`", "x y z"),
        ("[a](https://b)", "[a](https://b)", "ahttps://b"),
        ("{name} {title}", "{name} {title}", "{name} {title}"),
        ("{{TIME(1)}}", "{\u2060{TIME(1)}}", "{{TIME1}}"),
    ],
)
def test_a_name_is_no_markup(name, in_card, in_hero_card):
    shown = replace(ASKED, answer="take", name=name)

    assert last_text(drawn(activity(text="?"), shown=shown)) == [
        {**RUN, "text": f"Taken by {in_card}"}
    ]
    hero = content(drawn(activity(text="?"), shown=shown, channel_id="slack"))
    assert hero == {"text": f"?\n\nTaken by {in_hero_card}"}


@pytest.mark.parametrize(
    ("locale", "title"), [("de-CH", "Ich übernehme"), ("en", "I take it"), ("nl", "I take it")]
)
def test_a_title_is_in_the_language_that_the_person_reads_best(locale, title):
    [_, buttons] = content(drawn(activity(text="?"), locale=locale))["body"]

    assert [each["title"] for each in buttons["actions"]] == [title]


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({"type": "typing"}, "type"),
        ({"text": "News", "attachments": [card()]}, "text"),
        ({"attachments": [card(), card()]}, "attachments"),
        ({"attachments": [{"contentType": "image/png"}]}, "attachments[0].contentType"),
        ({"attachments": [{"contentType": ADAPTIVE_CARD}]}, "attachments[0].content"),
        ({"attachments": [card(body="News")]}, "attachments[0].content.body"),
        ({"text": "<b>News</b>", "textFormat": "xml"}, "textFormat"),
        ({"text": "News", "suggestedActions": {"actions": []}}, "suggestedActions"),
        ({"channelData": {"text": "News"}}, "text"),
    ],
)
def test_buttons_need_a_text_or_a_single_card(fields, at):
    with pytest.raises(InvalidRequestError) as caught:
        require_room_for_buttons(activity(**fields), field="activities.de")

    assert [each.field for each in caught.value.field_errors] == [f"activities.de.{at}"]


@pytest.mark.parametrize("fields", [{"text": "News"}, {"text": "", "attachments": [card()]}])
def test_buttons_have_room_in_a_text_and_in_a_card(fields):
    require_room_for_buttons(activity(**fields), field="activity")

    assert "text" not in drawn(activity(**fields))


@pytest.mark.parametrize("channel_id", ["msteams", "webchat", "slack"])
@pytest.mark.parametrize("question", [TAKE, TWO, LUNCH])
def test_nobody_gets_more_than_was_measured(channel_id, question):
    given = activity(text="Lunch?")

    def size(of):
        return len(json_text.to_text(of.to_json()).encode("utf-16-le"))

    most = max(map(size, largest_with_buttons(given, question, "a-1", channel_id)))
    for answer in (None, *(each.id for each in question.options)):
        for locale in ("de", "en"):
            shown = Shown(f"a-1:{10**8}:{KEY_ID}", 10**8, answer, '"' * 100)
            sent = with_buttons(given, question, shown, channel_id, [locale])
            assert size(sent) <= most
