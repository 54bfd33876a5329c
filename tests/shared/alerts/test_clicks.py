"""What a click on a button of an alert brings back."""

import json

import pytest

from shared.alerts.clicks import Click, clicked

CLICK = Click("a-1:0:r0", "take", 2)


@pytest.mark.parametrize(
    "value",
    [
        CLICK.to_json(),
        {"comment": "on my way", **CLICK.to_json(), "msteams": {"feedback": {"hide": True}}},
        json.dumps(CLICK.to_json()),
        {"_answer": {"delivery": "a-1:0:r0", "option": "take", "drawn": "2"}},
        CLICK.to_post_back(),
        " ?take:2:a-1:0:r0\n",
    ],
)
def test_a_click_is_read_as_channels_bring_it(value):
    assert clicked(value, key_id="0" * 32) == CLICK


def test_the_value_of_a_hero_cards_button_leaves_out_who_clicks():
    key_id = "0123456789abcdef" * 2
    click = Click(f"a:0:x:12:{key_id}", "take", 0)

    assert click.to_post_back() == "?take:0:a:0:x:12:"
    assert clicked(click.to_post_back(), key_id=key_id) == click


@pytest.mark.parametrize(
    "value",
    [
        None,
        "take",
        "?take",
        "?take it:0:a-1:0:",
        "[" * 100_000,
        ["_answer"],
        {},
        {"_answer": "take"},
        {"_answer": {"delivery": "a-1:0:r0", "option": "take"}},
        {"_answer": {"delivery": "", "option": "take", "drawn": 0}},
        {"_answer": {"delivery": "a-1:0:r0", "option": ["take"], "drawn": 0}},
        {"_answer": {"delivery": "a-1:0:r0", "option": "take", "drawn": True}},
        {"_answer": {"delivery": "a-1:0:r0", "option": "take", "drawn": -1}},
    ],
)
def test_whatever_else_is_clicked_is_no_answer(value):
    assert clicked(value) is None
