from typing import Any

import pytest

from shared.alerts.notification_summary import summary_of

ADAPTIVE = "application/vnd.microsoft.card.adaptive"
HERO = "application/vnd.microsoft.card.hero"


def block(text, **more):
    return {"type": "TextBlock", "text": text, **more}


def card(*body, **more):
    return {"contentType": ADAPTIVE, "content": {"type": "AdaptiveCard", "body": [*body], **more}}


def with_card(*body, **more):
    return {"type": "message", "attachments": [card(*body, **more)]}


def test_the_text_is_taken_without_its_markup():
    for text, summary in {
        "  two\n\n lines\t and\u00a0more \r\n": "two lines and more",
        "**bold** and __also__": "bold and also",
        "***both*** and **bold _within_ bold**": "both and bold within bold",
        "~~gone~~ and `code`": "gone and code",
        "これは**重要**です": "これは重要です",
        "# Title\n## Second\nText": "Title Second Text",
        "* one\n- two\n+ three\n> quoted": "one two three quoted",
        '[**label**](https://example.com/a_(b) "a title") more': "label more",
        "![a picture](https://example.com/a.png)": "a picture",
        '<at id="0">Alex</at>': "Alex",
        "<b>W</b>ord<br/>next<p class='x'>and</p>last": "Word next and last",
        "Fish &amp; chips &lt;b&gt; &#8364;5": "Fish & chips <b> €5",
        r"5\* hotel \_x\_ \[a\]": "5* hotel _x_ [a]",
        r"*5\* hotel*": "5* hotel",
        "half \ud83d of a pair": "half \ud83d of a pair",
    }.items():
        assert summary_of({"type": "message", "text": text}) == summary
        assert summary_of({"text": text, "textFormat": "markdown"}) == summary


def test_what_only_looks_like_markup_stays():
    for text in (
        "2*3*4 = 24",
        "snake_case_name and __init__x",
        "5* hotel",
        "*a * b and _a _ b",
        "**not closed",
        "1 < 2 and 3 > 2",
        "<https://example.com/a>",
        "[not a link] (really)",
        "-5 degrees, #1 of 3",
        "C:\\temp",
        "${name}",
        "AT&T",
    ):
        assert summary_of({"text": text}) == text


@pytest.mark.parametrize(
    ("text_format", "summary"),
    [
        ("plain", "**a** <b>c</b> &amp; d"),
        ("xml", "**a** c & d"),
        ("unknown", "a c & d"),
        (5, "a c & d"),
    ],
)
def test_the_format_of_the_text_tells_what_is_markup(text_format, summary):
    activity = {"text": "**a** <b>c</b>\n&amp; d", "textFormat": text_format}

    assert summary_of(activity) == summary


def test_attachments_are_for_messages_whose_text_says_nothing():
    assert summary_of({**with_card(block("Card")), "text": "Text"}) == "Text"
    for text in (None, "", " \n", "<br/>", "&nbsp;", 5, ["a"], {"a": "b"}, True):
        assert summary_of({**with_card(block("Card")), "text": text}) == "Card"


@pytest.mark.parametrize(
    "body",
    [
        [block("**First**"), block("Second")],
        [block(""), block(" "), block(None), block(5), {"type": "TextBlock"}, block("First")],
        [{"type": "Image", "url": "a", "altText": "no"}, block("First")],
        [block("Hidden", isVisible=False), block("First", isVisible=True)],
        [
            {"type": "Container", "isVisible": False, "items": [block("Hidden")]},
            {"type": "Container", "items": [block("First")]},
            block("Second"),
        ],
        [
            {
                "type": "ColumnSet",
                "columns": [
                    {"width": "auto", "items": [{"type": "Image", "url": "a"}]},
                    {"type": "Column", "items": [block("First")]},
                    {"items": [block("Second")]},
                ],
            }
        ],
        [
            {
                "type": "Table",
                "columns": [{"width": 1}],
                "rows": [{"type": "TableRow", "cells": [{"items": [block("First")]}]}],
            }
        ],
        [{"type": "Carousel", "pages": [{"items": [block("First")]}]}],
        [{"type": "RichTextBlock", "inlines": ["Fi", {"type": "TextRun", "text": "rst"}, 5, {}]}],
        [{"type": "RichTextBlock"}, {"type": "RichTextBlock", "inlines": "no"}, block("First")],
        [None, 5, "no", [block("no")], {}, {"type": ["TextBlock"], "text": "no"}, block("First")],
        [{"type": "Container", "items": {"0": block("no")}}, block("First")],
    ],
)
def test_of_an_adaptive_card_the_first_visible_text_is_taken(body):
    assert summary_of(with_card(*body, fallbackText="no", speak="no")) == "First"


def test_texts_are_found_however_deep_a_request_may_nest_them():
    element = block("Deep")
    for _ in range(45):
        element = {"type": "Container", "items": [element]}

    assert summary_of(with_card(element)) == "Deep"


def test_a_card_without_text_blocks_has_other_texts():
    def adaptive(**more):
        return summary_of(with_card({"type": "Image", "url": "a"}, **more))

    def hero(**content):
        return summary_of({"attachments": [{"contentType": HERO, "content": content}]})

    assert adaptive(fallbackText="A card", speak="Spoken") == "A card"
    assert adaptive(fallbackText="", speak="<speak>Spo<break/>ken</speak>") == "Spoken"
    assert adaptive(title="not of this kind of card") is None
    assert hero(title="Title", subtitle="Subtitle", text="Text") == "Title"
    assert hero(title="", subtitle="Subtitle", text="Text") == "Subtitle"
    assert hero(title=None, text="**Text**") == "Text"
    assert hero(body=[block("not of this kind of card")]) is None


@pytest.mark.parametrize(
    ("attachments", "summary"),
    [
        ([{"contentType": "image/png", "name": "**1** &amp; _2_.png"}], "**1** &amp; _2_.png"),
        ([{**card(), "name": "The card"}], "The card"),
        ([{"contentType": "image/png"}, {"name": ""}, card(block("Card"))], "Card"),
        ([card(block("First")), card(block("Second"))], "First"),
    ],
)
def test_the_first_attachment_with_any_text_is_taken(attachments, summary):
    assert summary_of({"attachments": attachments}) == summary


def test_odd_shapes_have_no_text():
    attachments: list[Any] = [None, [], {"0": card(block("no"))}, "no", [None, 5, "no", [], True]]
    for each in attachments:
        assert summary_of({"text": None, "attachments": each}) is None
    contents: list[Any] = [
        None,
        ["no"],
        {"body": "no", "speak": 5, "fallbackText": [], "title": {}, "text": 1.5},
        {"body": {"type": "TextBlock", "text": "no"}},
        {"body": [[], None, {"items": 5, "columns": "no", "rows": [5], "cells": {}}]},
    ]
    for content in contents:
        for kind in (ADAPTIVE, HERO, None, [ADAPTIVE]):
            attachment = {"contentType": kind, "content": content, "name": 5}
            assert summary_of({"attachments": [attachment]}) is None


def test_a_long_text_is_cut_after_a_word_unless_that_makes_it_too_short():
    for text, summary in {
        "x" * 150: "x" * 150,
        "x" * 151: "x" * 149 + "…",
        "word " * 30: ("word " * 30).strip(),
        "word " * 31: ("word " * 29) + "word…",
        "x" * 149 + " y": "x" * 149 + "…",
        "x" * 150 + " y": "x" * 149 + "…",
        "See " + "x" * 200: "See " + "x" * 145 + "…",
        "😀" * 151: "😀" * 149 + "…",
        "**" + "word " * 31 + "word**": ("word " * 29) + "word…",
    }.items():
        assert len(summary) <= 150
        assert summary_of({"text": text}) == summary
        assert summary_of(with_card(block(text))) == summary


def test_a_text_full_of_half_markup_costs_no_more_than_others():
    for unit in ("**a ", "_a ", "[](", "<a ", "> ", "&", "\\", "`a"):
        assert len(summary_of({"text": unit * 100_000}) or "") <= 150
